"""Whether an Ogg file is whole: checksums, numbers and marks of its pages."""

from __future__ import annotations

import zlib
from typing import IO, NamedTuple

_HEADER_BYTES = 27
_CHECKSUM = slice(22, 26)
_LAST_PAGE = 4

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits the other way round."""


class Pages(NamedTuple):
    """What a walk over all pages found."""

    num_missing_bytes: int
    """Behind the end of the file, at least."""
    first_break: int | None
    """Where the first page begins that is damaged, or before which one is missing."""


def walk_pages(file: IO[bytes], size: int) -> Pages:
    """Look at each page of a file.

    Args:
        file: Seekable.
        size: Its length in bytes.
    """
    at = 0
    numbers: dict[bytes, int] = {}
    is_ended: dict[bytes, bool] = {}
    first_break = None
    file.seek(0)
    while at < size:
        header = file.read(_HEADER_BYTES)
        lengths = file.read(header[26]) if len(header) == _HEADER_BYTES else b""
        if not b"OggS".startswith(header[:4]):
            return Pages(0, at if first_break is None else first_break)
        body = file.read(sum(lengths))
        end = at + _HEADER_BYTES + (header[26] if len(header) == _HEADER_BYTES else 0) + sum(lengths)
        if end > size:
            return Pages(end - size, first_break)
        stream, number = header[14:18], int.from_bytes(header[18:22], "little")
        is_next = number == numbers.get(stream, number - 1) + 1
        if first_break is None and not (is_next and _is_sound(header, lengths + body)):
            first_break = at
        numbers[stream], is_ended[stream] = number, bool(header[5] & _LAST_PAGE)
        at = end
    return Pages(int(not all(is_ended.values())), first_break)


def _is_sound(header: bytes, rest: bytes) -> bool:
    """Whether a page has the checksum that it says: the polynomial of zlib's, its bits not mirrored."""
    page = bytearray(header + rest)
    expected = int.from_bytes(page[_CHECKSUM], "little")
    page[_CHECKSUM] = bytes(4)
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2) == expected
