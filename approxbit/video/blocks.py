"""The packets of a Matroska file by the headers of its blocks, without their data.

A file is taken only if it is plain: each part has a known name and a length and is followed by the next one
up to the end, one packet is one block, and nothing changes times or bytes of the film on their way.
"""

from __future__ import annotations

from itertools import repeat
from typing import IO, Iterator, NamedTuple

import numpy as np

from approxbit.video.matroska import CLUSTER, SEGMENT, Element, parse_element, walk

_BATCH_BYTES = 2**24
"""Clusters are looked at so many bytes at a time, because numpy takes its time to begin."""

_WEIGHT = 64
"""Bytes that the place of a child counts for."""

_MOST_CHILDREN = 100_000
"""Of a cluster, whose blocks lie within 65 seconds."""

_EBML, _TRACKS = b"\x1a\x45\xdf\xa3", b"\x16\x54\xae\x6b"
_LARGEST_BYTES = {_TRACKS: 2**20, CLUSTER: 2**26}
_WITHOUT_PICTURES = {
    bytes.fromhex(name)
    for name in ("114d9b74", "1549a966", "1c53bb6b", "1043a770", "1254c367", "1941a469", "ec", "bf")
}
"""Seek head, information, cues, chapters, tags, attachments, padding and checksum."""

_TRACK, _NUMBER, _TYPE, _CODEC = b"\xae", b"\xd7", b"\x83", b"\x86"
_DURATION_OF_ALL = bytes.fromhex("23e383")
_CHANGES_ALL = {bytes.fromhex("6d80"), bytes.fromhex("23314f")}
"""Encodings of content, and a clock of its own."""
_DELAY = bytes.fromhex("56aa")

