"""Packets -> decoded frames with their numbers: all of them in order, or only those that are wanted.

A wanted frame needs no more than its group of pictures: decoding starts at the last key frame before it. That
is exact as long as every frame that comes out is the one whose turn it is, and without an error; as soon as
one is not, everything is decoded from the start. Whose turn it is, packets say by their stamps; those of AVI,
which has stamps of decoding only, by their number in a group.
"""

from __future__ import annotations

import re
from array import array
from itertools import chain
from typing import Any, Iterator

import av
import numpy as np

from approxbit.video.damage import Damage
from approxbit.video.recording import Recording, Times, times_of_frames
from approxbit.video.times import NO_TIME

# One packet, one frame. What else may be in a packet (hidden frames of VP8, placeholders of MPEG-4) would
# move the numbers of all frames after it.
_ONE_TO_ONE = {"h264", "hevc", "av1", "vp9", "mpeg1video", "mpeg2video", "mjpeg", "prores", "dnxhd", "ffv1"}
_ONE_TO_ONE |= {"huffyuv", "ffvhuff", "utvideo", "rawvideo", "png", "mpeg4"}
_ONE_TO_ONE |= {"libdav1d", "libaom-av1"}

_FIXED_AT_OPENING = {"libdav1d"}
"""Decoders that ask once, when they are opened, which frames they may skip."""

_PLACEHOLDER_BYTES = 24
"""MPEG-4 has packets of up to so many bytes that hold no frame."""


_ZEROS = bytes(64)
_NEVER_ZERO = {"h264", "hevc", "vp8", "vp9"}
"""Codecs whose data cannot hold so many zeros, unless behind its end; their decoders may take a hole for a
picture."""

_COUNTED = {"h264", "mpeg4"}
"""Codecs whose groups may be told from each other without stamps."""

_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_SLICES, _CLOSED_SLICE = range(1, 6), 5
"""Units of H.264; a group that begins with any other slice may refer to the group before."""


class UnexpectedFrameError(Exception):
    """A frame came out whose turn it was not, or with an error; never leaves this room."""


