"""How many bytes a container promises beyond the end of its file."""

from __future__ import annotations

import os
import struct
from typing import IO

_TS_PACKET_BYTES = 188
_SEGMENT = b"\x18\x53\x80\x67"


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


def _end_of_segment(file: IO[bytes]) -> int:
    """Matroska: a header, then the segment that holds everything; a live one has no length."""
    at = 0
    for _ in range(8):
        element = _read(file, at, 12)
        if len(element) < 5:
            return 0
        id_bytes = _num_bytes(element[0])
        num_length_bytes = _num_bytes(element[id_bytes]) if id_bytes < len(element) else 9
        length_bytes = element[id_bytes : id_bytes + num_length_bytes]
        if num_length_bytes > 8 or len(length_bytes) < num_length_bytes:
            return 0
        marker = 1 << 7 * num_length_bytes
        length = int.from_bytes(length_bytes, "big") - marker
        at += id_bytes + num_length_bytes
        if length == marker - 1:
            return 0
        at += length
        if element[:4] == _SEGMENT:
            return at
    return 0


def _num_bytes(first: int) -> int:
    """Bytes of an EBML number, told by the zeros before its first one."""
    return 9 - first.bit_length()
