"""What modules are given: clips checked and normalised, tensors in their type of numbers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature

SLACK = 0.1
"""How far values may lie outside [0, 1], as a bicubic resize leaves them; normalised ones lie further out."""


def prepare(clip: object, backbone: Backbone) -> Float[Tensor, "batch 3 time height width"]:
    """A batch of clips as a backbone takes them: normalised, of its type of numbers, on its device.

    Args:
        clip: RGB `[batch, 3, time, height, width]`, floats in [0, 1] or uint8; of a backbone for single
            frames also `[batch, 3, height, width]`.
        backbone: Whose `mean` and `std` normalise.

    Raises:
        ValueError: The clip is of another shape, kind or range. The message says how to make one of it.
    """
    if not isinstance(clip, Tensor):
        raise ValueError(
            f"expected a tensor [batch, 3, time, height, width], found a {type(clip).__name__}: "
            "torch.from_numpy(frames).permute(3, 0, 1, 2)[None] makes one of frames [time, height, width, 3]"
        )
    channels, num_frames = backbone.clip_shape[:2]
    if clip.ndim == 4 and num_frames == 1 and clip.shape[1] == channels:
        clip = clip.unsqueeze(2)
    _check_shape(clip, channels)
    if clip.dtype == torch.uint8:
        clip = clip.float() * (1 / 255)  # as the edge does it: a division differs in the last bit
    _check_values(clip)
    return cast(backbone.normalise(clip if clip.dtype == torch.float64 else clip.float()), backbone)


def cast(tensor: Tensor, module: nn.Module) -> Tensor:
    """A tensor in the type of numbers, and on the device, of a module's first parameter."""
    like = next(module.parameters(), tensor)
    return tensor.to(like.device, like.dtype)


def cast_feature(feature: Feature, module: nn.Module) -> Feature:
    """A feature in the type of numbers, and on the device, of a module's first parameter."""
    return Feature(cast(feature.grid, module), cast(feature.tokens, module))


def _check_shape(clip: Tensor, channels: int) -> None:
    if clip.ndim == 5 and clip.shape[1] == channels:
        return
    cure = ""
    if clip.ndim == 5 and clip.shape[4] == channels:
        cure = ": this one has its channels last, clip.permute(0, 4, 1, 2, 3) puts them second"
    elif clip.ndim == 5 and clip.shape[2] == channels:
        cure = ": this one has its frames before its channels, clip.transpose(1, 2) swaps them"
    elif clip.ndim == 5 and clip.shape[1] == 1:
        cure = f": this one is grey, clip.expand(-1, {channels}, -1, -1, -1) gives it {channels} channels"
    elif clip.ndim == 4 and clip.shape[0] == channels:
        cure = ": this one has no batch axis, clip[None] adds it"
    elif clip.ndim == 4 and clip.shape[3] == channels:
        cure = ": these are frames, clip.permute(3, 0, 1, 2)[None] makes a batch of one clip of them"
    raise ValueError(
        f"expected clips [batch, {channels}, time, height, width], found shape {tuple(clip.shape)}{cure}"
    )


def _check_values(clip: Tensor) -> None:
    if not clip.is_floating_point():
        raise ValueError(f"expected RGB as floats from 0 to 1 or as uint8, found {clip.dtype}")
    if clip.is_meta or clip.numel() == 0:
        return
    lowest, highest = (value.item() for value in clip.aminmax())
    if lowest >= -SLACK and highest <= 1 + SLACK:
        return
    cure = "leave them as they are, the model normalises them by its mean and std (split takes both)"
    if lowest >= 0 and highest <= 255:
        cure = "divide them by 255, or give them as uint8"
    raise ValueError(f"expected RGB from 0 to 1, found values from {lowest:.4g} to {highest:.4g}: {cure}")
