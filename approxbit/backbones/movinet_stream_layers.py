"""The parts of a MoViNet, stream variant: 2-D convolutions over single frames, causal ones over time.

What a part must remember between two calls goes in and comes out as a value; the modules keep nothing. So one
model serves many streams, and a step is a pure function that can be exported as a graph.

Parts that do not look at other frames take images, `[image, channel, height, width]`. The others take
`[batch, time, channel, height, width]`, whose first two axes flatten into images without a copy.
Module names follow the state dicts that Atze00/MoViNet-pytorch publishes, so that those load strictly.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.movinet_layers import (
    BATCH_NORM_EPSILON,
    SameAveragePool,
    round_to_eight,
    same_padding,
)
from approxbit.backbones.movinet_table import LayerSpec


class LayerState(NamedTuple):
    """What one layer remembers of a batch of streams. Its size does not depend on the number of frames.

    Attributes:
        mean: Mean over all frames so far of what enters squeeze-and-excitation.
        history: The last frames that entered the convolution over time, as many as its kernel reaches back;
            None in a layer without such a convolution.
    """

    mean: Float[Tensor, "batch channel"]
    history: Float[Tensor, "batch before channel height width"] | None


class SameConv2d(nn.Conv2d):
    """A Conv2d that pads height and width by `same_padding`, with zeros."""

    def forward(
        self, images: Float[Tensor, "image channel height width"]
    ) -> Float[Tensor, "image channel_out height_out width_out"]:
        """`[image, channel, H, W]` to `[image, channel_out, ceil(H / stride), ceil(W / stride)]`."""
        top, bottom = same_padding(images.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(images.shape[3], self.kernel_size[1], self.stride[1])
        padding = (top, left)
        if (top, left) != (bottom, right):
            # A convolution can only pad both sides alike, so the longer side is laid out first.
            images = F.pad(images, (left, right, top, bottom))
            padding = (0, 0)
        return F.conv2d(images, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class FrameUnit(nn.Sequential):
    """A 2-D convolution, then batch norm and hard-swish where they are wanted."""

    def __init__(self, convolution: nn.Conv2d, has_norm: bool = True, has_swish: bool = True) -> None:
        parts: list[tuple[str, nn.Module]] = [("conv2d", convolution)]
        if has_norm:
            parts.append(("norm", nn.BatchNorm2d(convolution.out_channels, eps=BATCH_NORM_EPSILON)))
        if has_swish:
            parts.append(("swish", nn.Hardswish()))
        super().__init__(OrderedDict(parts))


class FrameConvolution(nn.Sequential):
    """A convolution of the model that looks at one frame, kernel 1x1 unless told otherwise.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Height and width, odd.
        stride: Of height and width.
        has_norm: Whether a batch norm follows; the convolution has a bias only where it does not.
        has_swish: Whether a hard-swish follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        has_norm: bool = True,
        has_swish: bool = True,
    ) -> None:
        convolution = SameConv2d(in_channels, out_channels, kernel, stride, bias=not has_norm)
        super().__init__(OrderedDict(conv_1=FrameUnit(convolution, has_norm, has_swish)))


class TimeUnit(nn.Module):
    """A depthwise convolution over time that sees no later frame, then batch norm and hard-swish.

    It is computed as a sum of scaled frames, in a fixed order: no axis has to be moved, and the bits do not
    depend on how the frames are divided among calls.

    Args:
        channels: Channels in and out.
        length: How many frames the kernel spans, at least 2.
    """

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(channels, channels, (length, 1), groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)

    def forward(
        self,
        frames: Float[Tensor, "batch time channel height width"],
        history: Float[Tensor, "batch before channel height width"],
    ) -> tuple[
        Float[Tensor, "batch time channel height width"], Float[Tensor, "batch before channel height width"]
    ]:
        """One frame out for each frame in, and the history for the next call."""
        batch_size, time = frames.shape[:2]
        seen = torch.cat([history, frames], dim=1)
        scales = self.conv2d.weight[:, 0, :, :, None].unbind(1)  # one [channel, 1, 1] for each tap
        mixed = scales[0] * seen[:, :time]
        for start, scale in enumerate(scales[1:], start=1):
            mixed = mixed + scale * seen[:, start : start + time]
        mixed = F.hardswish(self.norm(mixed.flatten(0, 1)))
        # A copy, as a slice would keep all of `seen` alive.
        return mixed.unflatten(0, (batch_size, time)), seen[:, time:].clone()


