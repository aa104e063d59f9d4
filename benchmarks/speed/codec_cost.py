"""What the codec costs: FLOPs and parameters at MViTv2-B's size, milliseconds of one training step at ours.

    python benchmarks/speed/codec_cost.py

FLOPs are those of convolutions, linear layers and attention products, 2 for each multiply-add, counted by
PyTorch on the attention's plain path. The paper's figures for MViTv2: encoder 573.42 MFLOPs, decoder
2.99 GFLOPs, both together 5.8 M parameters. Milliseconds are the median of ten steps (forward, Eq. 3 without
the task, backward, Adam) of 16 clips on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Codec
from approxbit.configuration import Configuration

MVITV2_B8 = FeatureShape(384, 16, 14, 14)
MVITV2_CONFIGURATIONS = ("64-Enc-B8", "128-Enc-B8", "64-NoEnc-B8", "128-NoEnc-B8")
SMALL_SHAPES = (FeatureShape(48, 16, 4, 4), FeatureShape(40, 16, 8, 8), FeatureShape(96, 8, 8, 8))
SMALL_CONFIGURATIONS = ("16-Enc-B3", "16-NoEnc-B3")


def random_feature(batch_size: int, shape: FeatureShape, num_tokens: int = 0) -> Feature:
    return Feature(torch.randn(batch_size, *shape), torch.randn(batch_size, num_tokens, shape.channels))


def count_flops(shape: FeatureShape, configuration: Configuration, num_tokens: int) -> tuple[int, int, int]:
    """FLOPs of the encoder, FLOPs of the decoder, and parameters of both, for one clip."""
    codec = Codec(shape, configuration, num_tokens).eval()
    feature = random_feature(1, shape, num_tokens)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as encoder:
            code = codec.encode(feature)
        with FlopCounterMode(display=False) as decoder:
            codec.decode(code)
    num_parameters = sum(parameter.numel() for parameter in codec.parameters())
    return encoder.get_total_flops(), decoder.get_total_flops(), num_parameters


def time_step(shape: FeatureShape, configuration: Configuration, num_steps: int = 10) -> float:
    """Median milliseconds of one training step of 16 clips."""
    codec = Codec(shape, configuration)
    optimizer = torch.optim.Adam(codec.parameters(), lr=1e-3)
    feature = random_feature(16, shape)
    milliseconds = []
    for _ in range(num_steps + 2):
        start = time.perf_counter()
        output = codec(feature)
        bits = (output.logits.grid > 0).float()
        loss = F.mse_loss(output.feature.grid, feature.grid)
        loss = loss + F.binary_cross_entropy_with_logits(output.logits.grid, bits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return statistics.median(milliseconds[2:])


def print_table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    for row in (titles, *rows):
        print("| " + " | ".join(f"{cell:>16}" for cell in row) + " |")


def main() -> None:
    torch.set_num_threads(1)
    costs = []
    for name in MVITV2_CONFIGURATIONS:
        encoder, decoder, parameters = count_flops(MVITV2_B8, Configuration.parse(name), num_tokens=1)
        costs.append((name, f"{encoder / 1e6:.2f}", f"{decoder / 1e9:.2f}", f"{parameters / 1e6:.2f}"))
    print_table(("MViTv2-B at B8", "encoder MFLOPs", "decoder GFLOPs", "M parameters"), costs)
    times = []
    for shape in SMALL_SHAPES:
        for name in SMALL_CONFIGURATIONS:
            milliseconds = time_step(shape, Configuration.parse(name))
            times.append(("x".join(map(str, shape)), name, f"{milliseconds:.1f}"))
    print()
    print_table(("feature", "configuration", "ms per step"), times)


if __name__ == "__main__":
    main()