class Decoder:
    """Decodes one recording, and keeps count of what goes wrong."""

    def __init__(self, recording: Recording):
        self.recording = recording
        self.num_frames = 0
        """Decoded so far by `decode_all`."""
        self.is_complete = False
        """Whether `decode_all` came to the end."""
        self._stamps = array("q")
        self._damaged: list[int] = []
        self._holes: list[int] = []
        self._refused: list[tuple[int, str]] = []
        self._is_interlaced = False
        table, codec = recording.reader.table, recording.reader.opened.stream.codec_context.name
        self._codec: str = codec
        has_placeholders = codec == "mpeg4" and (table.sizes <= _PLACEHOLDER_BYTES).any()
        self._is_one_to_one = codec in _ONE_TO_ONE and not has_placeholders

    def decode_all(self) -> Iterator[tuple[int, Any]]:
        """Every frame with its number, from the start to the end.

        The caller lets go of each frame before it takes the next, or memory grows.
        """
        self._context.flush_buffers()
        self._context.skip_frame = "DEFAULT"
        for packet in chain(self.recording.reader.read_from(0), [None]):
            if packet is not None and self._has_hole(packet):
                self._holes.append(self.num_frames)
            frames = self._decode(packet)
            while frames:
                frame = frames.pop(0)
                number, self.num_frames = self.num_frames, self.num_frames + 1
                self._stamps.append(NO_TIME if frame.pts is None else frame.pts)
                self._is_interlaced |= bool(frame.interlaced_frame)
                if frame.is_corrupt and not self._is_known_corrupt(number):
                    self._damaged.append(number)
                yield number, frame
                del frame
        self.is_complete = True

    def decode_wanted(self, wanted: np.ndarray) -> Iterator[tuple[int, Any]]:
        """The frames with some numbers, sorted and distinct, by the groups of pictures that hold them.

        Raises:
            UnexpectedFrameError: Some other frame came out; what was yielded is not to be trusted.
        """
        place, keys = 0, self.recording.keys_before(wanted)
        decode_group = self._decode_group if self.recording.is_ordered else self._count_group
        while place < len(wanted):
            group = decode_group(wanted[place:], keys[place:])
            for number, frame in group:
                yield number, frame
                del frame
                place += 1

    def can_decode_wanted(self) -> bool:
        """Whether frames may be told by their stamps, or counted, without decoding all of them."""
        recording = self.recording
        is_told = recording.is_ordered or (recording.is_countable and self._codec in _COUNTED)
        is_sound = is_told and not recording.damage
        return is_sound and self._is_one_to_one and bool(recording.reader.table.is_key.any())

    def is_as_promised(self) -> bool:
        """Whether the frames of `decode_all`, so far, have the numbers that the packets promise."""
        recording = self.recording
        if self.is_complete:
            return self.num_frames == recording.num_frames
        promised = recording.reader.table.pts[recording.order[: self.num_frames]]
        return recording.is_ordered and np.array_equal(promised, np.array(self._stamps, np.int64))

    def times(self) -> Times:
        """When the frames are shown that came out of `decode_all`."""
        if self.is_as_promised():
            return self.recording.times
        return times_of_frames(np.array(self._stamps, np.int64), self.recording)

    def damage(self) -> Damage:
        """What the file lacks, and what went wrong in decoding so far."""
        damage, times_s = self.recording.damage, self.recording.times.times_s
        for number in self._damaged:
            damage = damage.add(0, 1, number, _time_of(number, times_s), "the decoder found errors in it")
        missing = self._missing()
        for number in self._holes[len(self._damaged) + len(missing) :]:
            damage = damage.add(
                0, 1, number, _time_of(number, times_s), "there are zeros in place of its data"
            )
        for number in missing:
            damage = damage.add(1, 0, number, _time_of(number, times_s), "no frame came out of its packet")
        for number, reason in self._refused[len(missing) + len(self._damaged) :]:
            damage = damage.add(1, 0, number, _time_of(number, times_s), reason)
        return damage

    def has_errors(self) -> bool:
        """Whether decoding went wrong so far."""
        return bool(self._damaged or self._refused or self._holes)

    @property
    def _context(self) -> Any:
        return self.recording.reader.opened.stream.codec_context

    def _has_hole(self, packet: Any) -> bool:
        codec = self._codec
        if packet.size <= len(_ZEROS) or codec not in _NEVER_ZERO:
            return False
        data = bytes(packet)
        if _ZEROS not in data:
            return False
        return codec.startswith("vp") or _ZEROS in data.rstrip(b"\0")

    def _is_known_corrupt(self, number: int) -> bool:
        """Whether the demuxer already said so."""
        recording = self.recording
        if number in recording.at_joints or number >= recording.num_frames:
            return number in recording.at_joints
        return bool(recording.reader.table.is_corrupt[recording.order[number]])

    def _missing(self) -> list[int]:
        """Promised frames that never came."""
        recording = self.recording
        if not (self.is_complete and self._is_one_to_one) or self._is_interlaced:  # two fields are one frame
            return []
        num_missing = recording.num_frames - self.num_frames
        if num_missing <= 0:
            return []
        if not recording.is_ordered:
            first = self._refused[0][0] if self._refused else self.num_frames
            return list(range(first, first + num_missing))
        came = np.isin(recording.reader.table.pts[recording.order], np.array(self._stamps, np.int64))
        # A stream may begin with frames that need an earlier key frame; they are not meant to be shown.
        keys = np.flatnonzero(recording.reader.table.is_key)
        first_key = keys[0] if len(keys) else 0
        key_number = np.flatnonzero(recording.order == first_key)
        leads = recording.order > first_key
        leads[int(key_number[0]) if len(key_number) else 0 :] = False
        missing: list[Any] = np.flatnonzero(~came & ~leads).tolist()
        return missing

    def _decode(self, packet: Any) -> list[Any]:
        try:
            frames: list[Any] = self._context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as error:
            self._refused.append((self.num_frames, error.strerror or str(error)))
            return []
        return frames

    def _decode_group(self, wanted: np.ndarray, keys: np.ndarray) -> Iterator[tuple[int, Any]]:
        """The first wanted frames, until it is quicker to go on from the key frame of the next."""
        recording, stamps = self.recording, self.recording.reader.table.pts
        key, place = int(keys[0]), 0
        number = recording.first_shown_from(key)
        wanted_packets = set(recording.order[wanted].tolist())
        context = self._context
        context.flush_buffers()
        was_wanted = None
        for fed, packet in enumerate(chain(recording.reader.read_from(key), [None]), key):
            # No other frame is made from those that are skipped.
            if packet is not None and self._has_hole(packet):
                raise UnexpectedFrameError
            is_wanted = packet is None or fed in wanted_packets
            if is_wanted != was_wanted and self._codec not in _FIXED_AT_OPENING:
                context.skip_frame, was_wanted = "DEFAULT" if is_wanted else "NONREF", is_wanted
            frames = context.decode(packet)
            while frames:
                frame = frames.pop(0)
                if frame.pts is not None and frame.pts < stamps[key] and number < wanted[place]:
                    continue  # needs the group before
                while number < wanted[place] and frame.pts != stamps[recording.order[number]]:
                    number += 1
                if frame.is_corrupt or frame.pts != stamps[recording.order[number]]:
                    raise UnexpectedFrameError
                if number == wanted[place]:
                    yield number, frame
                    place += 1
                del frame
                number += 1
                if place == len(wanted) or keys[place] > fed:
                    return
        raise UnexpectedFrameError

    def _count_group(self, wanted: np.ndarray, keys: np.ndarray) -> Iterator[tuple[int, Any]]:
        """As `_decode_group`, where packets do not say when they are shown.

        What comes before a closed group is shown before it. So the number of a frame is that of the key
        packet and how many frames came out before; in the end each packet must have become one of them.
        """
        key, mine, place = int(keys[0]), wanted[keys == keys[0]], 0
        packets, fed, came = self.recording.reader.read_from(key), key, array("q")
        context = self._context
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        depth, is_over = _reorder_depth(context), False
        while not is_over:
            packet = next(packets, None) if place < len(mine) else None
            is_over = packet is None
            if packet is not None and (
                self._has_hole(packet) or (fed == key and not self._is_closed(packet))
            ):
                raise UnexpectedFrameError
            frames = _decode_as(context, packet, fed)
            fed += not is_over
            while frames:
                frame = frames.pop(0)
                if frame.is_corrupt or frame.pts is None:
                    raise UnexpectedFrameError
                number = key + len(came)
                came.append(frame.pts)
                if place < len(mine) and number == mine[place]:
                    yield number, frame
                    place += 1
                del frame
        is_whole = sorted(came) == list(range(key, fed)) and came[:1] == array("q", [key])
        if place < len(mine) or not is_whole or _reorder_depth(context) != depth:
            raise UnexpectedFrameError

    def _is_closed(self, packet: Any) -> bool:
        """Whether nothing from this key packet on refers to what comes before it, as far as it says."""
        if self._codec != "h264":  # of which those come out first that refer to what is not there, or never
            return True
        units = (match[1][0] & 31 for match in _UNIT.finditer(bytes(packet)))
        return next((unit for unit in units if unit in _SLICES), None) == _CLOSED_SLICE


def _decode_as(context: Any, packet: Any, number: int) -> list[Any]:
    """The frames that come out; that of the packet, now or later, has its number for a stamp."""
    if packet is None:
        frames: list[Any] = context.decode(None)
        return frames
    stamp, packet.pts = packet.pts, number
    try:
        frames = context.decode(packet)
    finally:
        packet.pts = stamp
    return frames


def _reorder_depth(context: Any) -> int:
    """How many frames the decoder holds back; if that grows, the order before was wrong."""
    return int(getattr(context, "reorder_depth", context.has_b_frames))


def _time_of(number: int, times_s: np.ndarray) -> float | None:
    return float(times_s[min(number, len(times_s) - 1)]) if len(times_s) else None
