"""Frames -> clip on the edge: what `approxbit.datasets.transforms` does at inference, without torch.

The same frames give the same clip, bit for bit, where no resize is needed. A resize is FFmpeg's instead of
torchvision's, both bilinear with antialiasing: they differ by 0.3 grey levels on average, by one or two at
most on natural pictures, and by up to 13 on white noise.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from approxbit.video.converter import Converter


def preprocess(
    frames: np.ndarray,
    size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    short_side: int | None = None,
) -> np.ndarray:
    """The clip that a backbone takes: short side resized, centre cropped, normalised.

    Args:
        frames: RGB, uint8, `[time, height, width, 3]`.
        size: Height and width of the clip.
        mean: Subtracted from RGB in [0, 1] (`Backbone.mean`).
        std: Divides after the subtraction (`Backbone.std`).
        short_side: Length of the shorter side before the crop, at least `size` (its default).

    Returns:
        float32 `[3, time, size, size]`, contiguous.

    Raises:
        ValueError: Frames of another shape or type, or `short_side` below `size`.

    Example:
        >>> frames = np.full((2, 4, 6, 3), 255, dtype=np.uint8)
        >>> clip = preprocess(frames, size=4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        >>> clip.shape, float(clip[0, 0, 0, 0])
        ((3, 2, 4, 4), 2.0)
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(
            "frames must be uint8 of shape [time, height, width, 3], "
            f"found {frames.dtype} of shape {list(frames.shape)}"
        )
    short_side = size if short_side is None else short_side
    if short_side < size:
        raise ValueError(f"short_side must be at least size={size}, found {short_side}")
    cropped = centre_crop(resize_short_side(frames, short_side), size)
    # The order of operations is torchvision's, in float32 throughout: another order differs in the last bit.
    scaled = cropped.astype(np.float32) * np.float32(1 / 255)
    normalised = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(normalised.transpose(3, 0, 1, 2))


def centre_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """The middle `size` x `size` pixels of frames `[time, height, width, 3]` that are at least as large."""
    top = round((frames.shape[1] - size) / 2)
    left = round((frames.shape[2] - size) / 2)
    return frames[:, top : top + size, left : left + size]


def resize_short_side(frames: np.ndarray, short_side: int) -> np.ndarray:
    """Frames whose shorter side has `short_side` pixels, with the same aspect ratio; uint8 in and out.

    Bilinear with antialiasing: the triangle of the interpolation grows with the reduction, so that every
    pixel counts. Each channel is scaled as a grey picture: in colour, FFmpeg's scaler halves the chroma on
    its way through YUV and is off by up to 38 grey levels (measured on 640x480 noise).
    """
    height, width = frames.shape[1:3]
    shorter = min(height, width)
    if shorter == short_side:
        return frames
    new_height, new_width = (side * short_side // shorter for side in (height, width))
    converter = Converter()
    resized = np.empty((len(frames), new_height, new_width, 3), np.uint8)
    grey = av.VideoFrame(width, height, "gray")
    plane: Any = grey.planes[0]
    pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
    for time, channel in np.ndindex(len(frames), 3):
        pixels[:] = frames[time, :, :, channel]
        resized[time, :, :, channel] = converter(grey, "gray", new_width, new_height).to_ndarray()
    return resized
