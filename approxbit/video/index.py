"""What MP4, AVI and Matroska say of their packets, so that a long film is counted without reading it.

That is taken only where nothing but it decides what the packets are: an MP4 whose table of sizes is the one
that FFmpeg uses, an AVI each byte of which belongs to a packet of the index or to a known part without
pictures, or a Matroska file of plain blocks (see `blocks`). Whoever reads a packet later compares it with its
row all the same.
"""

from __future__ import annotations

import os
import struct
from array import array
from itertools import chain
from operator import attrgetter
from typing import IO, Any, Iterator, NamedTuple

import numpy as np

from approxbit.video.blocks import blocks_of
from approxbit.video.times import NO_TIME

_MOST_GAPS = 1000
"""Parts between the packets of an AVI; with more of them, reading it is as quick."""

_HEADER_BYTES = 8
"""Of a chunk of AVI, and of a box of MP4."""

_LARGEST_OFFSET = 1 << 28
"""FFmpeg does not believe an MP4 that shows a frame later than this after its decoding."""

_columns = attrgetter("pos", "timestamp", "size", "is_keyframe", "is_discard")


class Index(NamedTuple):
    """One row for each packet, int64 but for the two last ones, in the order of the file.

    Times are in units of the stream.
    """

    positions: np.ndarray
    """Of the first byte of its data."""
    sizes: np.ndarray
    dts: np.ndarray
    """When it is decoded; NO_TIME where the file does not say."""
    shown: np.ndarray | None
    """When it is shown, but for one number that is the same for all; None where nobody says."""
    durations: np.ndarray
    """-1 where it is that of the first packet."""
    is_key: np.ndarray
    is_shown: np.ndarray


def may_be_longer(stream: Any, num_packets: int) -> bool:
    """Whether a film has an index worth a look, because it has more packets than so many."""
    container = stream.container
    if "matroska" in container.format.name:
        return bool((container.duration or 0) * (stream.average_rate or 0) > num_packets * 1_000_000)
    return len(getattr(stream, "index_entries", ())) > num_packets


def read_index(container: Any, stream: Any, file: IO[bytes]) -> Index | None:
    """The packets of a stream; None where the container has no index that can be trusted.

    Args:
        container: Open.
        stream: One of its video streams.
        file: What it was opened from, seekable.
    """
    kinds = container.format.name.split(",")
    if "matroska" in kinds:
        return _index_of_matroska(stream, file)
    if not hasattr(stream, "index_entries") or not {"mov", "avi"} & set(kinds):
        return None
    rows = _rows(stream)
    if not len(rows) or (np.diff(rows[:, 1]) <= 0).any():
        return None
    if "mov" in kinds:
        delays = _delays_of_mp4(file, stream.id, rows[:, 2])
        if delays is None or (rows[:, 0] + rows[:, 2]).max() > _size_of(file):
            return None
    elif not _is_all_of_avi(stream, rows, file):
        return None
    else:
        rows = rows[rows[:, 2] > 0]
        rows[:, 0] += _HEADER_BYTES
        delays = None if stream.codec_context.has_b_frames else np.zeros(len(rows), np.int64)
    positions, dts, sizes, is_key, is_discarded = np.ascontiguousarray(rows.T)
    shown, steps = None if delays is None else dts + delays, np.diff(dts)
    return Index(positions, sizes, dts, shown, np.append(steps, steps[-1:]), is_key > 0, is_discarded == 0)


def _index_of_matroska(stream: Any, file: IO[bytes]) -> Index | None:
    blocks = blocks_of(file, _size_of(file), stream.index, len(stream.container.streams))
    if blocks is None or not len(blocks.times):
        return None
    shown, dts = blocks.times, np.full_like(blocks.times, NO_TIME)
    if not stream.codec_context.has_b_frames:  # FFmpeg says that what is shown as it comes is decoded then
        if (np.diff(shown) <= 0).any():
            return None
        dts = shown
    is_shown = np.ones(len(shown), bool)
    return Index(blocks.positions, blocks.sizes, dts, shown, blocks.durations, blocks.is_key, is_shown)


def _rows(stream: Any) -> np.ndarray:
    flat = array("q", chain.from_iterable(map(_columns, stream.index_entries)))
    return np.array(flat, np.int64).reshape(-1, 5)


