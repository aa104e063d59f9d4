"""3D convolutions over single frames: the time axis lies in the batch axis.

    [batch, channel, time, height, width]  <->  [batch * time, channel, height, width]

Engines are fast at 2D convolutions, above all at depthwise ones, and slow at 3D ones. A 3D kernel is the sum
of its 2D slices, each applied to every frame and moved in time.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.configuration import Shape3

Padding2 = tuple[int, int]
"""Zeros before and after an axis."""


def to_frames(
    grid: Float[Tensor, "batch channel time height width"],
) -> Float[Tensor, "frame channel height width"]:
    """The frames of all clips, one after the other; `from_frames` is the inverse."""
    _, channels, _, height, width = grid.shape
    return grid.transpose(1, 2).reshape(-1, channels, height, width)


def from_frames(
    frames: Float[Tensor, "frame channel height width"], num_frames: int
) -> Float[Tensor, "batch channel time height width"]:
    """The clips of `num_frames` frames each."""
    return frames.reshape(-1, num_frames, *frames.shape[1:]).transpose(1, 2)


class FrameConvolution(nn.Module):
    """A Conv3d on frames.

    Time is padded by half of the kernel on either side, as all our backbones do.

    Args:
        weight: `[channel_out, channel_in / groups, time, height, width]`, odd in time.
        bias: `[channel_out]` or None.
        size: Time, height and width of the grids that come in.
        stride: Of time, height and width.
        height_padding: Rows of zeros above and below.
        width_padding: Columns of zeros left and right.
        groups: As in Conv3d.
    """

    bias: Tensor | None

    def __init__(
        self,
        weight: Float[Tensor, "channel_out channel_in time height width"],
        bias: Float[Tensor, " channel_out"] | None,
        size: Shape3,
        stride: Shape3 = (1, 1, 1),
        height_padding: Padding2 = (0, 0),
        width_padding: Padding2 = (0, 0),
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.num_frames, height, width = size
        self.stride = stride
        self.groups = groups
        self.edges = (*width_padding, *height_padding)
        kernel = weight.shape[2:]
        self.size_out = (
            -(-self.num_frames // stride[0]),
            (height + sum(height_padding) - kernel[1]) // stride[1] + 1,
            (width + sum(width_padding) - kernel[2]) // stride[2] + 1,
        )
        self.channels_out = weight.shape[0]
        self.middle = kernel[0] // 2
        offsets = range(-self.middle, self.middle + 1)
        self.offsets = [offset for offset in offsets if offset and self._reach(offset)]
        for index in range(kernel[0]):
            self.register_buffer(f"weight_{index}", weight[:, :, index].detach(), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)

    def forward(
        self, frames: Float[Tensor, "frame channel height width"]
    ) -> Float[Tensor, "frame_out channel_out height_out width_out"]:
        """The convolved frames of all clips, `size_out[0]` for each clip."""
        left, right, top, bottom = self.edges
        padding = (top, left)
        if (left, top) != (right, bottom):
            # A convolution of torch pads both sides alike; onnxslim merges this into its pads.
            frames, padding = F.pad(frames, self.edges), (0, 0)
        result = self._move(self._convolve(frames, 0, padding), 0)
        for offset in self.offsets:
            result = result + self._move(self._convolve(frames, offset, padding), offset)
        return result

    def _convolve(self, frames: Tensor, offset: int, padding: Padding2) -> Tensor:
        weight = getattr(self, f"weight_{self.middle + offset}")
        bias = None if offset else self.bias  # every output frame has a middle, so it is added once
        return F.conv2d(frames, weight, bias, self.stride[1:], padding, groups=self.groups)

    def _move(self, frames: Tensor, offset: int) -> Tensor:
        """For each output frame the frame `offset` after its middle, zeros beyond the ends of the clip."""
        stride, num_out = self.stride[0], self.size_out[0]
        if (offset, stride) == (0, 1):
            return frames
        reach = self._reach(offset)
        shape = (self.channels_out, *self.size_out[1:])
        clips = frames.reshape(-1, self.num_frames, *shape)
        chosen = clips[:, reach[0] * stride + offset : reach[-1] * stride + offset + 1 : stride]
        before, after = reach[0], num_out - 1 - reach[-1]
        return F.pad(chosen, (0, 0, 0, 0, 0, 0, before, after)).reshape(-1, *shape)

    def _reach(self, offset: int) -> range:
        """The output frames whose middle has a frame `offset` after it."""
        stride, num_out = self.stride[0], self.size_out[0]
        first = max(-(offset // stride), 0)
        last = min((self.num_frames - 1 - offset) // stride, num_out - 1)
        return range(first, last + 1)
