from __future__ import annotations

import numpy as np
import pytest

from approxbit.datasets.transforms import clip_transform
from approxbit.video.preprocess import centre_crop, preprocess, resize_short_side

MEAN, STD = (0.45, 0.4, 0.5), (0.225, 0.2, 0.3)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def natural(num_frames: int, height: int, width: int) -> np.ndarray:
    """Smooth colour waves, with the spectrum of pictures rather than of noise."""
    t, y, x, c = np.ogrid[:num_frames, :height, :width, :3]
    waves = np.sin(x / 9 + c + t) + np.cos(y / 7 - x / 15 + 2 * c) + np.sin((x + y) / 40)
    return np.rint(127.5 + 42 * waves).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (32, 45, 32), (51, 32, 32), (33, 64, 33)]
)
def test_without_a_resize_the_clip_is_torchvisions_bit_for_bit(height, width, size):
    frames = noise(3, height, width, 3)
    assert np.array_equal(preprocess(frames, size, MEAN, STD), clip_transform(size, MEAN, STD, False)(frames))


def test_every_grey_level_is_normalised_to_torchvisions_bits():
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    for mean, std in ((MEAN, STD), ((0.45,) * 3, (0.225,) * 3), ((0.0,) * 3, (1.0,) * 3)):
        assert np.array_equal(preprocess(frames, 16, mean, std), clip_transform(16, mean, std, False)(frames))


@pytest.mark.parametrize(
    ("height", "width", "size"), [(64, 96, 48), (240, 427, 112), (96, 64, 37), (24, 30, 32)]
)
def test_with_a_resize_the_clip_is_within_two_grey_levels_of_torchvisions(height, width, size):
    frames = natural(2, height, width)
    ours = preprocess(frames, size, (0.0,) * 3, (1.0,) * 3)
    theirs = clip_transform(size, (0.0,) * 3, (1.0,) * 3, False)(frames).numpy()
    assert ours.shape == theirs.shape == (3, 2, size, size)
    difference = np.abs(ours - theirs) * 255
    assert difference.max() < 2.01
    assert difference.mean() < 0.4


def test_a_larger_short_side_leaves_a_margin_that_is_cropped():
    frames = natural(2, 60, 90)
    ours = preprocess(frames, 32, MEAN, STD, short_side=40)
    theirs = clip_transform(32, MEAN, STD, False, short_side=40)(frames).numpy()
    assert np.abs(ours - theirs).max() < 2.01 / 255 / 0.2


def test_resizing_keeps_the_aspect_ratio():
    assert resize_short_side(noise(1, 30, 45, 3), 20).shape == (1, 20, 30, 3)
    assert resize_short_side(noise(1, 45, 31, 3), 62).shape == (1, 90, 62, 3)


def test_the_crop_is_the_middle():
    frames = np.zeros((1, 6, 8, 3), np.uint8)
    frames[:, 1:5, 2:6] = 1
    assert centre_crop(frames, 4).min() == 1


def test_the_clip_is_contiguous_float32():
    clip = preprocess(noise(2, 8, 9, 3), 8, MEAN, STD)
    assert clip.dtype == np.float32
    assert clip.flags.c_contiguous


def test_frames_of_another_type_or_shape_are_refused():
    with pytest.raises(ValueError, match=r"uint8 of shape .* found float64 of shape \[1, 4, 4, 3\]"):
        preprocess(np.zeros((1, 4, 4, 3)), 4, MEAN, STD)
    with pytest.raises(ValueError, match=r"found uint8 of shape \[3, 4, 4\]"):
        preprocess(noise(3, 4, 4), 4, MEAN, STD)


def test_a_short_side_below_the_size_is_refused():
    with pytest.raises(ValueError, match="short_side must be at least size=8, found 7"):
        preprocess(noise(1, 8, 8, 3), 8, MEAN, STD, short_side=7)
