"""Does the base MoViNet run at least as fast as the straightforward formulation of it?

    python benchmarks/speed/movinet_speed.py [--full] [--clip-shape 3 10 224 224] [--pairs 9] [--threads 1]

Straightforward: every convolution a plain conv3d on a padded grid, every batch norm a pass of its own.
Shipped: batch norms merged into the convolutions, depthwise kernels of one frame as 2-D convolutions.
Both run the same weights in alternation, so that a busy machine slows both alike.
Fails if the logits differ by more than 1e-5 or the shipped form is slower. `--full` is 3x50x224x224.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.movinet import MoViNet, movinet
from approxbit.backbones.movinet_layers import ConvolutionUnit, SameConv3d, same_padding

FULL_SHAPE = (3, 50, 224, 224)
TOLERANCE = 1e-5


class PlainConv3d(nn.Module):
    """`F.conv3d` after `F.pad`, and nothing else."""

    def __init__(self, source: SameConv3d) -> None:
        super().__init__()
        self.source = source

    def forward(self, grid: Tensor) -> Tensor:
        """What `SameConv3d` computes."""
        source = self.source
        edges: list[int] = []
        for axis in (4, 3):  # F.pad counts from the last axis
            edges += same_padding(grid.shape[axis], source.kernel_size[axis - 2], source.stride[axis - 2])
        edges += [source.kernel_size[0] // 2] * 2
        grid = F.pad(grid, edges) if any(edges) else grid
        return F.conv3d(grid, source.weight, source.bias, source.stride, groups=source.groups)


def make_straightforward(model: MoViNet) -> MoViNet:
    """A copy of the model whose convolutions are plain."""
    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, ConvolutionUnit):
            convolution, *rest = module.children()
            parent, _, child = name.rpartition(".")
            assert isinstance(convolution, SameConv3d)
            setattr(plain.get_submodule(parent), child, nn.Sequential(PlainConv3d(convolution), *rest))
    return plain


def make_lively(model: MoViNet) -> MoViNet:
    """The model in eval mode with random statistics, so that every norm counts."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype == torch.float32 and value.ndim < 2:
                value.copy_(0.5 + torch.rand(value.shape))
    return model.eval()


def time_pairs(
    straightforward: nn.Module, shipped: nn.Module, clip: Tensor, num_pairs: int
) -> Iterator[tuple[float, float]]:
    """Seconds of both, which take turns in going first."""
    for pair in range(num_pairs):
        order = (straightforward, shipped) if pair % 2 == 0 else (shipped, straightforward)
        seconds = {}
        for model in order:
            start = time.perf_counter()
            model(clip)
            seconds[model] = time.perf_counter() - start
        yield seconds[straightforward], seconds[shipped]


@torch.inference_mode()
def main() -> int:
    parser = argparse.ArgumentParser(
        description="Time the base MoViNet against its plain Conv3d formulation."
    )
    parser.add_argument("--name", default="a2")
    parser.add_argument("--clip-shape", type=int, nargs=4, default=(3, 10, 224, 224))
    parser.add_argument("--full", action="store_true", help="the published shape of A2, 3 50 224 224")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    shape = FULL_SHAPE if arguments.full else tuple(arguments.clip_shape)
    shipped = make_lively(movinet(arguments.name))
    straightforward = make_straightforward(shipped)
    clip = torch.rand(1, *shape)
    difference = float((straightforward(clip) - shipped(clip)).abs().max())  # this also warms both up
    pairs = list(time_pairs(straightforward, shipped, clip, arguments.pairs))
    ratio = statistics.median(after / before for before, after in pairs)
    before, after = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    size = "x".join(map(str, shape))
    print(f"MoViNet-{arguments.name.upper()} base, one clip of {size}, threads: {arguments.threads}")
    print(f"straightforward {before:.0f} ms, shipped {after:.0f} ms (medians)")
    print(f"shipped / straightforward: {ratio:.3f} (median of {len(pairs)} pairs)")
    print(f"largest difference of the logits {difference:.1e}")
    return 0 if ratio <= 1 and difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
