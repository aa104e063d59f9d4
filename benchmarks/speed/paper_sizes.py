"""Every configuration of the paper at full size: bytes, compression, FLOPs, parameters, resident memory.

    python benchmarks/speed/paper_sizes.py [--run]

Nothing is trained and no weights are loaded: sizes follow from shapes, on torch's meta device. FLOPs are
those of convolutions, linear layers and attention products, 2 for each multiply-add. The paper counts no
class tokens, and neither do the bytes beside its figures; what they add stands in a column of its own.
First, all eight MViTv2-B configurations are made resident in this process, sharing one backbone, next to
the paper's 4.6 GB; `--run` also sends one clip of 32 x 224 x 224 through two of them (a minute on one core).
"""

from __future__ import annotations

import argparse
import datetime
import gc
import math
import resource
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from approxbit.backbones.feature import Feature
from approxbit.offload import OffloadedModel
from approxbit.zoo import PAPER_CONFIGURATIONS, build_family, describe_machine

PAPER_BYTES: Mapping[str, Mapping[str, int]] = {
    "mvitv2_b": {
        "64-Enc-B8": 3136,
        "64-NoEnc-B8": 25088,
        "128-Enc-B8": 6272,
        "128-NoEnc-B8": 50176,
        "64-Enc-B16": 3136,
        "64-NoEnc-B16": 25088,
        "128-Enc-B16": 6272,
        "128-NoEnc-B16": 50176,
    },
    # Of the six, Table 3 prints four.
    "movinet_a2": {"16-Enc-B5": 2450, "32-Enc-B5": 4900, "32-NoEnc-B5": 39200, "16-Enc-B3": 9800},
    "video_llava_7b": {"128-Enc-L8": 4096, "128-NoEnc-L8": 32768, "256-Enc-L8": 8192, "256-NoEnc-L8": 65536},
    "llava_onevision_0_5b": {
        "128-Enc-L8": 50176,
        "128-NoEnc-L8": 373248,
        "256-Enc-L8": 100352,
        "256-NoEnc-L8": 746496,
    },
}
PAPER_RESIDENT_GB = 4.6
GB = 1e9


def count_flops(model: OffloadedModel) -> tuple[int, int]:
    """FLOPs of the encoder and of the decoder for one clip, on the device where the codec lies."""
    codec = model.codec
    device = next(codec.parameters()).device
    feature = Feature(
        torch.zeros(1, *codec.feature_shape, device=device),
        torch.zeros(1, codec.num_tokens, codec.feature_shape.channels, device=device),
    )
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as encoder:
            code = codec.encode(feature)
        with FlopCounterMode(display=False) as decoder:
            codec.decode(code)
    return encoder.get_total_flops(), decoder.get_total_flops()


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def describe_family(builder: str) -> Table:
    """One row for each configuration of a backbone."""
    table = Table(title=f"{builder}", box=None, title_justify="left")
    for title in (
        "configuration",
        "bytes",
        "paper's",
        "+ class tokens",
        "x float32",
        "x float16",
        "encoder MFLOPs",
        "decoder GFLOPs",
        "M parameters",
    ):
        table.add_column(title, justify="left" if title == "configuration" else "right")
    with torch.device("meta"):
        models = build_family(builder)
    for name in PAPER_CONFIGURATIONS[builder]:
        model = models[name]
        shape, configuration = model.codec.feature_shape, model.codec.configuration
        payload = configuration.payload_bytes(shape)
        encoder, decoder = count_flops(model)
        table.add_row(
            name,
            f"{payload:,}",
            f"{PAPER_BYTES[builder][name]:,}" if name in PAPER_BYTES[builder] else "-",
            f"{configuration.payload_bytes(shape, model.codec.num_tokens) - payload:,}",
            f"{4 * math.prod(shape) / payload:,.1f}",
            f"{2 * math.prod(shape) / payload:,.1f}",
            f"{encoder / 1e6:,.1f}",
            f"{decoder / 1e9:,.2f}",
            f"{count_parameters(model.codec) / 1e6:.2f}",
        )
    return table


def resident_bytes() -> int:
    """What this process holds in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@torch.inference_mode()
def measure_residence(console: Console, run: bool) -> None:
    """Make the eight MViTv2-B configurations resident and say what they take."""
    gc.collect()
    before = resident_bytes()
    models = build_family("mvitv2_b")
    for model in models.values():
        for parameter in model.parameters():
            parameter.add_(0)  # touched, so that its pages are really there
    backbone = next(iter(models.values())).backbone
    codecs = sum(count_parameters(model.codec) for model in models.values())
    console.print(
        f"eight configurations of mvitv2_b resident: {(resident_bytes() - before) / GB:.3f} GB "
        f"(one backbone {4 * count_parameters(backbone) / GB:.3f} GB, eight codecs {4 * codecs / GB:.3f} GB, "
        f"float32, CPU); the paper: {PAPER_RESIDENT_GB} GB, on a GPU"
    )
    if run:
        clip = torch.rand(1, *backbone.clip_shape)
        for name in ("64-Enc-B8", "128-NoEnc-B16"):
            models[name](clip)
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        console.print(f"largest so far, with the clips' activations and torch itself: {peak / GB:.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", action="store_true", help="also answer a clip of full size")
    arguments = parser.parse_args()
    console = Console(width=140, highlight=False)
    console.print(f"{datetime.date.today().isoformat()}, {describe_machine()}\n")
    measure_residence(console, arguments.run)
    for builder in PAPER_CONFIGURATIONS:
        console.print()
        console.print(describe_family(builder))


if __name__ == "__main__":
    main()
