"""The packets of a video stream: counted without decoding, then read again from any of them.

Long films whose container has an index of all packets are counted by it; each packet that is read later
must be the one that the index says. Where all are read to be counted, reading again is exact whatever the
container says: the packet that a seek lands on is looked up by place and size in the table of the first pass,
and where it is not found, reading starts over.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from operator import attrgetter
from typing import Any, Iterator, NamedTuple, Sequence

import av
import numpy as np

from approxbit.video.index import Index, may_be_longer, read_index
from approxbit.video.opening import Opened, Reopenable
from approxbit.video.times import NO_TIME

_HELD_BYTES = 4 * 2**20
_HELD_PACKETS = 2000
"""Shorter streams stay in memory and are not read twice."""

_NEAR_PACKETS = 64
"""So many packets are rather read over than jumped over."""

_facts = attrgetter("pts", "dts", "duration", "pos", "size", "is_keyframe", "is_discard", "is_corrupt")


class UnexpectedPacketError(Exception):
    """A packet is not what the container's index says; never leaves this room."""


class PacketTable(NamedTuple):
    """One row for each packet, in the order of the file, which is that of decoding."""

    pts: np.ndarray
    """When it is shown, in units of `time_base`; NO_TIME where the file does not say."""
    dts: np.ndarray
    """When it is decoded."""
    durations: np.ndarray
    positions: np.ndarray
    """Of its first byte in the file, -1 where unknown."""
    sizes: np.ndarray
    is_key: np.ndarray
    is_shown: np.ndarray
    """False before the start of an edit list: decoded, never shown."""
    is_corrupt: np.ndarray
    """The demuxer lost some of its bytes."""
    time_base: float
    """Seconds."""
    error: str
    """Why the demuxer broke off before the end; empty if it did not."""


