"""How many bytes a container promises beyond the end of its file."""

from __future__ import annotations

import os
import struct
from typing import IO

_TS_PACKET_BYTES = 188
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_GIF_EXTENSION, _GIF_PICTURE, _GIF_END = 0x21, 0x2C, 0x3B
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"

_LONGEST_HEADER_BYTES = 2**20
_LARGEST_GIF_BYTES = 2**26
"""Larger ones, which are read whole to be looked through, are taken for sound."""


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
    if "asf" in kinds:
        return max(_end_of_asf(file) - size, 0)
    if "gif" in kinds and size <= _LARGEST_GIF_BYTES:
        return max(_end_of_gif(file) - size, 0)
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


def _end_of_asf(file: IO[bytes]) -> int:
    """ASF and WMV: one object of the header holds the length of the file, unless it was sent live."""
    if _read(file, 0, 16) != _ASF_HEADER:
        return 0
    (length,) = struct.unpack("<Q", _read(file, 16, 8).ljust(8, b"\0"))
    header = _read(file, 30, min(length, _LONGEST_HEADER_BYTES))
    at = 0
    while at + 24 <= len(header):
        (length,) = struct.unpack_from("<Q", header, at + 16)
        if header[at : at + 16] == _ASF_FILE_PROPERTIES and at + 92 <= len(header):
            (size,) = struct.unpack_from("<Q", header, at + 40)
            is_live = header[at + 88] & 1
            return 0 if is_live else int(size)
        at += max(length, 24)
    return 0


def _end_of_gif(file: IO[bytes]) -> int:
    """GIF: blocks up to one that is the end; where that is missing, so is at least its byte."""
    at, kind = _walk_gif(_read(file, 0, -1))
    return at + 1 if kind is None else 0


def _walk_gif(data: bytes) -> tuple[int, int | None]:
    """Where the last block begins that can be found, and its kind; None where the file is over before it."""
    at = 13 + _gif_colours(data, 10)
    while at < len(data):
        kind = data[at]
        if kind == _GIF_EXTENSION:
            at = _end_of_gif_blocks(data, at + 2)
        elif kind == _GIF_PICTURE:
            at = _end_of_gif_blocks(data, at + 11 + _gif_colours(data, at + 9))
        elif kind == 0:  # padding
            at += 1
        else:
            return at, kind
    return at, None


def _gif_colours(data: bytes, at: int) -> int:
    """Bytes of the table of colours that the flags at a place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_gif_blocks(data: bytes, at: int) -> int:
    """Behind a chain of blocks, each of which begins with its length, and the last one has none."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def is_broken(file: IO[bytes], format_name: str) -> bool:
    """Whether the parts of a Matroska, Flash or GIF file do not follow each other as their lengths say.

    Other formats, which have no such chain, are taken for sound.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    if "matroska" in format_name:
        return _is_broken_matroska(file, size)
    if format_name == "gif" and size <= _LARGEST_GIF_BYTES:
        return _walk_gif(_read(file, 0, -1))[1] not in (_GIF_END, None)
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
