"""H.264 of single clips, without a container: what a camera's own encoder would send.

Frames are RGB, uint8, `[time, height, width, 3]`; the bytes are an elementary stream (Annex B).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Iterator

import av
import numpy as np

from approxbit.errors import VideoError
from approxbit.video.converter import Converter
from approxbit.video.writer import check_frames

PRESETS = ("superfast", "veryslow")
"""The ends of what x264 offers: hardly any time, and hardly any bytes."""

VIDEO_FORMAT = "h264.h264"
"""The container (none) and the codec in FFmpeg's names."""

MAX_CRF = 51
FRAME_RATE = Fraction(25)
PADDING = 64
"""More than FFmpeg adds to a side of a picture before it compares it with the largest that is allowed."""

_START_CODE = re.compile(b"\0*\0\0\1")
_SEI = 6


def encode_h264(frames: np.ndarray, preset: str, crf: int) -> bytes:
    """All frames of a clip as H.264, on one thread.

    The preset is x264's own in everything, B-frames included. What is left out are the messages beside the
    picture (SEI): x264 writes its settings there, 600 to 700 bytes that no decoder needs. An odd last row or
    column is repeated once, because yuv420p needs even sizes.

    Args:
        frames: uint8 `[time, height, width, 3]`, at least one.
        preset: Such as `superfast`.
        crf: Constant rate factor, 0 to 51; lower is better.

    Raises:
        ValueError: Frames of another shape or type, or there is no such preset or rate factor.
        ImportError: This PyAV has no libx264.
    """
    check_frames(frames)
    if preset not in PRESETS or not 0 <= crf <= MAX_CRF:
        expected = f"{' or '.join(PRESETS)} and a crf of 0 to {MAX_CRF}"
        raise ValueError(f"expected the preset {expected}, found {preset!r} and {crf}")
    if "libx264" not in av.codecs_available:
        raise ImportError("H.264 needs a PyAV with libx264: pip install av")
    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
    encoder.framerate, encoder.time_base = FRAME_RATE, 1 / FRAME_RATE
    encoder.thread_count = 1
    encoder.options = {"preset": preset, "crf": str(crf)}
    converter, packets = Converter(), []
    for number, rgb in enumerate(even):
        frame = converter(av.VideoFrame.from_ndarray(rgb, format="rgb24"), "yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return _without_messages(b"".join(bytes(packet) for packet in packets))


def decode_h264(data: bytes, num_frames: int, height: int, width: int) -> np.ndarray:
    """The frames of a clip; the inverse of `encode_h264`, but for what its loss takes.

    The bytes may be anybody's: no picture above the declared size is ever allocated, and decoding stops with
    the first frame too many.

    Returns:
        uint8 `[num_frames, height, width, 3]`.

    Raises:
        VideoError: The bytes are not exactly so many frames of that size.
    """
    even = width + width % 2, height + height % 2
    arrays: list[np.ndarray] = []
    converter = Converter()
    try:
        for frame in _decoded(data, *even):
            found = (frame.width, frame.height)
            if found != even or len(arrays) == num_frames:
                raise VideoError(
                    f"expected {num_frames} frames of {even[0]} x {even[1]} pixels, found frame "
                    f"{len(arrays) + 1} of {found[0]} x {found[1]}"
                )
            arrays.append(converter(frame, "rgb24").to_ndarray()[:height, :width])
    except av.error.FFmpegError as error:
        raise VideoError(f"expected H.264 of at most {even[0]} x {even[1]} pixels, found {error}") from error
    if len(arrays) < num_frames:
        raise VideoError(f"expected {num_frames} frames of H.264, found {len(arrays)}")
    return np.stack(arrays)


def _decoded(data: bytes, width: int, height: int) -> Iterator[Any]:
    # No demuxer: it would decode the first frames itself, whatever size they have, to find out what is there.
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    most = (width + PADDING) * (height + PADDING)
    decoder.options = {"max_pixels": str(most), "err_detect": "explode"}
    for packet in [*decoder.parse(data), *decoder.parse(None)]:
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _without_messages(stream: bytes) -> bytes:
    units = [unit for unit in _START_CODE.split(stream) if unit]
    return b"".join(b"\0\0\1" + unit for unit in units if unit[0] & 31 != _SEI)