class PacketReader:
    """The packets of one stream, from any of them on: a context manager that keeps its container open.

    Args:
        source: What to read.
        stream_index: See `streams.choose_stream`.
        by_index: Count the packets of long films by the container's index where there is one.
    """

    def __init__(self, source: Reopenable, stream_index: int | None = None, by_index: bool = False):
        self.source, self._stream_index = source, stream_index
        self.is_by_index = by_index
        self._stack = ExitStack()
        self._held: list[Any] | None = []
        self._packets: Iterator[Any] = iter(())
        self._next: int | None = None
        self.opened: Opened

    def __enter__(self) -> PacketReader:
        self._open()
        try:
            table = self._table_of_index() if self.is_by_index else None
            self.is_by_index = table is not None
            self.table = self._scan() if table is None else table
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._held = None
        self._stack.close()

    def __len__(self) -> int:
        return len(self.table.pts)

    def count_again(self) -> None:
        """Read all packets, because the index is not to be trusted."""
        self.is_by_index, self._held = False, []
        self._open()
        self.table = self._scan()

    def read_from(self, number: int) -> Iterator[Any]:
        """The packet with a number and all after it.

        Raises:
            UnexpectedPacketError: The container's index, by which packets were counted, says otherwise.
        """
        if self._held is not None:
            yield from self._held[number:]
            return
        self._go_to(number)
        for packet in self._packets:
            if packet.size:
                if self.is_by_index and not _is_row(self.table, self._next, packet):  # type: ignore[arg-type]
                    raise UnexpectedPacketError
                self._next = self._next + 1  # type: ignore[operator]
                yield packet

    def end_of_all_streams_s(self) -> float:
        """When the last packet of any stream ends, on the file's own clock."""
        end_s = 0.0
        with self.source.open(self._stream_index) as opened, suppress(av.error.FFmpegError):
            for packet in opened.container.demux():
                if packet.size and packet.pts is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return end_s

    def _open(self) -> None:
        self._stack.close()
        self.opened = self._stack.enter_context(self.source.open(self._stream_index))
        self._packets, self._next = self.opened.container.demux(self.opened.stream), 0

    def _table_of_index(self) -> PacketTable | None:
        opened = self.opened
        if not may_be_longer(opened.stream, _HELD_PACKETS):
            return None
        with self.source.bytes_of_it() as file:
            index = read_index(opened.container, opened.stream, file)
        first = next(self._packets, None) if index else None
        table = _table_of(index, first, float(opened.stream.time_base)) if index and first else None
        if table is None or not _is_row(table, 0, first):
            self._open()
            return None
        self._held = self._next = None
        return table

    def _scan(self) -> PacketTable:
        held_bytes, error = 0, ""
        rows: list[Any] = []
        try:
            for packet in self._packets:
                size = packet.size
                if not size:
                    continue
                rows.append(_facts(packet))
                if self._held is not None:
                    held_bytes += size
                    self._held.append(packet)
                    if held_bytes > _HELD_BYTES or len(self._held) > _HELD_PACKETS:
                        self._held = None
        except av.error.FFmpegError as failure:
            error = failure.strerror or str(failure)
        self._next = None
        columns = list(zip(*rows)) or [()] * 8
        return PacketTable(
            pts=_integers(columns[0], NO_TIME),
            dts=_integers(columns[1], NO_TIME),
            durations=_integers(columns[2], 0),
            positions=_integers(columns[3], -1),
            sizes=np.array(columns[4], np.int64),
            is_key=np.array(columns[5], bool),
            is_shown=~np.array(columns[6], bool),
            is_corrupt=np.array(columns[7], bool),
            time_base=float(self.opened.stream.time_base),
            error=error,
        )

    def _go_to(self, number: int) -> None:
        if self._next is None or not 0 <= number - self._next <= _NEAR_PACKETS:
            self._next = None
            if not self._seek(number):
                self._open()
        while self._next is not None and self._next < number:
            packet = next(self._packets)
            self._next += bool(packet.size)

    def _seek(self, number: int) -> bool:
        """Whether the reader now stands at the packet or before it, and knows where."""
        container, stream = self.opened.container, self.opened.stream
        stamps = (self.table.pts, self.table.dts)
        first, second = stamps if "matroska" in container.format.name else stamps[::-1]
        stamp = first[number] if first[number] != NO_TIME else second[number]
        if stamp == NO_TIME:
            return False
        try:
            container.seek(int(stamp), stream=stream)
            self._packets = container.demux(stream)
            packet = next(self._packets)
        except (av.error.FFmpegError, StopIteration):
            return False
        found = self._number_of(packet)
        if found is None or found > number:
            return False
        if found == number:
            self._packets, self._next = _chain(packet, self._packets), found
        else:
            self._next = found + 1
        return True

    def _number_of(self, packet: Any) -> int | None:
        if packet.pos is None or packet.pos < 0 or not packet.size:
            return None
        places = np.flatnonzero((self.table.positions == packet.pos) & (self.table.sizes == packet.size))
        return int(places[0]) if len(places) == 1 else None


def _table_of(index: Index, first: Any, time_base: float) -> PacketTable | None:
    """What an index says, completed by the first packet as it was read; None if they do not fit."""
    if (first.dts is None) != (index.dts[0] == NO_TIME):
        return None
    pts = np.full_like(index.dts, NO_TIME)
    if index.shown is not None and first.pts is not None:
        pts = index.shown + (first.pts - index.shown[0])
    return PacketTable(
        pts=pts,
        dts=index.dts,
        durations=np.where(index.durations < 0, first.duration or 0, index.durations),
        positions=index.positions,
        sizes=index.sizes,
        is_key=index.is_key,
        is_shown=index.is_shown,
        is_corrupt=np.zeros(len(index.dts), bool),
        time_base=time_base,
        error="",
    )


def _is_row(table: PacketTable, number: int, packet: Any) -> bool:
    """Whether a packet is the one that a table says."""
    return bool(
        number < len(table.pts)
        and table.positions[number] == packet.pos
        and table.sizes[number] == packet.size
        and table.dts[number] in (packet.dts, NO_TIME)
        and table.pts[number] in (packet.pts, NO_TIME)
        and table.is_key[number] == packet.is_keyframe
        and table.is_shown[number] != packet.is_discard
        and not packet.is_corrupt
    )


def _integers(column: Sequence[int | None], missing: int) -> np.ndarray:
    if None in column:
        column = [missing if value is None else value for value in column]
    return np.array(column, np.int64)


def _chain(packet: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield packet
    yield from others
