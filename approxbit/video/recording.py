"""A video stream and what its packets say about its frames, before any of them is decoded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple

import numpy as np

from approxbit.errors import VideoError
from approxbit.video.damage import Damage
from approxbit.video.opening import Opened, Reopenable, Source, naming_errors
from approxbit.video.packets import PacketReader, PacketTable
from approxbit.video.structure import BrokenPart, broken_part, count_missing_bytes, is_broken
from approxbit.video.times import MAX_FRAME_RATE, NO_TIME, Clock, Placed, period_of, place

_WRAP_BITS = {"mpegts": 33, "mpeg": 33}
"""Of the clocks of MPEG streams; those that may start again."""

_ELEMENTARY = {"h264", "hevc", "vvc", "av1", "obu", "mpegvideo", "m4v", "h263", "vc1", "mjpeg"}
"""Streams without a container, whose times FFmpeg makes up unless the codec holds a rate."""

_PROMISING = {"matroska", "webm", "flv", "asf"}
"""Containers whose header says how long they are."""

_PICTURE_CODECS = {"mjpeg", "png", "apng", "gif", "bmp", "tiff", "webp"}

_SHORT_S = 0.5
"""A header may round by as much."""

_FEW = 20
"""A steady stream has at most one hole in so many steps."""

_NEAR_A_JOINT = 4
"""Packets; the demuxer calls one corrupt where a recording ends and the next one begins."""


class Times(NamedTuple):
    """When the frames are shown."""

    times_s: np.ndarray
    """float64 `[frame]`, from the first frame on."""
    period_s: float
    """Usual seconds from one frame to the next; a guess where `is_known` is False."""
    is_known: bool
    last_s: float | None = None
    """How long the last frame is shown, where the file says so."""

    @property
    def end_s(self) -> float:
        """End of the last frame."""
        return float(self.times_s[-1]) + (self.last_s or self.period_s) if len(self.times_s) else 0.0


class Recording(NamedTuple):
    """One video stream, its packets and the frames they should become."""

    name: str
    reader: PacketReader
    order: np.ndarray
    """Packets in the order in which they are shown, as far as their stamps say."""
    is_ordered: bool
    """Whether each packet has its own stamp of showing, so that frames can be told by it."""
    times: Times
    damage: Damage
    """What the container says is missing, and what its demuxer lost."""
    ticks: np.ndarray
    """When each packet is shown, on one line of time; empty if nobody says."""
    at_joints: frozenset[int] = frozenset()
    """Frames that are called corrupt because one recording ends there and the next begins."""
    is_countable: bool = False
    """Whether packets are in the order of decoding, so that frames can be told by counting them."""

    @property
    def num_frames(self) -> int:
        """As the packets promise."""
        return len(self.order)

    def keys_before(self, frames: np.ndarray) -> np.ndarray:
        """For each frame the packet that decoding has to begin with, for it to come out right."""
        packets, keys = self.order[frames], np.flatnonzero(self.reader.table.is_key)
        places = np.searchsorted(keys, packets, side="right") - 1
        while True:  # what is shown before its own key frame needs the one before
            is_early = (places >= 0) & (self.ticks[keys[places]] > self.ticks[packets])
            if not is_early.any():
                return np.where(places >= 0, keys[places], 0)
            places = places - is_early

    def first_shown_from(self, key: int) -> int:
        """The first frame that comes out when decoding begins with a key packet."""
        return int(np.searchsorted(self.ticks[self.order], self.ticks[key]))


@contextmanager
def open_recording(
    source: Source, stream_index: int | None = None, by_index: bool = False
) -> Iterator[Recording]:
    """Open a video and count its packets.

    Args:
        source: What to open.
        stream_index: See `streams.choose_stream`.
        by_index: Count those of long films by the container's own index, where there is one: for who needs
            few of them. `count_again` reads them all after it.

    Raises:
        VideoError: The source is missing, empty, no video, or cannot be opened.
    """
    with Reopenable(source) as file, PacketReader(file, stream_index, by_index) as reader:
        name = file.name
        with naming_errors(name):
            _check_no_picture(reader, reader.opened.container.format.name)
            yield _describe(reader)


def count_again(recording: Recording) -> Recording:
    """The recording as all of its packets say, after the container's index was not to be trusted."""
    recording.reader.count_again()
    return _describe(recording.reader)


def _check_no_picture(reader: PacketReader, format_name: str) -> None:
    opened = reader.opened
    if len(reader) != 1 or opened.stream.codec_context.name not in _PICTURE_CODECS:
        return
    if opened.container.streams.audio:
        raise VideoError(f"{opened.name}: expected a video, found sound only, with a picture")
    if format_name in _PICTURE_CODECS:
        raise VideoError(f"{opened.name}: expected a video, found a picture ({format_name.upper()})")


