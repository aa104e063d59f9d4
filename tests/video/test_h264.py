"""H.264 of single clips, and bytes that say they are some."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest

from approxbit.errors import VideoError
from approxbit.video import h264
from approxbit.video.h264 import decode_h264, encode_h264


def moving(num_frames: int = 8, height: int = 32, width: int = 32) -> np.ndarray:
    """A bright square on grey that moves on by two pixels with each frame."""
    frames = np.full((num_frames, height, width, 3), 96, np.uint8)
    for number, frame in enumerate(frames):
        frame[8:20, 2 * number : 2 * number + 12] = 224
    return frames


@pytest.mark.parametrize("preset", h264.PRESETS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (8, 32, 32), (5, 63, 33), (16, 48, 64)])
def test_all_frames_come_back_in_order_and_size(preset: str, shape: tuple[int, int, int]) -> None:
    frames = moving(*shape)
    decoded = decode_h264(encode_h264(frames, preset, crf=10), *shape)
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 3


def test_a_higher_rate_factor_and_a_slower_preset_take_fewer_bytes() -> None:
    noisy = moving() + np.random.default_rng(0).integers(0, 24, (8, 32, 32, 1), dtype=np.uint8)
    sizes = {
        preset: [len(encode_h264(noisy, preset, crf)) for crf in (15, 25, 35)] for preset in h264.PRESETS
    }
    for small_first in (sizes["superfast"][::-1], sizes["veryslow"][::-1]):
        assert small_first == sorted(small_first)
    assert sizes["veryslow"][1] < sizes["superfast"][1]


def test_nothing_crosses_but_parameters_and_pictures() -> None:
    units = re.split(b"\0\0\1", encode_h264(moving(), "veryslow", 30))
    assert units[0] == b""
    kinds = [unit[0] & 31 for unit in units[1:]]
    assert kinds[:3] == [7, 8, 5]
    assert set(kinds[3:]) == {1}


@pytest.mark.parametrize(
    ("frames", "preset", "crf", "message"),
    [
        (moving().astype(float), "superfast", 23, "frames must be uint8"),
        (moving(), "slowest", 23, "expected the preset superfast or veryslow .*, found 'slowest' and 23"),
        (moving(), "superfast", 52, "a crf of 0 to 51, found 'superfast' and 52"),
    ],
)
def test_what_cannot_be_encoded_is_refused(frames: np.ndarray, preset: str, crf: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_h264(frames, preset, crf)


def test_a_pyav_without_x264_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(ImportError, match=r"H\.264 needs a PyAV with libx264"):
        encode_h264(moving(), "superfast", 23)


VIDEO = encode_h264(moving(), "superfast", 30)


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (b"", (8, 32, 32), "expected 8 frames of H.264, found 0"),
        (
            b"\0\0\1" + bytes(range(256)),
            (8, 32, 32),
            "expected",
        ),
        (VIDEO[: len(VIDEO) // 2], (8, 32, 32), "expected"),
        (VIDEO, (7, 32, 32), "expected 7 frames of 32 x 32 pixels, found frame 8 of 32 x 32"),
        (VIDEO, (9, 32, 32), "expected 9 frames of H.264, found 8"),
        (VIDEO, (8, 30, 32), "expected 8 frames of 32 x 30 pixels, found frame 1 of 32 x 32"),
        (encode_h264(moving(2, 1024, 1024), "superfast", 40), (8, 32, 32), "at most 32 x 32 pixels"),
    ],
)
def test_bytes_that_are_not_exactly_the_clip_are_refused(
    data: bytes, size: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(VideoError, match=message):
        decode_h264(data, *size)


def test_damaged_bytes_give_the_frames_that_were_asked_for_or_an_error() -> None:
    source, outcomes = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(300):
        data = bytearray(VIDEO)
        for place in source.integers(0, len(data), 3):
            data[place] ^= 1 << source.integers(0, 8)
        try:
            assert decode_h264(bytes(data), 8, 32, 32).shape == (8, 32, 32, 3)
            outcomes[True] += 1
        except VideoError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 0
