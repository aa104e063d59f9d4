"""Video files: the one place that decodes and encodes them.

    read_clip     file -> uint8 frames, sampled over the whole video or a window of it
    read_windows  file -> uint8 frames of one window after the other, as they slide over a long video
    write_video   uint8 frames -> file
    video_info    file -> what is really in it

Frames are RGB, uint8, `[time, height, width, 3]`. Counts and times come from decoded frames, because headers
of real datasets lie. Needs numpy and PyAV only: the edge process uses it without torch.
"""

from __future__ import annotations

import io
import os
from collections import deque
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from typing import Any, Generator, Iterator, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from approxbit.errors import VideoError
from approxbit.files import PathLike, write_whole
from approxbit.video.sampling import IndexRule, uniform_indices

_HELD_BYTES = 256 * 2**20
"""Decoded frames kept while counting; a longer video is decoded a second time for the few that are used."""

_SEEK_BEYOND_S = 10.0
"""Windows that start earlier are reached by decoding from the start, which no container can get wrong."""

_TIME_SLACK_S = 1e-6

# Titles and comments in odd encodings must not stop a video from being read; from 19 on PyAV lets them pass.
_LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


class VideoInfo(NamedTuple):
    """What is really in a video file, counted over its decoded frames."""

    num_frames: int
    width: int
    height: int
    frame_rate: float
    """Frames per second between the first and the last frame; the header's rate for a single frame."""
    duration_s: float
    """From the first frame to the end of the last one."""
    codec: str


def read_clip(
    path: PathLike,
    num_frames: int,
    start_s: float = 0.0,
    end_s: float | None = None,
    min_frames: int = 1,
    index_rule: IndexRule = uniform_indices,
) -> np.ndarray:
    """Frames of one clip, sampled uniformly over the whole video.

    A video with fewer frames than the clip repeats some of them, as the paper's protocol (SlowFast's
    sampling of Something-Something-v2) does; `min_frames` says how few are still acceptable. Display
    rotation (videos of phones) is applied where this PyAV reports it.

    Args:
        path: Any file that FFmpeg reads.
        num_frames: Frames of the clip, at least 1.
        start_s: Start of the window to sample, in seconds from the first frame.
        end_s: End of the window, exclusive; the end of the video by default.
        min_frames: Fewest decoded frames that the window may hold; `num_frames` forbids repetition.
        index_rule: Chooses the frames, see `approxbit.video.sampling`.

    Returns:
        RGB, uint8, `[num_frames, height, width, 3]`.

    Raises:
        VideoError: The file is missing, empty, not a video, damaged, or has too few frames.
        ValueError: `num_frames` or `min_frames` is below 1, or the window is empty.
    """
    if num_frames < 1 or min_frames < 1:
        raise ValueError(f"num_frames and min_frames must be at least 1, found {num_frames} and {min_frames}")
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise ValueError(f"0 <= start_s < end_s must hold, found start_s={start_s} and end_s={end_s}")
    num_found, held = _count_and_hold(path, start_s, end_s)
    if num_found < min_frames:
        end = "the end" if end_s is None else f"{end_s:g} s"
        window = "" if start_s == 0 and end_s is None else f" from {start_s:g} s to {end}"
        raise VideoError(
            f"{os.fspath(path)}: expected at least {min_frames} frames{window}, found {num_found}"
        )
    wanted, positions = np.unique(index_rule(num_found, num_frames), return_inverse=True)
    if held is not None:
        return _to_rgb([held[index] for index in wanted])[positions]
    with closing(_decode(path, start_s, end_s)) as frames:
        chosen = set(wanted.tolist())
        upto_last = islice(frames, int(wanted[-1]) + 1)
        return _to_rgb(frame for index, frame in enumerate(upto_last) if index in chosen)[positions]


def read_windows(path: PathLike, num_frames: int, step: int) -> Iterator[np.ndarray]:
    """Windows of neighbouring frames, each `step` frames after the one before it.

    No more than one window is held, however long the video is. Frames after the last whole window are left
    out.

    Args:
        path: Any file that FFmpeg reads.
        num_frames: Frames of a window, at least 1.
        step: Frames from the start of a window to that of the next, at least 1.

    Yields:
        RGB, uint8, `[num_frames, height, width, 3]`.

    Raises:
        VideoError: The file is missing, empty, not a video, damaged, or has fewer frames than a window.
        ValueError: `num_frames` or `step` is below 1.
    """
    if num_frames < 1 or step < 1:
        raise ValueError(f"num_frames and step must be at least 1, found {num_frames} and {step}")
    held: deque[Any] = deque(maxlen=num_frames)
    num_found = 0
    with closing(_decode(path, 0.0, None)) as frames:
        for frame in frames:
            held.append(frame)
            num_found += 1
            if num_found >= num_frames and (num_found - num_frames) % step == 0:
                yield _to_rgb(held)
    if num_found < num_frames:
        raise VideoError(f"{os.fspath(path)}: expected at least {num_frames} frames, found {num_found}")