_VIDEO, _TYPES = 1, {1, 2, 17}
_FILM_CODECS = ("V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "V_VP9", "V_AV1", "V_FFV1")
_SOUND_CODECS = ("A_AAC", "A_OPUS", "A_VORBIS", "A_MPEG/", "A_AC3", "A_EAC3", "A_FLAC", "A_DTS", "A_PCM/")
_TEXT_CODECS = ("S_TEXT/UTF8", "S_TEXT/ASS")

_SIMPLE, _GROUP, _TIME = 0xA3, 0xA0, 0xE7
_CHILDREN = np.isin(np.arange(256), [_SIMPLE, _GROUP, _TIME, 0xA7, 0xAB, 0xEC, 0xBF])
"""Names in a cluster: those, and position, size of the cluster before, padding and checksum."""
_BLOCK, _DURATION, _REFERENCE, _PADDING = b"\xa1", b"\x9b", b"\xfb", bytes.fromhex("75a2")

_NUM_BYTES = np.array([9 - first.bit_length() for first in range(256)])
_KEY, _LACED = 0x80, 0x06


class Blocks(NamedTuple):
    """One row for each packet of a track, in the order of the file."""

    positions: np.ndarray
    """Of the content of its block, which is where FFmpeg says that the packet is."""
    sizes: np.ndarray
    times: np.ndarray
    """When it is shown, in units of the file."""
    durations: np.ndarray
    """-1 for that of the track."""
    is_key: np.ndarray


class _Cluster(NamedTuple):
    origin: int
    """Where its content begins in the file."""
    content: bytes
    starts: np.ndarray
    """Of its children, in its content, and where the last one ends."""


class _NotPlainError(Exception):
    """The file is to be read in another way; never leaves this module."""


def blocks_of(file: IO[bytes], size: int, place: int, num_tracks: int) -> Blocks | None:
    """The packets of a track of video; None where the file is not plain.

    Args:
        file: Seekable.
        size: Its length in bytes.
        place: Of the track among all.
        num_tracks: That others found.
    """
    tables: list[Blocks] = []
    numbers: list[int] = []
    batch: list[_Cluster] = []
    held_bytes = 0
    try:
        for element in _parts(file, size):
            content = _content(file, element)
            if element.name == _TRACKS:
                _check(not numbers)
                numbers = _numbers(content, place)
                _check(len(numbers) == num_tracks)
                continue
            _check(bool(numbers and content))
            starts = np.array(_starts(content), np.int64)
            batch.append(_Cluster(element.start, content, starts))
            held_bytes += len(content) + _WEIGHT * len(starts)
            if held_bytes > _BATCH_BYTES:
                tables.append(_blocks(batch, numbers, place))
                batch, held_bytes = [], 0
        if batch:
            tables.append(_blocks(batch, numbers, place))
    except (_NotPlainError, IndexError):
        return None
    return Blocks(*map(np.concatenate, zip(*tables))) if tables else None


def _parts(file: IO[bytes], size: int) -> Iterator[Element]:
    """Tracks and clusters, of a size that may be read; nothing else may hold packets."""
    end = 0
    for number, element in enumerate(walk(file, size)):
        end = _end(element, size)
        _check((number == 0) == (element.name == _EBML) and (number == 1) == (element.name == SEGMENT))
        if element.name in _LARGEST_BYTES:
            _check(end - element.start <= _LARGEST_BYTES[element.name])
            yield element
        else:
            _check(number < 2 or element.name in _WITHOUT_PICTURES)
    _check(end == size)


def _content(file: IO[bytes], element: Element) -> bytes:
    file.seek(element.start)
    return file.read(element.length or 0)


def _end(element: Element, size: int) -> int:
    _check(element.name != b"" and element.end is not None and element.end <= size)
    return element.end  # type: ignore[return-value]


def _check(holds: bool) -> None:
    if not holds:
        raise _NotPlainError


def _numbers(tracks: bytes, place: int) -> list[int]:
    """The number of each track, by which blocks name it."""
    numbers: list[int] = []
    for track in _elements(tracks, 0, len(tracks)):
        if track.name != _TRACK:
            _check(track.name in _WITHOUT_PICTURES)
            continue
        facts = {
            each.name: tracks[each.start : each.end] for each in _elements(tracks, track.start, track.end)
        }
        kind, codec = int.from_bytes(facts.get(_TYPE, b""), "big"), facts.get(_CODEC, b"").decode("latin-1")
        is_film = len(numbers) == place
        known = _FILM_CODECS if kind == _VIDEO else _SOUND_CODECS + _TEXT_CODECS
        _check(kind in _TYPES and codec.startswith(known) and not _CHANGES_ALL & facts.keys())
        if is_film:
            _check(kind == _VIDEO and _DURATION_OF_ALL in facts and _DELAY not in facts)
        numbers.append(int.from_bytes(facts.get(_NUMBER, b""), "big"))
    _check(len(set(numbers)) == len(numbers) > place and all(0 < number < 127 for number in numbers))
    return numbers


def _elements(data: bytes, start: int, end: int | None) -> Iterator[Element]:
    """Those that fill a part of some bytes."""
    _check(end is not None)
    while start < end:  # type: ignore[operator]
        element = parse_element(data, start)
        start = _end(element, end)  # type: ignore[arg-type]
        yield element


def _blocks(clusters: list[_Cluster], numbers: list[int], place: int) -> Blocks:
    """Those of some clusters that are of a track."""
    content = b"".join(each.content for each in clusters)
    data = np.frombuffer(content, np.uint8)
    bases = np.cumsum([0] + [len(each.content) for each in clusters[:-1]])
    moved = [each.starts + base for each, base in zip(clusters, bases)]
    starts, ends = (np.concatenate([rows[cut] for rows in moved]) for cut in (slice(-1), slice(1, None)))
    cluster = np.repeat(np.arange(len(clusters)), [len(each.starts) - 1 for each in clusters])
    names, firsts = data[starts], data[starts + 1]
    is_open = (firsts == 0xFF).any() or (data[starts[firsts == 0x7F] + 2] == 0xFF).any()
    _check(bool(_CHILDREN[names].all()) and not is_open)
    contents = starts + 1 + _NUM_BYTES[firsts]
    clocks, rows = np.flatnonzero(names == _TIME), np.flatnonzero((names == _SIMPLE) | (names == _GROUP))
    _check(np.array_equal(cluster[clocks], np.arange(len(clusters))))
    _check(bool((rows > clocks[cluster[rows]]).all()))  # the time of a cluster stands before its blocks
    times = [int.from_bytes(content[contents[row] : ends[row]], "big") for row in clocks.tolist()]
    _check(max(times) < 1 << 62)
    durations, is_key = np.full(len(starts), -1), np.zeros(len(starts), bool)
    for row in np.flatnonzero(names == _GROUP).tolist():
        block, durations[row], is_key[row] = _of_group(content, int(contents[row]), int(ends[row]))
        contents[row], ends[row] = block.start, block.end
    origins = np.array([each.origin for each in clusters]) - bases
    contents, sizes = contents[rows], ends[rows] - contents[rows] - 4
    _check(bool((sizes > 0).all()))
    tracks, flags = data[contents].astype(np.int64) - 0x80, data[contents + 3]
    _check(bool(np.isin(tracks, numbers).all()) and not (flags & _LACED).any())
    shown = np.array(times)[cluster[rows]] + data[contents + 2]
    shown += data[contents + 1].astype(np.int8).astype(np.int64) << 8
    _check(bool((shown >= 0).all()))
    is_key = np.where(names[rows] == _SIMPLE, flags & _KEY > 0, is_key[rows])
    positions = contents + origins[cluster[rows]]
    mine = tracks == numbers[place]
    return Blocks(*(column[mine] for column in (positions, sizes, shown, durations[rows], is_key)))


def _starts(content: bytes) -> list[int]:
    """Where each child begins whose name has one byte, and where the last one ends."""
    starts, at, end = [], 0, len(content)
    for _ in repeat(None, _MOST_CHILDREN):
        starts.append(at)
        if at >= end:
            break
        first = content[at + 1]
        if first >= 0x80:  # 7 bits of length
            at += first - 0x80 + 2
        elif first >= 0x40:  # 14 bits
            at += (first << 8 | content[at + 2]) - 0x4000 + 3
        else:
            at = _end(parse_element(content, at), end)
    _check(at == end)
    return starts


def _of_group(content: bytes, start: int, end: int) -> tuple[Element, int, bool]:
    """Block, duration, and whether it refers to no other, of a group with a single block."""
    parts = list(_elements(content, start, end))
    blocks = [part for part in parts if part.name == _BLOCK]
    names = {part.name for part in parts}
    _check(len(blocks) == 1 and names <= {_BLOCK, _DURATION, _REFERENCE, _PADDING})
    spans = [content[part.start : part.end] for part in parts if part.name == _DURATION]
    duration = int.from_bytes(spans[0], "big") if spans else -1
    _check(len(spans) < 2 and duration < 1 << 31)
    return blocks[0], duration, _REFERENCE not in names
