"""Matroska and WebM: the chain of their parts, held against lengths and checksums."""

from __future__ import annotations

import zlib
from typing import IO, Iterator, NamedTuple

SEGMENT, CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"

_CHECKSUM_OF_4_BYTES = b"\xbf\x84"
_MOST_PARTS_BEFORE_THE_SEGMENT = 8


class Element(NamedTuple):
    """A name, a length and a content."""

    name: bytes
    """Empty if there is none."""
    at: int
    start: int
    """Of its content."""
    length: int | None
    """Of its content; None if it does not say."""

    @property
    def end(self) -> int | None:
        """The byte after its content."""
        return None if self.length is None else self.start + self.length


def element_of(file: IO[bytes], at: int) -> Element:
    """The element that begins at a byte of a seekable file."""
    file.seek(at)
    return parse_element(file.read(12), 0, at)


def parse_element(data: bytes, place: int, at: int | None = None) -> Element:
    """The element that begins at a place of some bytes.

    Args:
        data: Its first 12 bytes at least, or all there are.
        place: Where it begins in them.
        at: Where it begins, as the result counts; in the data by default.
    """
    header = data[place : place + 12] + bytes(12)
    at = place if at is None else at
    name_bytes = _num_bytes(header[0])
    length_bytes = _num_bytes(header[name_bytes])
    if name_bytes > 4 or length_bytes > 8:
        return Element(b"", at, at, None)
    marker = 1 << 7 * length_bytes
    length = int.from_bytes(header[name_bytes : name_bytes + length_bytes], "big") - marker
    start = at + name_bytes + length_bytes
    return Element(header[:name_bytes], at, start, None if length == marker - 1 else length)


def walk(file: IO[bytes], size: int) -> Iterator[Element]:
    """The segment and its parts one after the other, until one is broken, or open, or ends behind the file.

    That one is the last.
    """
    at = 0
    while at < size:
        element = element_of(file, at)
        yield element
        if element.name == SEGMENT:
            at = element.start
        elif not element.name or element.end is None or element.end > size:
            return
        else:
            at = element.end


def end_of_segment(file: IO[bytes]) -> int:
    """Where the part ends that holds everything; 0 if it does not say, as a live one."""
    at = 0
    for _ in range(_MOST_PARTS_BEFORE_THE_SEGMENT):
        element = element_of(file, at)
        if not element.name or element.end is None:
            return 0
        at = element.end
        if element.name == SEGMENT:
            return at
    return 0


def is_broken(file: IO[bytes], size: int) -> bool:
    """Whether some part does not begin where the one before ends."""
    at = 0
    while at < size:
        element = element_of(file, at)
        if not element.name:
            return True
        is_open = element.end is None or element.name in (SEGMENT, CLUSTER)
        at = element.start if is_open else element.end or 0
    return False


def first_changed_cluster(file: IO[bytes], size: int) -> int | None:
    """Where the first cluster begins whose checksum, which is its first element, is another."""
    for element in walk(file, size):
        if element.name == CLUSTER and element.end is not None and element.end <= size:
            file.seek(element.start)
            head = file.read(6)
            if not head.startswith(_CHECKSUM_OF_4_BYTES):
                continue
            content = file.read(max(element.end - element.start - 6, 0))
            if zlib.crc32(content) != int.from_bytes(head[2:], "little"):
                return element.at
    return None


def _num_bytes(first: int) -> int:
    """Bytes of a number, told by the zeros before its first one."""
    return 9 - first.bit_length()