def video_info(path: PathLike) -> VideoInfo:
    """Size, rate and length of a video, by decoding all of it.

    Raises:
        VideoError: The file is missing, empty, not a video, or damaged.
    """
    num_frames, first_s, last_s, width, height = 0, 0.0, 0.0, 0, 0
    with _opened(path) as (container, stream):
        frame_rate, codec = _header_rate(stream), stream.codec_context.name
        for time_s, frame in _timed(container, stream):
            if num_frames == 0:
                first_s, width, height = time_s, frame.width, frame.height
                if _quarter_turns(frame) % 2:
                    width, height = height, width
            num_frames, last_s = num_frames + 1, time_s
    if num_frames == 0:
        raise VideoError(f"{os.fspath(path)}: expected at least 1 frame, found 0")
    if last_s > first_s:
        frame_rate = (num_frames - 1) / (last_s - first_s)
    return VideoInfo(num_frames, width, height, frame_rate, last_s - first_s + 1 / frame_rate, codec)


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


class Converter:
    """Changes pixel format and size of decoded frames, bilinear with antialiasing, in one thread.

    Left to itself, PyAV starts a thread on each core for each frame. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(
        self, frame: Any, pixel_format: str, width: int | None = None, height: int | None = None
    ) -> Any:
        """The frame in another format and size; its own size by default."""
        try:
            return self._reformatter.reformat(
                frame, width, height, pixel_format, interpolation="BILINEAR", threads=1
            )
        except TypeError:  # older versions of PyAV have one thread and no such argument
            return self._reformatter.reformat(frame, width, height, pixel_format, interpolation="BILINEAR")


_CONTAINERS = {".mp4": "mp4", ".webm": "webm", ".avi": "avi", ".mkv": "matroska"}


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


@contextmanager
def _opened(path: PathLike) -> Iterator[tuple[Any, Any]]:
    """Container and first video stream; every decoding error below it becomes a VideoError."""
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise VideoError(
            f"{name}: expected a video file, found {'a folder' if os.path.isdir(name) else 'none'}"
        )
    if os.path.getsize(name) == 0:
        raise VideoError(f"{name}: expected a video file, found an empty one")
    try:
        # The absolute path keeps FFmpeg from reading a protocol into a name such as "concat:a.mp4".
        with av.open(os.path.abspath(name), **_LENIENT) as container:
            if not container.streams.video:
                # Asking a damaged stream for its type has crashed PyAV 12; counting the audible ones is safe.
                found = "sound only" if container.streams.audio else "none"
                raise VideoError(f"{name}: expected a video stream, found {found}")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise VideoError(f"{name}: expected a codec that this FFmpeg decodes, found an unknown one")
            stream.codec_context.thread_count = 1  # loader workers and servers parallelise over files
            yield container, stream
    except av.error.FFmpegError as error:
        raise VideoError(f"{name}: expected a video that decodes to its end, found {error}") from error


def _timed(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """Decoded frames with their times in seconds since the start of the stream."""
    origin_s = float((stream.start_time or 0) * stream.time_base)
    period_s = 1 / _header_rate(stream)
    for index, frame in enumerate(container.decode(stream)):
        yield (index * period_s if frame.time is None else frame.time - origin_s), frame


def _decode(
    path: PathLike, start_s: float, end_s: float | None, may_seek: bool = True
) -> Generator[Any, None, None]:
    """Frames of a window, in order of presentation."""
    with _opened(path) as (container, stream):
        seeking = may_seek and start_s > _SEEK_BEYOND_S and stream.start_time is not None
        if seeking:
            container.seek(stream.start_time + int(start_s / stream.time_base), stream=stream)
        for time_s, frame in _timed(container, stream):
            if seeking and time_s > start_s:  # landed too late, as in containers without an index
                break
            seeking = False
            if end_s is not None and time_s >= end_s - _TIME_SLACK_S:
                return
            if time_s >= start_s - _TIME_SLACK_S:
                yield frame
    if seeking:
        yield from _decode(path, start_s, end_s, may_seek=False)


def _count_and_hold(path: PathLike, start_s: float, end_s: float | None) -> tuple[int, list[Any] | None]:
    """Number of frames in a window, and the frames unless they need too much memory."""
    held: list[Any] | None = []
    count = num_bytes = 0
    for frame in _decode(path, start_s, end_s):
        count += 1
        num_bytes += frame.width * frame.height * 3 // 2
        if num_bytes > _HELD_BYTES:
            held = None
        if held is not None:
            held.append(frame)
    return count, held


def _to_rgb(frames: Any) -> np.ndarray:
    """Decoded frames as one array; frames of another size than the first are scaled to it."""
    arrays: list[np.ndarray] = []
    size: tuple[int, ...] = ()
    converter = Converter()
    for frame in frames:
        size = size or (frame.width, frame.height)
        arrays.append(np.rot90(converter(frame, "rgb24", *size).to_ndarray(), _quarter_turns(frame)))
    return np.stack(arrays)


def _quarter_turns(frame: Any) -> int:
    """Counter-clockwise quarter turns from the stored to the displayed frame."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _header_rate(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)
