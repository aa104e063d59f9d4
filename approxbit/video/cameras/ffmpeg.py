"""Pictures of a camera, by FFmpeg: from the network, from a device, or from a file in a loop."""

from __future__ import annotations

import errno
import math
import os
import time
from contextlib import contextmanager
from typing import Any, Generator, Iterator

import av

from approxbit.errors import VideoError
from approxbit.video.cameras.picture import Picture, Reading
from approxbit.video.cameras.protocol import Settings

MAX_PIXELS = 8192 * 4352
"""Of one picture; the decoder refuses one that claims more."""

_FORMATS = "rtsp,sdp,mpegts,mpjpeg,mjpeg,flv,live_flv,matroska,webm,mov,mp4,avi,mpeg,ogg,h264,hevc"
"""Nothing that names other files or addresses: no playlists, no lists of pictures."""

_WITHOUT_CLOCK = {"mpjpeg", "mjpeg", "h264", "hevc"}
"""Formats that carry no times: those of arrival stand for them."""

_A_FRAME_LATE = {"rtsp", "mpegts"}
"""Formats of which FFmpeg hands out a frame when the next one begins to come."""

_MAX_WAITING = 64
_MAX_WITHOUT_TIME = 8
_NETWORK = {"analyzeduration": "1000000", "fpsprobesize": "0", "format_whitelist": _FORMATS}
_OPTIONS: dict[str, dict[str, str]] = {
    "rtsp": {
        **_NETWORK,
        "rtsp_transport": "tcp",  # over UDP, pictures with holes in them come
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls",
    },
    "http": {**_NETWORK, "protocol_whitelist": "http,https,tcp,tls"},
    "v4l2": {},
    "file": {"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
}


def read_in_a_loop(settings: Settings) -> Generator[Reading, None, None]:
    """What a file shows, at its own rate, again and again.

    Raises:
        VideoError: It cannot be read, or there is no picture in it.
    """
    pace = _Pace(settings.policy.max_gap_s)
    while True:
        pace.begin()
        for reading in read_once(settings, "file"):
            yield Reading(damage=reading.damage)
            for picture in reading.pictures:
                yield Reading((pace.wait(picture),))
        if not pace.has_begun:
            raise VideoError("expected a picture in the file, found none")


class _Pace:
    """Lets the pictures of a file come when they are due."""

    def __init__(self, max_gap_s: float):
        self._max_gap_s = max_gap_s
        self._due_s = time.monotonic()
        self._step_s = 0.0
        self._last_s = math.nan

    def begin(self) -> None:
        """The file starts over; its last picture stays for as long as the one before it."""
        self._last_s = math.nan

    @property
    def has_begun(self) -> bool:
        """Whether a picture came since."""
        return not math.isnan(self._last_s)

    def wait(self, picture: Picture) -> Picture:
        """Wait until a picture is due; what a jump of the file's times leaves out is not waited for."""
        if 0 <= picture.time_s - self._last_s <= self._max_gap_s:
            self._step_s = picture.time_s - self._last_s
        self._due_s += self._step_s
        self._last_s = picture.time_s
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        return picture._replace(arrived_s=time.monotonic())


def read_once(settings: Settings, kind: str) -> Generator[Reading, None, None]:
    """What comes from a source of some kind, to its end.

    Raises:
        VideoError: It could not be opened or read, or nothing came in time.
    """
    with _opened(settings, kind) as (container, stream):
        times = _Times(container.format.name not in _WITHOUT_CLOCK)
        arrivals: dict[int, float] = {}  # a picture may leave the decoder some packets after it came
        needs_key, is_late, now_s = False, container.format.name in _A_FRAME_LATE, math.inf
        for packet in container.demux(stream):
            last_s, now_s = min(now_s, time.monotonic()), time.monotonic()
            if needs_key and packet.size and not packet.is_keyframe:
                yield Reading()
                continue
            arrivals[packet.pts] = last_s if is_late else now_s
            if len(arrivals) > _MAX_WAITING:
                del arrivals[next(iter(arrivals))]
            try:
                frames = () if packet.is_corrupt else packet.decode()
                damage = "a packet is incomplete" if packet.is_corrupt else ""
            except av.error.FFmpegError as error:
                frames, damage = (), _say(error)
            if damage or any(frame.is_corrupt for frame in frames):
                stream.codec_context.flush_buffers()
                needs_key = True  # what refers to the damage would be wrong without a word
                yield Reading(damage=damage or "a frame is incomplete")
                continue
            needs_key = False
            dated = (times.date(frame, arrivals.pop(frame.pts, now_s)) for frame in frames)
            yield Reading(tuple(picture for picture in dated if picture is not None))


class _Times:
    """Gives frames their times, all by the same clock: the camera's, or ours if it has none."""

    def __init__(self, has_clock: bool):
        self._num_without = 0 if has_clock else _MAX_WITHOUT_TIME
        self._has_come = False

    def date(self, frame: Any, arrived_s: float) -> Picture | None:
        """The picture; None for one without a time among others that have it, as the first over RTSP."""
        if frame.time is not None and self._num_without < _MAX_WITHOUT_TIME:
            self._has_come = True
            return Picture(frame, frame.time, arrived_s)
        if self._has_come or self._num_without < _MAX_WITHOUT_TIME:
            self._num_without += not self._has_come
            return None
        return Picture(frame, arrived_s, arrived_s)


@contextmanager
def _opened(settings: Settings, kind: str) -> Iterator[tuple[Any, Any]]:
    """Container and video stream; every error of FFmpeg below it becomes a VideoError."""
    source = os.path.abspath(settings.source) if kind == "file" else settings.source
    policy, is_open = settings.policy, False
    try:
        with av.open(
            source,
            format="v4l2" if kind == "v4l2" else None,
            options={**_OPTIONS[kind], **settings.options},
            timeout=(policy.open_timeout_s, policy.read_timeout_s),
            metadata_errors="ignore",
        ) as container:
            is_open = True
            if not container.streams.video:
                raise VideoError("expected a video stream, found none")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # one core for each camera
            stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
            yield container, stream
    except av.error.ExitError:
        waited = f"{policy.read_timeout_s:g} s" if is_open else f"{policy.open_timeout_s:g} s to connect"
        raise VideoError(f"nothing came for {waited}") from None
    except av.error.FFmpegError as error:
        is_unknown = not is_open and error.errno == errno.EINVAL
        found = f"expected a format of {_FORMATS}, found another" if is_unknown else _say(error)
        raise VideoError(found) from None


def _say(error: Any) -> str:
    return str(error.strerror)  # not all of it: an address may hold a password
