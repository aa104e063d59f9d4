"""What a container says of its own length, and of the chain of its parts, held against the file."""

from __future__ import annotations

import os
import re
import struct
from typing import IO, NamedTuple

from approxbit.video import gif, matroska
from approxbit.video.ogg import walk_pages

_TS_PACKET_BYTES = 188
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_NUT_INDEX = bytes.fromhex("4e58dd672f23e64e")
_JPEG_END = b"\xff\xd9"
_Y4M_LAYOUTS = {
    "420": (2, 2, 2, 1),
    "422": (2, 1, 2, 1),
    "411": (4, 1, 2, 1),
    "440": (1, 2, 2, 1),
    "444alpha": (1, 1, 2, 2),
    "444": (1, 1, 2, 1),
    "mono": (1, 1, 0, 1),
}
"""Columns and rows for one sample of chroma, number of planes of chroma, and of whole planes."""

_LONGEST_LINE_BYTES = 256
_LONGEST_PADDING_BYTES = 4096
_LONGEST_HEADER_BYTES = 2**20
_LARGEST_GIF_BYTES = 2**26
_LARGEST_MATROSKA_BYTES = 2**28
"""Larger ones, which would be read whole to be looked through, are taken for sound."""


class BrokenPart(NamedTuple):
    """A part of a file that does not fit to the others."""

    reason: str
    packet: int | None = None
    """Its number, where it is known."""
    position: int = 0
    """Its first byte, where the number is not known."""


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
        return max(matroska.end_of_segment(file) - size, 0)
    if "asf" in kinds:
        return max(_end_of_asf(file) - size, 0)
    if "gif" in kinds and size <= _LARGEST_GIF_BYTES:
        return gif.missing_bytes(_read(file, 0, -1))
    if "ogg" in kinds:
        return walk_pages(file, size).num_missing_bytes
    if "yuv4mpegpipe" in kinds:
        return max(_end_of_frames(file, size) - size, 0)
    if "nut" in kinds:
        return int(not _has_index_of_nut(file, size))
    if "mjpeg" in kinds:
        return int(
            not _read(file, max(size - _LONGEST_PADDING_BYTES, 0), -1).rstrip(b"\0").endswith(_JPEG_END)
        )
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


def _end_of_frames(file: IO[bytes], size: int) -> int:
    """Y4M: a line for all, then each frame with a line of its own; all of them have the same length."""
    header = _read(file, 0, _LONGEST_LINE_BYTES).split(b"\n")[0]
    num_bytes = _bytes_of_y4m_frame(header)
    at = len(header) + 1
    while num_bytes and at < size:
        line = _read(file, at, _LONGEST_LINE_BYTES).split(b"\n")[0]
        if not b"FRAME".startswith(line[:5]):  # FFmpeg says so
            return size
        at += len(line) + 1 + num_bytes
    return at


def _bytes_of_y4m_frame(header: bytes) -> int:
    """By width, height and the name of the pixels' layout, such as `C420p10`; 0 if that is not known."""
    marks = {mark[:1]: mark[1:].decode("ascii", "replace") for mark in header.split()[1:]}
    layout = marks.get(b"C", "420").lower()
    depth = re.search(r"p(\d+)$", layout) or re.search(r"^mono(\d+)$", layout)
    shape = next((shape for name, shape in _Y4M_LAYOUTS.items() if layout.startswith(name)), None)
    width, height = marks.get(b"W", ""), marks.get(b"H", "")
    if shape is None or not (width.isdigit() and height.isdigit()):
        return 0
    columns, rows, num_chroma, num_full = shape
    chroma = -(-int(width) // columns) * -(-int(height) // rows)
    num_samples = num_full * int(width) * int(height) + num_chroma * chroma
    return num_samples * (2 if depth and int(depth[1]) > 8 else 1)


def _has_index_of_nut(file: IO[bytes], size: int) -> bool:
    """NUT: at the end an index that says how long it is; a file that was sent live has none."""
    length = int.from_bytes(_read(file, max(size - 12, 0), 8), "big")
    return length < size and _read(file, size - length, 8) == _NUT_INDEX


def broken_part(file: IO[bytes], format_name: str) -> BrokenPart | None:
    """The first part whose own lengths, numbers or checksums do not fit: of GIF, Ogg or Matroska.

    Other formats have none that hold for all files; Matroska has some if FFmpeg wrote it.
    """
    size = file.seek(0, os.SEEK_END)
    if format_name == "gif" and size <= _LARGEST_GIF_BYTES:
        picture = gif.first_broken_picture(_read(file, 0, -1))
        return None if picture is None else BrokenPart("the codes of its picture do not fill it", picture)
    if format_name == "ogg":
        position = walk_pages(file, size).first_break
        return None if position is None else BrokenPart("a page is damaged or missing", position=position)
    if "matroska" in format_name and size <= _LARGEST_MATROSKA_BYTES:
        position = matroska.first_changed_cluster(file, size)
        return (
            None if position is None else BrokenPart("a part is not as its checksum says", position=position)
        )
    return None


def is_broken(file: IO[bytes], format_name: str) -> bool:
    """Whether the parts of a Matroska or Flash file do not follow each other as their lengths say.

    Other formats, which have no such chain, are taken for sound.
    """
    file.seek(0, os.SEEK_END)
    size = file.tell()
    if "matroska" in format_name:
        return matroska.is_broken(file, size)
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