def _describe(reader: PacketReader) -> Recording:
    table, opened, file = reader.table, reader.opened, reader.source
    format_name = opened.container.format.name
    # AVI stamps packets in the order of decoding; what FFmpeg makes of it for showing is wrong with B-frames.
    pts = np.full_like(table.pts, NO_TIME) if format_name == "avi" and NO_TIME not in table.dts else table.pts
    placed = place(pts, table.dts, _clock(opened)) if len(reader) else None
    shown = np.flatnonzero(table.is_shown)
    if placed is None:
        placed = Placed(np.zeros(0, np.int64), np.zeros(0, np.int64))
        order, times = shown, _untimed(len(shown), opened)
    else:
        order = shown[np.argsort(placed.ticks[shown], kind="stable")]
        times = _timed(placed.ticks, order, table, opened)
    stamps = table.pts[order]
    # Joined recordings may use a stamp twice.
    is_reordered = format_name == "avi" and opened.stream.codec_context.has_b_frames
    is_distinct = bool((np.diff(np.sort(stamps)) > 0).all())
    is_ordered = NO_TIME not in stamps and is_distinct and not is_reordered
    distance = np.abs(np.flatnonzero(table.is_corrupt)[:, None] - placed.joints)
    at_joints = np.flatnonzero(table.is_corrupt)[(distance <= _NEAR_A_JOINT).any(axis=1)]
    frames = frozenset(np.flatnonzero(np.isin(order, at_joints)).tolist())
    is_countable = bool(is_reordered) and np.array_equal(order, np.arange(len(reader)))
    recording = Recording(
        file.name, reader, order, is_ordered, times, Damage(), placed.ticks, frames, is_countable
    )
    with file.bytes_of_it() as data:
        num_missing_bytes = count_missing_bytes(data, format_name)
        gaps = _gaps(times, np.flatnonzero(np.isin(order, placed.joints)))
        # A stream of broadcast is steady; others may have been recorded with gaps.
        is_lost = bool(gaps) and (format_name in _WRAP_BITS or is_broken(data, format_name))
        damage = _damage(recording, num_missing_bytes, gaps if is_lost else [])
        broken = broken_part(data, format_name)
        if broken is not None:
            frame = _first_frame_of(broken, order, table)
            time_s = float(times.times_s[frame]) if frame < len(order) else times.end_s
            damage = damage.add(0, 1, frame, time_s, broken.reason)
    return recording._replace(damage=damage)


def _first_frame_of(broken: BrokenPart, order: np.ndarray, table: PacketTable) -> int:
    packet = broken.packet
    if packet is None:
        packet = int(np.searchsorted(table.positions, broken.position))
    frames = np.flatnonzero(order >= packet)
    return int(frames[0]) if len(frames) else len(order)


def _clock(opened: Opened) -> Clock:
    return Clock(float(opened.stream.time_base), _WRAP_BITS.get(opened.container.format.name, 0))


def times_of_frames(stamps: np.ndarray, recording: Recording) -> Times:
    """Times of decoded frames that are not those which the packets promised.

    Args:
        stamps: Of showing, int64 `[frame]`, in the order of decoding's output.
        recording: Where they come from.
    """
    clock = _clock(recording.reader.opened)
    placed = place(stamps, np.full_like(stamps, NO_TIME), clock) if len(stamps) else None
    if placed is None:
        return _untimed(len(stamps), recording.reader.opened)
    ticks = np.sort(placed.ticks)
    return _with_period((ticks - ticks[0]) * clock.time_base, recording.reader.opened, None)


def _timed(ticks: np.ndarray, order: np.ndarray, table: PacketTable, opened: Any) -> Times:
    if not len(order):
        return _untimed(0, opened)
    times_s = (ticks[order] - ticks[order[0]]) * table.time_base
    stores_durations = {"mov", "matroska"} & set(opened.container.format.name.split(","))
    last_s = float(table.durations[order[-1]] * table.time_base) if stores_durations else None
    if opened.container.format.name in _ELEMENTARY and _codec_rate(opened.stream) is None:
        return _untimed(len(order), opened)
    return _with_period(times_s, opened, last_s)


def _with_period(times_s: np.ndarray, opened: Any, last_s: float | None) -> Times:
    period_s = period_of(times_s)
    if period_s is None:
        return _untimed(len(times_s), opened) if len(times_s) > 1 else _lone(times_s, opened, last_s)
    is_plausible = last_s is not None and 0.1 * period_s <= last_s <= 10 * period_s + 1
    return Times(times_s, period_s, True, last_s if is_plausible else None)