class CausalConvolution(nn.Module):
    """A depthwise convolution in two parts: `conv_1` over height and width, `conv_2` over time.

    There is no `conv_2` where the kernel spans a single frame.
    """

    def __init__(self, channels: int, spec: LayerSpec) -> None:
        super().__init__()
        self.num_before = spec.kernel[0] - 1
        space = SameConv2d(channels, channels, spec.kernel[1:], spec.stride, groups=channels, bias=False)
        self.conv_1 = FrameUnit(space)
        self.conv_2 = TimeUnit(channels, spec.kernel[0]) if self.num_before else None

    def forward(
        self,
        frames: Float[Tensor, "batch time channel height width"],
        history: Float[Tensor, "batch before channel height_out width_out"] | None,
    ) -> tuple[
        Float[Tensor, "batch time channel height_out width_out"],
        Float[Tensor, "batch before channel height_out width_out"] | None,
    ]:
        """One frame out for each frame in, and the history for the next call."""
        mixed = self.conv_1(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        if self.conv_2 is None or history is None:
            return mixed, None
        mixed, history = self.conv_2(mixed, history)
        return mixed, history


def advance_mean(
    values: Float[Tensor, "batch time channel"],
    mean: Float[Tensor, "batch channel"],
    num_frames: Int64[Tensor, " batch"],
) -> tuple[Float[Tensor, "batch time channel"], Float[Tensor, "batch channel"]]:
    """Means over all frames up to each of the new ones, and the last of these means.

    One frame after the other, so that the bits do not depend on how the frames are divided among calls. The
    mean is kept rather than the sum, as a sum would leave the range of float16 on a long stream.

    Args:
        values: The new frames'.
        mean: Over the frames before.
        num_frames: How many frames came before in each stream.

    Example:
        >>> values = torch.tensor([[[4.0], [9.0]]])
        >>> advance_mean(values, mean=torch.tensor([[2.0]]), num_frames=torch.tensor([1]))[0]
        tensor([[[3.],
                 [5.]]])
    """
    means = []
    for number, value in enumerate(values.unbind(1), start=1):
        mean = mean + (value - mean) / (num_frames + number)[:, None]
        means.append(mean)
    return torch.stack(means, dim=1), mean


class CausalSqueezeExcite(nn.Module):
    """Scales each channel by a gate in [0, 1], from the frame's means and those over all frames so far.

    The gate is `clip(0.2 x + 0.5)`, with which the published weights were trained. `nn.Hardsigmoid` has the
    slope 1/6 instead.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = round_to_eight(channels / 2)
        self.fc1 = FrameConvolution(2 * channels, hidden, has_norm=False)
        self.fc2 = FrameConvolution(hidden, channels, has_norm=False, has_swish=False)

    def forward(
        self,
        frames: Float[Tensor, "batch time channel height width"],
        mean: Float[Tensor, "batch channel"],
        num_frames: Int64[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch time channel height width"], Float[Tensor, "batch channel"]]:
        """`frames * clip(0.2 * fc2(hardswish(fc1([mean so far, frame's mean]))) + 0.5)`, and the new mean."""
        values = frames.mean(dim=(3, 4))
        means, mean = advance_mean(values, mean, num_frames)
        context = torch.cat([means, values], dim=2).flatten(0, 1)[:, :, None, None]
        gate = (0.2 * self.fc2(self.fc1(context)) + 0.5).clamp(0, 1)
        return frames * gate.unflatten(0, frames.shape[:2]), mean


class CausalBottleneck(nn.Module):
    """One layer: `skip(x) + alpha * project(se(deep(expand(x))))`, with the learned ReZero scalar `alpha`."""

    def __init__(self, in_channels: int, out_channels: int, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.alpha = nn.Parameter(torch.ones(()))  # from 1, as in the base variant
        self.expand = FrameConvolution(in_channels, spec.expand)
        self.deep = CausalConvolution(spec.expand, spec)
        self.se = CausalSqueezeExcite(spec.expand)
        self.project = FrameConvolution(spec.expand, out_channels, has_swish=False)
        skip: list[nn.Module] = []
        if spec.stride != 1:
            skip.append(SameAveragePool())
        if spec.stride != 1 or in_channels != out_channels:
            skip.append(FrameConvolution(in_channels, out_channels, has_swish=False))
        self.res = nn.Sequential(*skip)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what comes out for frames of `size`."""
        return -(-size[0] // self.spec.stride), -(-size[1] // self.spec.stride)

    def initial_state(self, batch_size: int, size: tuple[int, int]) -> LayerState:
        """The state before the first of the frames, whose height and width are `size`."""
        mean_shape, history_shape = self._state_shapes(batch_size, size)
        history = None if history_shape is None else self.alpha.new_zeros(history_shape)
        return LayerState(self.alpha.new_zeros(mean_shape), history)

    def forward(
        self,
        frames: Float[Tensor, "batch time channel height width"],
        state: LayerState,
        num_frames: Int64[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch time channel_out height_out width_out"], LayerState]:
        """One frame out for each frame in, and the state for the next call.

        Raises:
            ValueError: The state is not one of this layer for as many streams of frames of this size.
        """
        self._check_state(frames, state)
        images = frames.flatten(0, 1)
        expanded = self.expand(images).unflatten(0, frames.shape[:2])
        mixed, history = self.deep(expanded, state.history)
        gated, mean = self.se(mixed, state.mean, num_frames)
        images = self.res(images) + self.alpha * self.project(gated.flatten(0, 1))
        return images.unflatten(0, frames.shape[:2]), LayerState(mean, history)

    def _state_shapes(
        self, batch_size: int, size: tuple[int, int]
    ) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        mean_shape = (batch_size, self.spec.expand)
        if not self.deep.num_before:
            return mean_shape, None
        return mean_shape, (batch_size, self.deep.num_before, self.spec.expand, *self.output_size(size))

    def _check_state(self, frames: Tensor, state: LayerState) -> None:
        expected = self._state_shapes(frames.shape[0], (frames.shape[3], frames.shape[4]))
        found = tuple(None if each is None else tuple(each.shape) for each in state)
        if found != expected:
            raise ValueError(
                f"the state must be that of this model for {frames.shape[0]} streams of frames of this size: "
                f"a layer expected a mean and a history of shapes {expected[0]} and {expected[1]}, "
                f"found {found[0]} and {found[1]}"
            )