def _size_of(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _read(file: IO[bytes], at: int, num_bytes: int) -> bytes:
    file.seek(at)
    return file.read(num_bytes)


def _delays_of_mp4(file: IO[bytes], track: int, sizes: np.ndarray) -> np.ndarray | None:
    """From the table of a track; None where there is none with just these sizes, or fragments may follow."""
    size = _size_of(file)
    if any(True for _ in _find(file, 0, size, b"moov", b"mvex")):
        return None
    for start, end in _find(file, 0, size, b"moov", b"trak"):
        header = next((_read(file, at, 24) for at, _ in _find(file, start, end, b"tkhd")), bytes(24))
        if int.from_bytes(header[20:24] if header[0] else header[12:16], "big") != track:
            continue
        tables = {
            name: _read(file, at, until - at)
            for at, until in _find(file, start, end, b"mdia", b"minf", b"stbl")
            for name, at, until in _boxes(file, at, until)
            if name in (b"stsz", b"ctts")
        }
        if not np.array_equal(_sizes(tables.get(b"stsz", b"")), sizes):
            return None
        return _delays(tables[b"ctts"], len(sizes)) if b"ctts" in tables else np.zeros(len(sizes), np.int64)
    return None


def _find(file: IO[bytes], start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each content that lies in boxes of these names, one in another."""
    if not path:
        yield start, end
        return
    for name, first, last in _boxes(file, start, end):
        if name == path[0]:
            yield from _find(file, first, last, *path[1:])


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + _HEADER_BYTES <= end:
        header = _read(file, start, 16)
        length, first = int.from_bytes(header[:4], "big"), start + _HEADER_BYTES
        if length == 1:
            length, first = int.from_bytes(header[8:], "big"), start + 16
        last = end if length == 0 else min(start + length, end)
        if last < first:
            return
        yield header[4:8], first, last
        start = last


def _sizes(table: bytes) -> np.ndarray:
    if len(table) < 12:
        return np.zeros(0, np.int64)
    size, count = struct.unpack_from(">II", table, 4)
    if size:
        return np.full(min(count, len(table) << 20), size, np.int64)
    return np.frombuffer(table, ">u4", offset=12, count=min(count, len(table) // 4 - 3)).astype(np.int64)


def _delays(table: bytes, num_packets: int) -> np.ndarray | None:
    pairs = np.frombuffer(table[8 : len(table) // 8 * 8], ">i4").reshape(-1, 2).astype(np.int64)
    counts, delays = pairs.T
    is_sound = (counts > 0).all() and counts.sum() == num_packets and len(pairs) > 0
    if not is_sound or np.abs(delays).max() > _LARGEST_OFFSET:
        return None
    return np.repeat(delays, counts)


def _is_all_of_avi(stream: Any, rows: np.ndarray, file: IO[bytes]) -> bool:
    """Whether nothing between the packets of all streams can hold another packet."""
    parts = [rows if each.index == stream.index else _rows(each) for each in stream.container.streams]
    places, sizes = np.concatenate(parts)[:, (0, 2)].T
    order = np.argsort(places)
    starts = places[order]
    ends = starts + _HEADER_BYTES + sizes[order] + sizes[order] % 2
    gaps = np.flatnonzero(starts[1:] != ends[:-1])
    if len(gaps) > _MOST_GAPS or (starts[1:] < ends[:-1]).any():
        return False
    spans = [(0, int(starts[0])), (int(ends[-1]), _size_of(file))]
    spans += [(int(ends[gap]), int(starts[gap + 1])) for gap in gaps]
    return all(_is_without_pictures(file, start, end) for start, end in spans)


def _is_without_pictures(file: IO[bytes], start: int, end: int) -> bool:
    """Whether a part of an AVI is made of headers, indexes and padding only."""
    while start + _HEADER_BYTES <= end:
        header = _read(file, start, _HEADER_BYTES)
        name, length = header[:4], int.from_bytes(header[4:], "little")
        if name in (b"RIFF", b"LIST"):
            start += _HEADER_BYTES + 4
        elif name[:2].isdigit() or not name.rstrip(b" ").isalnum():
            return False
        else:
            start += _HEADER_BYTES + length + length % 2
    return start == end
