"""The halves of MoViNet, base variant, in operators that every target takes. Streams are not exported.

All layers run on frames (see `frames`). Batch norms and ReZero scalars are folded into the convolutions,
SAME padding is written out as constants, and means over parts of windows become constant factors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature
from approxbit.backbones.movinet import MoViNetEdgeHalf, MoViNetServerHalf
from approxbit.backbones.movinet_layers import (
    Bottleneck,
    Convolution,
    SameAveragePool,
    SqueezeExcite,
    same_padding,
)
from approxbit.backbones.movinet_stream import MoViNetStreamEdgeHalf, MoViNetStreamServerHalf
from approxbit.configuration import Shape3, Shape4
from approxbit.errors import ExportError
from approxbit.exporting.views.frames import FrameConvolution, from_frames, to_frames
from approxbit.exporting.views.registry import view_of

Frames = Float[Tensor, "frame channel height width"]
FramesOut = Float[Tensor, "frame channel_out height_out width_out"]
ONE_POSITION = (1, 1, 1)


class ConvolutionView(nn.Module):
    """A `Convolution` on frames, with its batch norm folded in.

    Args:
        convolution: In eval mode.
        size: Time, height and width of the grids that come in.
        scale: Multiplies what comes out; only without swish.
    """

    def __init__(self, convolution: Convolution, size: Shape3, scale: Tensor | None = None) -> None:
        super().__init__()
        unit: Any = convolution.conv_1
        plain: nn.Conv3d = unit.conv3d
        weight, bias = fold(plain, getattr(unit, "norm", None), scale)
        self.convolution = FrameConvolution(
            weight,
            bias,
            size,
            _three(plain.stride),
            same_padding(size[1], plain.kernel_size[1], plain.stride[1]),
            same_padding(size[2], plain.kernel_size[2], plain.stride[2]),
            plain.groups,
        )
        self.has_swish = hasattr(unit, "swish")
        self.size_out = self.convolution.size_out
        self.channels_out = plain.out_channels

    def forward(self, frames: Frames) -> FramesOut:
        """The convolved, normalised and activated frames."""
        frames = self.convolution(frames)
        return F.silu(frames) if self.has_swish else frames


class AveragePoolView(nn.Module):
    """A `SameAveragePool` on frames: the padding counts, and a constant undoes it."""

    correction: Tensor

    def __init__(self, size: Shape3) -> None:
        super().__init__()
        time, height, width = size
        self.edges = (*same_padding(width, 3, 2), *same_padding(height, 3, 2))
        counted = F.avg_pool2d(F.pad(torch.ones(1, 1, height, width), self.edges), 3, 2)
        self.register_buffer("correction", 1 / counted, persistent=False)
        self.size_out = time, counted.shape[2], counted.shape[3]

    def forward(self, frames: Frames) -> FramesOut:
        """Frames of half the height and width."""
        return F.avg_pool2d(F.pad(frames, self.edges), 3, 2) * self.correction


class SqueezeExciteView(nn.Module):
    """A `SqueezeExcite` on frames: one gate for all frames of a clip."""

    def __init__(self, squeeze_excite: SqueezeExcite, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.fc1 = ConvolutionView(squeeze_excite.fc1, ONE_POSITION)
        self.fc2 = ConvolutionView(squeeze_excite.fc2, ONE_POSITION)
        self.channels = self.fc2.channels_out

    def forward(self, frames: Frames) -> Frames:
        """The frames with each channel scaled."""
        gate: Tensor = self.fc2(self.fc1(mean_of_clips(frames, self.num_frames, self.channels))).sigmoid()
        for_each_frame = gate.reshape(-1, 1, self.channels).expand(-1, self.num_frames, -1)
        return frames * for_each_frame.reshape(-1, self.channels, 1, 1)


class BottleneckView(nn.Module):
    """A `Bottleneck` on frames."""

    def __init__(self, bottleneck: Bottleneck, size: Shape3) -> None:
        super().__init__()
        self.expand = ConvolutionView(bottleneck.expand, size)
        self.deep = ConvolutionView(bottleneck.deep, size)
        self.size_out = self.deep.size_out
        self.squeeze_excite = SqueezeExciteView(bottleneck.se, size[0])
        self.project = ConvolutionView(bottleneck.project, self.size_out, bottleneck.alpha)
        self.skip, _ = _views(bottleneck.res, size)

    def forward(self, frames: Frames) -> FramesOut:
        """`skip(x) + project(se(deep(expand(x))))`."""
        out: Tensor = self.skip(frames) + self.project(self.squeeze_excite(self.deep(self.expand(frames))))
        return out


class MoViNetEdgeView(nn.Module):
    """The stem and the first blocks."""

    def __init__(self, half: MoViNetEdgeHalf, clip_shape: Shape4) -> None:
        super().__init__()
        self.layers, size = _views(half.layers, clip_shape[1:])
        self.num_frames = size[0]

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with no tokens."""
        grid = from_frames(self.layers(to_frames(clip)), self.num_frames)
        return Feature(grid, grid.new_zeros(grid.shape[0], 0, grid.shape[1]))


