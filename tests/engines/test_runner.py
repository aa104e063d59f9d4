"""What an engine's codes and clips look like."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.runner import ClipFormat
from approxbit.wire import CodeFormat

FORMAT = ClipFormat(num_frames=2, size=4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def test_a_code_format_counts_its_class_tokens() -> None:
    code_format = CodeFormat(Configuration.parse("5-NoEnc-B8"), (1, 2, 3), num_tokens=1)
    assert code_format.num_positions == 7
    assert code_format.payload_bytes == 5  # 35 bits


def test_a_crop_keeps_the_middle() -> None:
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    assert np.array_equal(FORMAT.crop(frames), frames[:, :, 1:5])
    assert FORMAT.crop(frames).shape == FORMAT.frames_shape


def test_the_server_prepares_cropped_frames_as_the_device_prepares_whole_ones() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    clip = FORMAT.prepare(FORMAT.crop(frames))
    assert clip.shape == (3, 2, 4, 4)
    assert np.array_equal(clip, FORMAT.prepare(frames))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 4, 4, 3), np.uint8), ((2, 4, 4), np.uint8), ((2, 4, 4, 3), np.float32)]
)
def test_a_crop_takes_only_the_frames_of_one_clip(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"expected 2 frames, uint8 .* found (uint8|float32) of shape"):
        FORMAT.crop(np.zeros(shape, dtype))
