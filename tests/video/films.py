"""Films that carry the number of each frame, in containers and with the faults that real ones have."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

BITS = 10
WIDTH, HEIGHT = 16 * BITS, 48
RATE = 25


def burn(number: int) -> np.ndarray:
    """A frame whose upper half says its number in white and black blocks, least significant first."""
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(BITS):
        frame[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    left = 7 * number % (WIDTH - 8)
    frame[24:40, left : left + 8] = 255, 200, 0
    return frame


def numbers_of(frames: Iterable[np.ndarray]) -> list[int]:
    """The numbers of frames made by `burn`."""
    return [
        sum(1 << bit for bit in range(BITS) if frame[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 127)
        for frame in frames
    ]


def film(
    numbers: Sequence[int] = range(50),
    container: str = "mp4",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    time_of: Callable[[int], int] = lambda place: place,
    gop: int = 12,
    container_options: dict[str, str] | None = None,
) -> bytes:
    """A file of frames with these numbers; `time_of` gives each place a time in 25ths of a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=container_options or {}) as output:
        stream: Any = output.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.thread_count = gop, 1
        stream.codec_context.bit_rate = 1_000_000
        stream.codec_context.options = options or ({"bf": "2"} if codec == "libx264" else {})
        stream.codec_context.time_base = Fraction(1, RATE)
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(burn(number), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time_of(place), Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def with_streams(*parts: tuple[bytes, int], container: str = "matroska") -> bytes:
    """The first streams of some files in one, each with its marks (1: default)."""
    file = io.BytesIO()
    inputs = [av.open(io.BytesIO(data)) for data, _ in parts]
    with av.open(file, "w", format=container) as output:
        streams = []
        for each, (_, marks) in zip(inputs, parts, strict=True):
            stream: Any = output.add_stream_from_template(each.streams[0])
            stream.disposition = marks
            streams.append(stream)
        for each, stream in zip(inputs, streams, strict=True):
            for packet in each.demux(0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return file.getvalue()


def song(cover: bytes = b"") -> bytes:
    """A second of silence, with a picture attached to it."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=8000)
        if cover:
            output.add_attachment("cover.png", "image/png", cover)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))
    return file.getvalue()


def picture(codec: str = "png", pixel_format: str = "rgb24") -> bytes:
    """A still picture as PNG, JPEG, ..."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, pixel_format
    context.time_base = Fraction(1, RATE)
    frame = av.VideoFrame.from_ndarray(burn(5), format="rgb24").reformat(format=pixel_format)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def pictures_as_stream(codec: str = "mjpeg", pixel_format: str = "yuvj420p") -> bytes:
    """One picture as the only frame of a Matroska file."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream: Any = output.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        frame = av.VideoFrame.from_ndarray(burn(999), format="rgb24").reformat(format=pixel_format)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
