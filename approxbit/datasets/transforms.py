"""Frames -> clip in training and evaluation, on torchvision's v2 transforms.

    uint8 [time, height, width, 3] -> short side -> crop -> [0, 1] -> (x - mean) / std
    -> float [3, time, size, size]

`approxbit.video.preprocess` is the torch-free twin of the inference transform.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.transforms import v2


class FramesToImages(nn.Module):
    """Frames as `read_clip` gives them -> a batch of images, as torchvision wants it."""

    def forward(
        self, frames: UInt8[Tensor, "time height width 3"] | UInt8[np.ndarray, "time height width 3"]
    ) -> UInt8[Tensor, "time 3 height width"]:
        """The same pixels with channels first."""
        return torch.as_tensor(frames).permute(0, 3, 1, 2)


class ImagesToClip(nn.Module):
    """A batch of images -> one clip without batch axis."""

    def forward(self, images: Float[Tensor, "time 3 height width"]) -> Float[Tensor, "3 time height width"]:
        """The same values with channels before time."""
        return images.transpose(0, 1).contiguous()


def clip_transform(
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    training: bool,
    short_side: int | None = None,
    horizontal_flip: bool = False,
) -> v2.Compose:
    """The paper's transform: a random crop in training, the centre crop at inference.

    All frames of a clip get the same crop. Mirroring is off, because "left" and "right" are classes of
    Something-Something-v2 and of Digits-in-Motion.

    Args:
        size: Height and width of the clip; 224 in the paper.
        mean: Subtracted from RGB in [0, 1], per channel (`Backbone.mean`).
        std: Divides after the subtraction (`Backbone.std`).
        training: Random instead of centre crop.
        short_side: Length of the shorter side before the crop, at least `size` (its default).
        horizontal_flip: Mirror half of the training clips, as is usual for Kinetics.

    Returns:
        A transform of uint8 frames `[time, height, width, 3]`, tensor or numpy, to a float32 clip
        `[3, time, size, size]`.

    Raises:
        ValueError: `short_side` is below `size`, or frames are mirrored at inference.
    """
    short_side = size if short_side is None else short_side
    if short_side < size:
        raise ValueError(f"short_side must be at least size={size}, found {short_side}")
    if horizontal_flip and not training:
        raise ValueError("horizontal_flip belongs to training, found training=False")
    steps = [
        FramesToImages(),
        v2.Resize(short_side, antialias=True),
        v2.RandomCrop(size) if training else v2.CenterCrop(size),
        *([v2.RandomHorizontalFlip()] if horizontal_flip else []),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(mean), list(std)),
        ImagesToClip(),
    ]
    return v2.Compose(steps)