def _lone(times_s: np.ndarray, opened: Any, last_s: float | None) -> Times:
    """A single frame, which is shown for as long as the header's rate says."""
    rate = _header_rate(opened.stream)
    period_s = 1 / rate if rate else last_s
    return Times(times_s, period_s or 1 / 25, bool(period_s))


def _untimed(num_frames: int, opened: Any) -> Times:
    rate = _codec_rate(opened.stream)
    if rate is None and opened.container.format.name not in _ELEMENTARY:
        rate = _header_rate(opened.stream)
    period_s = 1 / (rate or 25)
    return Times(np.arange(num_frames) * period_s, period_s, rate is not None)


def _header_rate(stream: Any) -> float | None:
    return _plausible(stream.average_rate or stream.guessed_rate)


def _codec_rate(stream: Any) -> float | None:
    return _plausible(stream.codec_context.framerate)


def _plausible(rate: Any) -> float | None:
    return float(rate) if rate and 0 < rate <= MAX_FRAME_RATE else None


def _damage(recording: Recording, num_missing_bytes: int, gaps: list[tuple[int, int]]) -> Damage:
    table, num_frames, times = recording.reader.table, recording.num_frames, recording.times
    damage = Damage()
    for frame in np.flatnonzero(table.is_corrupt[recording.order]).tolist():
        if frame not in recording.at_joints:
            damage = damage.add(0, 1, frame, float(times.times_s[frame]), "the file has lost bytes of it")
    for frame, num_missing in gaps:
        time_s = float(times.times_s[frame])
        damage = damage.add(num_missing, 0, frame, time_s, "a part of the file is lost before it")
    num_missing = _count_missing(recording, bool(num_missing_bytes))
    if num_missing or table.error:
        reason = table.error or "the file ends before what it promises"
        reason = f"the file is cut off, {num_missing_bytes} bytes short" if num_missing_bytes else reason
        damage = damage.add(max(num_missing, 1), 0, num_frames, times.end_s, reason)
    return damage


def _count_missing(recording: Recording, is_cut: bool) -> int:
    """Frames that the container promises and does not hold."""
    reader, table = recording.reader, recording.reader.table
    opened, kinds = reader.opened, set(reader.opened.container.format.name.split(","))
    if "mov" in kinds:
        return max(opened.stream.frames - len(reader), 1) if is_cut else 0
    if "avi" in kinds:
        promised_s = opened.stream.frames * table.time_base
    elif kinds & _PROMISING and opened.container.duration:
        promised_s = opened.container.duration / 1e6
    else:
        return int(is_cut)
    first_s, end_s = _span_s(table.dts if "avi" in kinds else table.pts, table)
    rate = _usual_rate(recording.times)
    num_missing: int = round((promised_s - first_s) * rate) - len(reader)
    if is_cut:
        return max(num_missing, 1)
    is_short = promised_s - end_s > max(_SHORT_S, 2 / rate) and "avi" not in kinds
    is_short = is_short and promised_s - reader.end_of_all_streams_s() > _SHORT_S
    return max(num_missing, 1) if is_short else 0


def _usual_rate(times: Times) -> float:
    steps = np.diff(times.times_s)
    steps = steps[steps > 0]
    return 1 / float(np.median(steps)) if len(steps) else 1 / times.period_s


def _gaps(times: Times, joints: np.ndarray) -> list[tuple[int, int]]:
    """Frames before which some are missing, and how many, in a stream that is steady everywhere else.

    At joints, where a recording ends and the next begins, something is missing as a rule.
    """
    steps = np.diff(times.times_s) * _usual_rate(times)
    wide = np.flatnonzero(steps > 1.5)
    if (
        not times.is_known
        or len(wide) * _FEW > len(steps)
        or not np.allclose(np.delete(steps, wide), 1, atol=0.1)
    ):
        return []
    inside = [frame + 1 for frame in wide.tolist() if not (np.abs(joints - frame - 1) <= _NEAR_A_JOINT).any()]
    return [(frame, round(float(steps[frame - 1])) - 1) for frame in inside]


def _span_s(stamps: np.ndarray, table: PacketTable) -> tuple[float, float]:
    """Start of the first packet and end of the last one, on the file's own clock."""
    known = stamps != NO_TIME
    if not known.any():
        return 0.0, 0.0
    ends = stamps[known] + table.durations[known]
    return float(stamps[known].min() * table.time_base), float(ends.max() * table.time_base)
