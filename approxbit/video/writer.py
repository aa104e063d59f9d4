"""Frames -> compressed video, as a file or as bytes."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import Any

import av
import numpy as np

from approxbit.files import PathLike, write_whole
from approxbit.video.converter import Converter

_CONTAINERS = {".mp4": "mp4", ".webm": "webm", ".avi": "avi", ".mkv": "matroska"}


def write_video(
    path: PathLike,
    frames: np.ndarray,
    frame_rate: float,
    crf: int = 23,
    codec: str = "libx264",
) -> None:
    """Write frames to a file whose container follows from its extension; see `encode_video`.

    The file appears complete or not at all, so an interrupted run leaves no broken video behind.

    Raises:
        ValueError: As `encode_video`, or an extension that no container has.
    """
    name = os.fspath(path)
    extension = os.path.splitext(name)[1].lower()
    if extension not in _CONTAINERS:
        raise ValueError(f"{name}: the extension must be one of {', '.join(_CONTAINERS)}")
    data = encode_video(frames, frame_rate, crf, codec, _CONTAINERS[extension])
    write_whole(path, data)


def encode_video(
    frames: np.ndarray,
    frame_rate: float,
    crf: int = 23,
    codec: str = "libx264",
    container: str = "mp4",
) -> bytes:
    """Compressed video of some frames, as the bytes of a file.

    The pixel format is yuv420p, which every decoder has; it needs even sizes, so an odd last row or column
    is repeated once. Same frames, same bytes: one thread, no dates, no random identifiers.

    Args:
        frames: RGB, uint8, `[time, height, width, 3]`, at least one frame.
        frame_rate: Frames per second, above 0.
        crf: Constant rate factor, lower is better: 0 to 51 for libx264 and libx265, 0 to 63 for libvpx-vp9.
            Codecs without one (mpeg4) ignore it.
        codec: Name of an FFmpeg encoder.
        container: FFmpeg's name of the file format: `mp4`, `webm`, `avi`, `matroska`.

    Raises:
        ValueError: Frames of another shape or type, a rate of 0 or below, or an unknown codec.
    """
    check_frames(frames)
    if frame_rate <= 0:
        raise ValueError(f"frame_rate must be above 0, found {frame_rate}")
    if codec not in av.codecs_available:
        raise ValueError(f"codec must be an encoder of this PyAV, found {codec!r}")
    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream: Any = output.add_stream(codec, rate=Fraction(frame_rate).limit_denominator(100_000))
        stream.width, stream.height, stream.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
        stream.codec_context.thread_count = 1
        # x264's macroblock tree reads memory that it never wrote when B-frames are on: measured up to 256 px,
        # the same frames then gave other bytes in almost every call.
        stream.codec_context.options = {"crf": str(crf), "flags": "+bitexact", "x264-params": "mbtree=0"}
        if codec.startswith("libvpx"):
            stream.codec_context.bit_rate = 0  # anything else would turn crf into a mere lower bound
        converter = Converter()
        for frame in even:
            colour = av.VideoFrame.from_ndarray(frame, format="rgb24")
            output.mux(stream.encode(converter(colour, "yuv420p")))
        output.mux(stream.encode(None))
    return file.getvalue()


def check_frames(frames: np.ndarray) -> None:
    """Let only frames pass, uint8 `[time, height, width, 3]`.

    Raises:
        ValueError: They are something else, or none.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ValueError(
            "frames must be uint8 of shape [time, height, width, 3] with at least one frame, "
            f"found {frames.dtype} of shape {list(frames.shape)}"
        )
