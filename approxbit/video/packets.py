"""The packets of a video stream: counted without decoding, then read again from any of them.

Reading again is exact whatever the container says about its own index: the packet that a seek lands on is
looked up by place and size in the table of the first pass, and where it is not found, reading starts over.
"""

from __future__ import annotations

from array import array
from contextlib import ExitStack, suppress
from typing import Any, Iterator, NamedTuple

import av
import numpy as np

from approxbit.video.opening import Opened, Reopenable
from approxbit.video.times import NO_TIME

_HELD_BYTES = 4 * 2**20
_HELD_PACKETS = 2000
"""Shorter streams stay in memory and are not read twice."""

_NEAR_PACKETS = 64
"""So many packets are rather read over than jumped over."""


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
    """The packets of one stream, from any of them on: a context manager that keeps its container open."""

    def __init__(self, source: Reopenable, stream_index: int | None = None):
        self._source, self._stream_index = source, stream_index
        self._stack = ExitStack()
        self._held: list[Any] | None = []
        self._packets: Iterator[Any] = iter(())
        self._next: int | None = None
        self.opened: Opened

    def __enter__(self) -> PacketReader:
        self._open()
        try:
            self.table = self._scan()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._held = None
        self._stack.close()

    def __len__(self) -> int:
        return len(self.table.pts)

    def read_from(self, number: int) -> Iterator[Any]:
        """The packet with a number and all after it."""
        if self._held is not None:
            yield from self._held[number:]
            return
        self._go_to(number)
        for packet in self._packets:
            if packet.size:
                self._next = self._next + 1  # type: ignore[operator]
                yield packet

    def end_of_all_streams_s(self) -> float:
        """When the last packet of any stream ends, on the file's own clock."""
        end_s = 0.0
        with self._source.open(self._stream_index) as opened, suppress(av.error.FFmpegError):
            for packet in opened.container.demux():
                if packet.size and packet.pts is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return end_s

    def _open(self) -> None:
        self._stack.close()
        self.opened = self._stack.enter_context(self._source.open(self._stream_index))
        self._packets, self._next = self.opened.container.demux(self.opened.stream), 0

    def _scan(self) -> PacketTable:
        rows = array("q")
        held_bytes, error = 0, ""
        add = rows.extend
        try:
            for packet in self._packets:
                size = packet.size
                if not size:
                    continue
                pts, dts, pos = packet.pts, packet.dts, packet.pos
                add(
                    (
                        NO_TIME if pts is None else pts,
                        NO_TIME if dts is None else dts,
                        packet.duration or 0,
                        -1 if pos is None else pos,
                        size,
                        packet.is_keyframe | packet.is_discard << 1 | packet.is_corrupt << 2,
                    )
                )
                if self._held is not None:
                    held_bytes += size
                    self._held.append(packet)
                    if held_bytes > _HELD_BYTES or len(self._held) > _HELD_PACKETS:
                        self._held = None
        except av.error.FFmpegError as failure:
            error = failure.strerror or str(failure)
        self._next = None
        table = np.frombuffer(rows, np.int64).reshape(-1, 6) if rows else np.zeros((0, 6), np.int64)
        columns, flags = np.ascontiguousarray(table[:, :5].T), table[:, 5]
        return PacketTable(
            pts=columns[0],
            dts=columns[1],
            durations=columns[2],
            positions=columns[3],
            sizes=columns[4],
            is_key=(flags & 1) > 0,
            is_shown=(flags & 2) == 0,
            is_corrupt=(flags & 4) > 0,
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


def _chain(packet: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield packet
    yield from others
