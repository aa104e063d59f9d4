"""The codes of a GIF's pictures, worked by hand and as others write them."""

from __future__ import annotations

import io

import numpy as np
import pytest

from approxbit.video import gif

from .films import burn

Image = pytest.importorskip("PIL.Image")


def gif_of(codes: bytes, width: int = 2, height: int = 2) -> bytes:
    """One picture of four colours with these codes."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    head = b"GIF89a" + size + b"\x81\0\0" + bytes(12)
    return head + b"," + bytes(4) + size + b"\0\x02" + bytes([len(codes)]) + codes + b"\0;"


def pack(*codes: tuple[int, int]) -> bytes:
    """Codes with their widths as bytes, least significant bit first."""
    value, at = 0, 0
    for code, width in codes:
        value |= code << at
        at += width
    return value.to_bytes(-(-at // 8), "little")


CLEAR, END = (4, 3), (5, 3)


@pytest.mark.parametrize(
    ("codes", "broken"),
    [
        ([CLEAR, (1, 3), (2, 3), (1, 3), (3, 4), (5, 4)], None),  # four pixels; after 8 entries 4 bits
        ([CLEAR, (1, 3), (6, 3), (1, 3), (5, 4)], None),  # entry 6 is 1 1, made by the code that names it
        ([CLEAR, (1, 3), (6, 3), (5, 3)], 0),  # three pixels
        ([CLEAR, (1, 3), (6, 3), (6, 3), (5, 4)], 0),  # five pixels
        ([CLEAR, (1, 3), (7, 3), (1, 3), (5, 4)], 0),  # there is no entry 7 yet
        ([CLEAR, (1, 3), (6, 3), CLEAR, (3, 3), (5, 3)], None),  # emptied in the middle
    ],
)
def test_a_picture_is_whole_if_its_codes_fill_it(codes, broken):
    data = gif_of(pack(*codes))
    assert (gif.first_broken_picture(data), gif.missing_bytes(data)) == (broken, 0)
    assert gif.missing_bytes(data[:-1]) == 1


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"interlace": True}, {"disposal": 2}])
def test_what_another_writer_makes_is_whole(options):
    noise = np.random.default_rng(0).integers(0, 256, (4, 90, 120, 3), np.uint8)
    for frames in (noise, [burn(number) for number in range(6)], np.zeros((3, 200, 300, 3), np.uint8)):
        file = io.BytesIO()
        first, *others = (Image.fromarray(frame) for frame in frames)
        first.save(file, "GIF", save_all=True, append_images=others, **options)
        data = file.getvalue()
        assert (gif.first_broken_picture(data), gif.missing_bytes(data)) == (None, 0)
        middle = len(data) // 2
        less = data[:middle] + data[middle + 7 :]
        assert gif.first_broken_picture(less) is not None or gif.missing_bytes(less)
