"""Whether a GIF is whole: its chain of blocks up to the one that ends it, and the codes of each picture.

The format has no checksums, but a picture's codes say how many pixels they make. A byte that was changed or
lost makes other codes, and those hardly ever fill the picture exactly.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np

_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_MOST_BITS = 12
_SEGMENT_CODES = 4200
"""Most codes from one emptying of the dictionary to the next, as nearly all encoders do it."""


class Picture(NamedTuple):
    """One picture as it is stored."""

    num_pixels: int
    root_bits: int
    """Bits of a code that stands for one pixel."""
    codes: bytes


def missing_bytes(data: bytes) -> int:
    """How many bytes are missing behind the end, at least."""
    at, kind = _walk(data, [])
    return at + 1 - len(data) if kind is None else 0


def first_broken_picture(data: bytes) -> int | None:
    """The number of the first picture that its codes do not fill, or after which the chain breaks."""
    pictures: list[Picture] = []
    _, kind = _walk(data, pictures)
    if kind is None:  # cut off, as `missing_bytes` says
        pictures = pictures[:-1]
    for number, picture in enumerate(pictures):
        if not _fills(picture):
            return number
    return len(pictures) if kind not in (_END, None) else None


def _walk(data: bytes, pictures: list[Picture]) -> tuple[int, int | None]:
    """Where the last block begins that can be found, and its kind; None where the file is over before it."""
    at = 13 + _num_colour_bytes(data, 10)
    while at < len(data):
        kind = data[at]
        if kind == _EXTENSION:
            at = _end_of_blocks(data, at + 2)
        elif kind == _PICTURE:
            first = at + 10 + _num_colour_bytes(data, at + 9)
            width, height = data[at + 5 : at + 7], data[at + 7 : at + 9]
            num_pixels = int.from_bytes(width, "little") * int.from_bytes(height, "little")
            at = _end_of_blocks(data, first + 1)
            root_bits = data[first] if first < len(data) else 0
            pictures.append(Picture(num_pixels, root_bits, b"".join(_blocks(data, first + 1))))
        elif kind == 0:  # padding
            at += 1
        else:
            return at, kind
    return at, None


def _num_colour_bytes(data: bytes, at: int) -> int:
    """Bytes of the table of colours that the flags at a place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> Iterator[bytes]:
    """The contents of a chain of blocks, each of which begins with its length, and the last one has none."""
    while at < len(data) and data[at]:
        yield data[at + 1 : at + 1 + data[at]]
        at += data[at] + 1


def _end_of_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _fills(picture: Picture) -> bool:
    """Whether the codes make just as many pixels as the picture has."""
    if not 0 < picture.root_bits < _MOST_BITS:
        return False
    data = np.frombuffer(picture.codes + bytes(4), np.uint8).astype(np.int64)
    clear = 1 << picture.root_bits
    num_bits, at, num_pixels = 8 * len(picture.codes), 0, 0
    while at < num_bits:
        codes, widths, is_over = _segment(data, at, num_bits, picture.root_bits, _SEGMENT_CODES)
        if not is_over:
            codes, widths, is_over = _segment(data, at, num_bits, picture.root_bits, num_bits)
        stop = np.flatnonzero((codes == clear) | (codes == clear + 1))
        length = int(stop[0]) if len(stop) else len(codes)
        made = _num_pixels(codes[:length], clear)
        if made is None:
            return False
        num_pixels += made
        at += int(widths[: length + 1].sum())
        if len(stop) == 0 or codes[length] == clear + 1:
            break
    return num_pixels == picture.num_pixels


def _segment(
    data: np.ndarray, at: int, num_bits: int, root_bits: int, most: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Codes from a bit on as if the dictionary were empty there, their widths, and whether they suffice.

    A code is as wide as the number of the entry that it may name at most, and each code makes one entry.
    """
    clear = 1 << root_bits
    count = min((num_bits - at) // (root_bits + 1) + 1, most)
    entries = clear + 2 + np.maximum(np.arange(count) - 1, 0)
    widths = np.minimum(np.floor(np.log2(entries)).astype(np.int64) + 1, _MOST_BITS)
    ends = at + np.cumsum(widths)
    is_there = ends <= num_bits
    starts, widths = (ends - widths)[is_there], widths[is_there]
    places = starts >> 3
    words = data[places] | data[places + 1] << 8 | data[places + 2] << 16
    codes = words >> (starts & 7) & ((1 << widths) - 1)
    is_over = len(codes) < count or bool(((codes == clear) | (codes == clear + 1)).any())
    return codes, widths, is_over


def _num_pixels(codes: np.ndarray, clear: int) -> int | None:
    """How many pixels the codes of a segment make; None if one names an entry that is not there yet.

    Entry j is what code j stands for and one pixel more, so the length of a code is 1 and the number of steps
    from code to entry until one stands for a pixel. All chains are walked at once, in doubling steps.
    """
    if not len(codes):
        return 0
    numbers = np.arange(len(codes))
    before = np.where(codes < clear, len(codes), codes - (clear + 2))
    if (before[codes >= clear] >= numbers[codes >= clear]).any():
        return None
    before = np.append(before, len(codes))
    steps = (before < len(codes)).astype(np.int64)
    while (before < len(codes)).any():
        steps = steps + steps[before]
        before = before[before]
    return int(steps[:-1].sum()) + len(codes)
