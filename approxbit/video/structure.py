"""How many bytes a container promises beyond the end of its file."""

from __future__ import annotations

import os
import struct
from typing import IO

_TS_PACKET_BYTES = 188
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"


def count_missing_bytes(file: IO[bytes], format_name: str) -> int:
    """Bytes that were cut off, at least; 0 where none are, or the container does not say.

    Args:
        file: Seekable.
        format_name: FFmpeg's, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    kinds = format_name.split(",")
    if "mov" in kinds:
        return max(_end_of_boxes(file, size) - size, 0)
    if "avi" in kinds:
        return max(_end_of_riff(file, size) - size, 0)
    if "matroska" in kinds:
        return max(_end_of_segment(file) - size, 0)
    if "mpegts" in kinds and _read(file, 0, 1) == b"G" and _read(file, _TS_PACKET_BYTES, 1) == b"G":
        return -size % _TS_PACKET_BYTES
    return 0


def _read(file: IO[bytes], at: int, num_bytes: int) -> bytes:
    file.seek(at)
    return file.read(num_bytes)


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """MP4: each box of the top level begins with its length and a name."""
    at = 0
    while at < size:
        header = _read(file, at, 16)
        if len(header) < 8:
            return at + 8
        length = struct.unpack(">I", header[:4])[0]
        if not header[4:8].isalnum() or length == 0:  # padding; or a box that reaches to the end
            return size
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length < 8:
            return size
        at += length
    return at


def _end_of_riff(file: IO[bytes], size: int) -> int:
    """AVI: one RIFF chunk for each gigabyte or so."""
    at = 0
    while at < size:
        header = _read(file, at, 8)
        if header[:4] != b"RIFF" or len(header) < 8:
            return size
        length = struct.unpack("<I", header[4:])[0]
        if length == 0:  # the recorder never came back to write it
            return size
        at += 8 + length + length % 2
    return min(at, size) if at == size + 1 else at


def is_broken(file: IO[bytes], format_name: str) -> bool:
    """Whether the parts of a Matroska or Flash file do not follow each other as their lengths say.

    Other formats, which have no such chain, are taken for sound.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    if "matroska" in format_name:
        return _is_broken_matroska(file, size)
    return format_name == "flv" and _is_broken_flash(file, size)


def _is_broken_flash(file: IO[bytes], size: int) -> bool:
    """Each tag is followed by its length."""
    at = int.from_bytes(_read(file, 5, 4), "big") + 4
    while at + 15 <= size:
        length = 11 + int.from_bytes(_read(file, at + 1, 3), "big")
        if int.from_bytes(_read(file, at + length, 4), "big") != length:
            return True
        at += length + 4
    return False


def _is_broken_matroska(file: IO[bytes], size: int) -> bool:
    at = 0
    while at < size:
        name, start, length = _element(file, at)
        if not name:
            return True
        is_open = length is None or name in (_SEGMENT, _CLUSTER)
        at = start if is_open else start + (length or 0)
    return False


def _end_of_segment(file: IO[bytes]) -> int:
    """Matroska: a header, then the segment that holds everything; a live one has no length."""
    at = 0
    for _ in range(8):
        name, start, length = _element(file, at)
        if not name or length is None:
            return 0
        at = start + length
        if name == _SEGMENT:
            return at
    return 0


def _element(file: IO[bytes], at: int) -> tuple[bytes, int, int | None]:
    """Name, start of the content, and its length, None if unknown; no name if there is no element."""
    header = _read(file, at, 12) + bytes(12)
    name_bytes = _num_bytes(header[0])
    length_bytes = _num_bytes(header[name_bytes])
    if name_bytes > 4 or length_bytes > 8:
        return b"", at, None
    marker = 1 << 7 * length_bytes
    length = int.from_bytes(header[name_bytes : name_bytes + length_bytes], "big") - marker
    start = at + name_bytes + length_bytes
    return header[:name_bytes], start, None if length == marker - 1 else length


def _num_bytes(first: int) -> int:
    """Bytes of an EBML number, told by the zeros before its first one."""
    return 9 - first.bit_length()
