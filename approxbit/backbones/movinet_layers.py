"""The parts of a MoViNet, base variant: no causal padding, no carried state.

Module names follow the state dicts that Atze00/MoViNet-pytorch publishes, so that those load strictly.
Input and output of every part are `[batch, channel, time, height, width]`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.base import run_through
from approxbit.backbones.movinet_table import LayerSpec

BATCH_NORM_EPSILON = 1e-3


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis that leave `ceil(size / stride)` positions, the smaller part first.

    TensorFlow's SAME rule: with stride 2 the amount depends on the parity of `size`.

    Example:
        >>> same_padding(112, kernel=3, stride=2), same_padding(43, kernel=3, stride=2)
        ((0, 1), (1, 1))
    """
    total = max(kernel - (size % stride or stride), 0)
    return total // 2, total - total // 2


def round_to_eight(width: float) -> int:
    """The multiple of 8 nearest to `width`, at least 8, and never more than a tenth below it.

    Example:
        >>> round_to_eight(6.0), round_to_eight(60.0), round_to_eight(18.9)
        (8, 64, 24)
    """
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def is_exported() -> bool:
    """Whether a graph is being exported. It should show the plain layers, which engines know how to merge."""
    return torch.compiler.is_exporting()


class SameConv3d(nn.Conv3d):
    """A Conv3d that pads height and width by `same_padding` and time symmetrically, all with zeros."""

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel_out time height_out width_out"]:
        """`[batch, channel, T, H, W]` to `[batch, channel_out, T, ceil(H / stride), ceil(W / stride)]`."""
        return self.convolve(grid, self.weight, self.bias)

    def convolve(
        self,
        grid: Float[Tensor, "batch channel time height width"],
        weight: Float[Tensor, "channel_out group_channel length rows columns"],
        bias: Float[Tensor, " channel_out"] | None,
    ) -> Float[Tensor, "batch channel_out time height_out width_out"]:
        """`forward` with another weight and bias of the same shapes."""
        top, bottom = same_padding(grid.shape[3], self.kernel_size[1], self.stride[1])
        left, right = same_padding(grid.shape[4], self.kernel_size[2], self.stride[2])
        padding = [self.kernel_size[0] // 2, top, left]
        if (top, left) != (bottom, right):
            # A convolution can only pad both sides alike, so the longer side is laid out first.
            grid = F.pad(grid, (left, right, top, bottom))
            padding[1:] = [0, 0]
        is_depthwise = self.groups == self.in_channels == self.out_channels
        if is_depthwise and self.kernel_size[0] == 1 and not is_exported():
            return self._convolve_frames(grid, weight, bias, padding[1:])
        return F.conv3d(grid, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _convolve_frames(
        self, grid: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int]
    ) -> Float[Tensor, "batch channel_out time height_out width_out"]:
        """A depthwise kernel of one frame as a 2-D convolution, for which CPUs have faster code.

        Every frame of a channel is a channel of its own, with the same kernel, so nothing is moved.
        `benchmarks/speed/movinet_speed.py` measures it.
        """
        channels, time = grid.shape[1:3]
        weight = weight[:, :, 0].repeat_interleave(time, dim=0)
        bias = None if bias is None else bias.repeat_interleave(time)
        planes = F.conv2d(grid.flatten(1, 2), weight, bias, self.stride[1:], padding, groups=channels * time)
        convolved: Tensor = planes.unflatten(1, (channels, time))
        return convolved


class SameAveragePool(nn.Module):
    """Halves height and width by 3x3 means that do not count the padding."""

    def forward(
        self, grid: Float[Tensor, "*batch channel height width"]
    ) -> Float[Tensor, "*batch channel height_out width_out"]:
        """`[..., H, W]` to `[..., ceil(H / 2), ceil(W / 2)]`."""
        height, width = grid.shape[-2:]
        edges = (*same_padding(width, 3, 2), *same_padding(height, 3, 2))
        # Laid out here, since the pool's own padding refuses grids below 3x3 and exporters differ on it.
        ones = F.pad(grid.new_ones(1, 1, height, width), edges)
        counted = F.avg_pool2d(ones, 3, 2)
        planes = F.avg_pool2d(F.pad(grid.flatten(0, -3)[None], edges), 3, 2) / counted
        pooled: Tensor = planes[0].unflatten(0, grid.shape[:-2])
        return pooled


class ConvolutionUnit(nn.Sequential):
    """Convolution, then batch norm and swish where they are wanted; the one step of a base `Convolution`."""

    conv3d: SameConv3d

    def __init__(self, convolution: SameConv3d, has_norm: bool, has_swish: bool) -> None:
        parts: list[tuple[str, nn.Module]] = [("conv3d", convolution)]
        if has_norm:
            parts.append(("norm", nn.BatchNorm3d(convolution.out_channels, eps=BATCH_NORM_EPSILON)))
        if has_swish:
            parts.append(("swish", nn.SiLU()))
        super().__init__(OrderedDict(parts))

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel_out time height_out width_out"]:
        """`swish(norm(conv3d(grid)))`, or as much of it as there is.

        In eval mode the norm is a scale and a shift, which the convolution takes into its weight and bias:
        one pass over the grid less, the same values but for rounding.
        """
        norm = getattr(self, "norm", None)
        if norm is None or norm.training or is_exported():
            return run_through(self, grid)
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = self.conv3d.weight * scale[:, None, None, None, None]
        grid = self.conv3d.convolve(grid, weight, norm.bias - norm.running_mean * scale)
        return F.silu(grid) if hasattr(self, "swish") else grid


class Convolution(nn.Sequential):
    """A convolution of the model. In the base variant it is one step, `conv_1`.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: (time, height, width), odd.
        stride: Of height and width; time is never strided.
        groups: As in Conv3d.
        has_norm: Whether a batch norm follows; the convolution has a bias only where it does not.
        has_swish: Whether x * sigmoid(x) follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int] = (1, 1, 1),
        stride: int = 1,
        groups: int = 1,
        has_norm: bool = True,
        has_swish: bool = True,
    ) -> None:
        convolution = SameConv3d(
            in_channels, out_channels, kernel, (1, stride, stride), groups=groups, bias=not has_norm
        )
        super().__init__(OrderedDict(conv_1=ConvolutionUnit(convolution, has_norm, has_swish)))


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate in (0, 1) computed from the channel means over the whole clip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = round_to_eight(channels / 4)
        self.fc1 = Convolution(channels, hidden, has_norm=False)
        self.fc2 = Convolution(hidden, channels, has_norm=False, has_swish=False)

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel time height width"]:
        """`grid * sigmoid(fc2(swish(fc1(mean(grid)))))`."""
        mean = grid.mean(dim=(2, 3, 4), keepdim=True)
        gated: Tensor = grid * self.fc2(self.fc1(mean)).sigmoid()
        return gated


class Bottleneck(nn.Module):
    """One layer: `skip(x) + alpha * project(se(deep(expand(x))))`, with the learned ReZero scalar `alpha`."""

    def __init__(self, in_channels: int, out_channels: int, spec: LayerSpec) -> None:
        super().__init__()
        # ReZero starts at 0. From 1, training `movinet_small` left chance level in a quarter of the
        # steps (one pair of runs), and ended no worse.
        self.alpha = nn.Parameter(torch.ones(()))
        self.expand = Convolution(in_channels, spec.expand)
        self.deep = Convolution(spec.expand, spec.expand, spec.kernel, spec.stride, groups=spec.expand)
        self.se = SqueezeExcite(spec.expand)
        self.project = Convolution(spec.expand, out_channels, has_swish=False)
        skip: list[nn.Module] = []
        if spec.stride != 1:
            skip.append(SameAveragePool())
        if spec.stride != 1 or in_channels != out_channels:
            skip.append(Convolution(in_channels, out_channels, has_swish=False))
        self.res = nn.Sequential(*skip)

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel_out time height_out width_out"]:
        """`[batch, channel, T, H, W]` to `[batch, channel_out, T, ceil(H / stride), ceil(W / stride)]`."""
        out: Tensor = self.res(grid) + self.alpha * self.project(self.se(self.deep(self.expand(grid))))
        return out