class MoViNetServerView(nn.Module):
    """The last blocks and the head."""

    def __init__(self, half: MoViNetServerHalf, feature_shape: Shape4) -> None:
        super().__init__()
        head: Any = half.conv7
        classifier: Any = half.classifier
        self.layers, size = _views(half.layers, feature_shape[1:])
        self.head = ConvolutionView(head, size)
        self.num_frames = size[0]
        convolutions = (layer for layer in classifier if isinstance(layer, Convolution))
        self.hidden, self.classes = (ConvolutionView(layer, ONE_POSITION) for layer in convolutions)

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits of a batch of features."""
        frames = self.head(self.layers(to_frames(feature.grid)))
        pooled = mean_of_clips(frames, self.num_frames, self.head.channels_out)
        logits: Tensor = self.classes(F.silu(self.hidden(pooled))).flatten(1)
        return logits


view_of.register(MoViNetEdgeHalf, MoViNetEdgeView)
view_of.register(MoViNetServerHalf, MoViNetServerView)


@view_of.register(MoViNetStreamEdgeHalf)
@view_of.register(MoViNetStreamServerHalf)
def _(half: nn.Module, input_shape: Shape4) -> nn.Module:
    raise ExportError(
        f"a {type(half).__name__} carries its state from frame to frame, which no exported graph does: run "
        "the stream under torch (approxbit.EdgeStream, approxbit.ServerStream), or export the base variant "
        "of the same size"
    )


def mean_of_clips(frames: Frames, num_frames: int, channels: int) -> Float[Tensor, "batch channel 1 1"]:
    """The mean of each channel over all frames of a clip."""
    by_frame = F.adaptive_avg_pool2d(frames, 1).reshape(-1, num_frames, channels)
    return by_frame.mean(dim=1).reshape(-1, channels, 1, 1)


@torch.no_grad()
def fold(convolution: nn.Conv3d, norm: Any | None, scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the one convolution that does what convolution, norm and scale do in turn.

    Computed in float64. Without norm and scale they are the convolution's own, not copies.
    """
    weight, bias = convolution.weight, convolution.bias
    if norm is None and scale is None:
        return weight, bias
    factor = torch.ones(len(weight), dtype=torch.float64)
    offset = torch.zeros_like(factor) if bias is None else bias.double()
    if norm is not None:
        factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        offset = (offset - norm.running_mean.double()) * factor + norm.bias.double()
    if scale is not None:
        factor, offset = factor * scale.double(), offset * scale.double()
    folded = weight.double() * factor[:, None, None, None, None]
    return folded.to(weight.dtype), offset.to(weight.dtype)


def _views(layers: Iterable[nn.Module], size: Shape3) -> tuple[nn.Sequential, Shape3]:
    """Views of layers that follow each other, and the size of the grid after the last."""
    views: list[ConvolutionView | BottleneckView | AveragePoolView] = []
    for layer in layers:
        if isinstance(layer, Bottleneck):
            views.append(BottleneckView(layer, size))
        elif isinstance(layer, SameAveragePool):
            views.append(AveragePoolView(size))
        elif isinstance(layer, Convolution):
            views.append(ConvolutionView(layer, size))
        else:
            raise TypeError(f"a MoViNet has no layer of type {type(layer).__name__}")
        size = views[-1].size_out
    return nn.Sequential(*views), size


def _three(stride: tuple[int, ...]) -> Shape3:
    time, height, width = stride
    return time, height, width
