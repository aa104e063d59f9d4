"""Videos -> frames: the one place that decodes them.

    read_clip     uint8 frames, sampled over the whole video or a window of it
    read_windows  uint8 frames of one window after the other, as they slide over a long video
    video_info    what is really in it

Frames are RGB, uint8, `[time, height, width, 3]`. Packets are counted first; numbers, times and lengths never
come from headers, because those of real data sets lie. Needs numpy and PyAV only: the edge process uses it
without torch. What is handled, what is not, and what others do: `approxbit/video/README.md`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Iterator, NamedTuple

import numpy as np

from approxbit.errors import VideoError
from approxbit.video.clip import ClipBuilder
from approxbit.video.damage import Damage, check_on_damage, report
from approxbit.video.decoding import Decoder, UnexpectedFrameError
from approxbit.video.opening import Source, naming_errors
from approxbit.video.orientation import orientation_of
from approxbit.video.packets import UnexpectedPacketError
from approxbit.video.recording import Recording, Times, count_again, open_recording
from approxbit.video.sampling import IndexRule, uniform_indices

_TIME_SLACK_S = 1e-6


class VideoInfo(NamedTuple):
    """What is really in a video, counted over its decoded frames."""

    num_frames: int
    width: int
    """As shown, after turning."""
    height: int
    frame_rate: float | None
    """Frames per second between the first and the last frame; the header's rate for a single frame; None if
    the file does not say."""
    duration_s: float | None
    """From the first frame to the end of the last one; None if the file does not say."""
    codec: str
    damage: Damage


class Window(NamedTuple):
    """Which frames are sampled from."""

    start_s: float = 0.0
    end_s: float | None = None

    def bounds(self, times: Times) -> tuple[int, int]:
        """First frame, and the one after the last."""
        first = int(np.searchsorted(times.times_s, self.start_s - _TIME_SLACK_S)) if self.start_s else 0
        if self.end_s is None:
            return first, len(times.times_s)
        return first, int(np.searchsorted(times.times_s, self.end_s - _TIME_SLACK_S))

    def describe(self) -> str:
        """` from 1 s to 2 s`; empty for the whole video."""
        if not self.start_s and self.end_s is None:
            return ""
        return f" from {self.start_s:g} s to {'the end' if self.end_s is None else f'{self.end_s:g} s'}"


class Sampling(NamedTuple):
    """How the frames of a clip are chosen."""

    num_frames: int
    index_rule: IndexRule
    is_by_time: bool
    min_frames: int
    window: Window

    def choose(self, times: Times, name: str) -> np.ndarray:
        """The frames of the clip, int64 `[num_frames]`, never decreasing.

        Raises:
            VideoError: There are too few of them, or the video has no times to choose by.
        """
        needs_times = self.is_by_time or self.window != Window()
        if needs_times and not times.is_known:
            raise VideoError(f"{name}: expected times, found none: sample the whole video, by index")
        first, end = self.window.bounds(times)
        num_found = max(end - first, 0)
        if num_found < self.min_frames:
            expected = f"{self.min_frames} frames{self.window.describe()}"
            raise VideoError(f"{name}: expected at least {expected}, found {num_found}")
        indices = np.asarray(self.index_rule(num_found, self.num_frames), np.int64)
        if self.is_by_time and num_found > 1:
            shown_s = times.times_s[first:end]
            wanted_s = shown_s[0] + indices * (shown_s[-1] - shown_s[0]) / (num_found - 1)
            indices = np.searchsorted(shown_s, wanted_s + _TIME_SLACK_S, side="right") - 1
        return first + indices


def read_clip(
    source: Source,
    num_frames: int,
    start_s: float = 0.0,
    end_s: float | None = None,
    min_frames: int = 1,
    index_rule: IndexRule = uniform_indices,
    *,
    uniform_in: str = "index",
    short_side: int | None = None,
    stream: int | None = None,
    on_damage: str = "error",
) -> np.ndarray:
    """Frames of one clip, sampled uniformly over the whole video.

    A video with fewer frames than the clip repeats some of them, as the paper's protocol (SlowFast's
    sampling of Something-Something-v2) does; `min_frames` says how few are still acceptable. Frames stand as
    the file wants them shown: turned, and mirrored.

    Args:
        source: The path of a file, its bytes, or an open binary file.
        num_frames: Frames of the clip, at least 1.
        start_s: Start of the window to sample, in seconds from the first frame.
        end_s: End of the window, exclusive; the end of the video by default.
        min_frames: Fewest decoded frames that the window may hold; `num_frames` forbids repetition.
        index_rule: Chooses the frames, see `approxbit.video.sampling`.
        uniform_in: `"index"`, as all published protocols do, or `"time"`: what is shown at evenly spaced
            moments, which differs where the frame rate changes.
        short_side: Length of the shorter side of the result, scaled frame by frame as
            `approxbit.video.preprocess` would scale all of them; None, or a smaller video, leaves it.
        stream: Which stream of the file, as FFmpeg counts them; None takes the one that FFmpeg would play.
        on_damage: `"error"`, `"warn"` or `"use"`, see `approxbit.video.damage`.

    Returns:
        RGB, uint8, `[num_frames, height, width, 3]`.

    Raises:
        VideoError: The file is missing, empty, not a video, damaged, or has too few frames.
        ValueError: `num_frames` or `min_frames` is below 1, the window is empty, or a word is unknown.
    """
    if num_frames < 1 or min_frames < 1:
        raise ValueError(f"num_frames and min_frames must be at least 1, found {num_frames} and {min_frames}")
    if not 0 <= start_s < (float("inf") if end_s is None else end_s):
        raise ValueError(f"0 <= start_s < end_s must hold, found start_s={start_s} and end_s={end_s}")
    if uniform_in not in ("index", "time"):
        raise ValueError(f"uniform_in must be 'index' or 'time', found {uniform_in!r}")
    check_on_damage(on_damage)
    sampling = Sampling(num_frames, index_rule, uniform_in == "time", min_frames, Window(start_s, end_s))
    clip = ClipBuilder(num_frames, short_side)
    with open_recording(source, stream, by_index=True) as recording:
        _fill(clip, recording, sampling, on_damage)
    return clip.frames


def read_windows(
    source: Source,
    num_frames: int,
    step: int,
    *,
    short_side: int | None = None,
    stream: int | None = None,
    on_damage: str = "error",
) -> Iterator[np.ndarray]:
    """Windows of neighbouring frames, each `step` frames after the one before it.

    No more than one window is held, however long the video is. Frames after the last whole window are left
    out.

    Args:
        source: As `read_clip` takes it.
        num_frames: Frames of a window, at least 1.
        step: Frames from the start of a window to that of the next, at least 1.
        short_side: As in `read_clip`.
        stream: As in `read_clip`.
        on_damage: As in `read_clip`; what comes before the damage is yielded in any case.

    Yields:
        RGB, uint8, `[num_frames, height, width, 3]`.

    Raises:
        VideoError: The file is missing, empty, not a video, damaged, or has fewer frames than a window.
        ValueError: `num_frames` or `step` is below 1, or `on_damage` is unknown.
    """
    if num_frames < 1 or step < 1:
        raise ValueError(f"num_frames and step must be at least 1, found {num_frames} and {step}")
    check_on_damage(on_damage)
    held: deque[Any] = deque(maxlen=num_frames)
    with open_recording(source, stream) as recording:
        decoder, clip = Decoder(recording), ClipBuilder(1, short_side)
        for number, frame in decoder.decode_all():
            if on_damage == "error" and decoder.has_errors():
                break
            if number % step < num_frames or step < num_frames:
                clip.put(frame, 0)
                held.append(clip.frames[0].copy())
            del frame
            if number + 1 >= num_frames and (number + 1 - num_frames) % step == 0:
                yield np.stack(held)
        report(recording.name, decoder.damage(), on_damage)
        if decoder.num_frames < num_frames:
            raise VideoError(
                f"{recording.name}: expected at least {num_frames} frames, found {decoder.num_frames}"
            )


def video_info(source: Source, *, stream: int | None = None, on_damage: str = "error") -> VideoInfo:
    """Size, rate and length of a video, by decoding all of it.

    Args:
        source: As `read_clip` takes it.
        stream: As in `read_clip`.
        on_damage: As in `read_clip`; the result counts the damage.

    Raises:
        VideoError: The file is missing, empty, not a video, or damaged.
        ValueError: `on_damage` is unknown.
    """
    check_on_damage(on_damage)
    size = (0, 0)
    with open_recording(source, stream) as recording:
        decoder = Decoder(recording)
        for number, frame in decoder.decode_all():
            if number == 0:
                size = orientation_of(frame).shown_size(frame.width, frame.height)
            del frame
        times, damage = decoder.times(), decoder.damage()
        codec = recording.reader.opened.stream.codec_context.name
        report(recording.name, damage, on_damage)
    if decoder.num_frames == 0:
        raise VideoError(f"{recording.name}: expected at least 1 frame, found 0")
    rate, duration_s = (1 / times.period_s, times.end_s) if times.is_known else (None, None)
    return VideoInfo(decoder.num_frames, *size, rate, duration_s, codec, damage)


def _fill(clip: ClipBuilder, recording: Recording, sampling: Sampling, on_damage: str) -> None:
    """Put the frames of a clip; the packets are counted again if the index by which they were is wrong."""
    decoder = Decoder(recording)
    wanted = sampling.choose(recording.times, recording.name) if recording.num_frames else None
    is_filled = wanted is not None and _take_groups(decoder, wanted, clip)
    if not is_filled and recording.reader.is_by_index:
        _fill(clip, count_again(recording), sampling, on_damage)
        return
    if not is_filled:
        _take_in_order(decoder, sampling, wanted, clip, on_damage)
    report(recording.name, decoder.damage(), on_damage)


def _take_groups(decoder: Decoder, wanted: np.ndarray, clip: ClipBuilder) -> bool:
    """Fill a clip from the groups of pictures that hold its frames; False if that is not exact."""
    if not decoder.can_decode_wanted():
        return False
    try:
        with naming_errors(decoder.recording.name):
            for number, frame in decoder.decode_wanted(np.unique(wanted)):
                clip.put(frame, *np.flatnonzero(wanted == number))
                del frame
    except (UnexpectedFrameError, UnexpectedPacketError, VideoError):
        return False
    return True


def _take_in_order(
    decoder: Decoder, sampling: Sampling, wanted: np.ndarray | None, clip: ClipBuilder, on_damage: str
) -> None:
    """Fill a clip by decoding from the start; twice, if the packets promised other frames than came."""
    _take(decoder, wanted, clip)
    if decoder.is_as_promised() and wanted is not None:
        return
    report(decoder.recording.name, decoder.damage(), "error" if on_damage == "error" else "use")
    _take(Decoder(decoder.recording), sampling.choose(decoder.times(), decoder.recording.name), clip)


def _take(decoder: Decoder, wanted: np.ndarray | None, clip: ClipBuilder) -> None:
    last = -1 if wanted is None else wanted[-1]
    for number, frame in decoder.decode_all():
        if wanted is not None:
            clip.put(frame, *np.flatnonzero(wanted == number))
        del frame
        if number == last and decoder.is_as_promised():
            return
