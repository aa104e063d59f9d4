"""Bytes of a message as a picture."""

from __future__ import annotations

from typing import Sequence

from approxbit.drawing import BLUE, GREEN, GREY, Drawing

_SHOWN_BYTES = 24
_COLOURS = (GREY, GREEN, BLUE)


def draw_bytes(parts: Sequence[tuple[str, bytes]]) -> Drawing:
    """Parts of a message: a bar to scale, and the first bytes of each in hexadecimal.

    Args:
        parts: Name and bytes, at most three, in their order.
    """
    total = sum(len(content) for _, content in parts)
    drawing = Drawing(720, 40 + 22 * len(parts), f"a message of {total:,} bytes")
    left = 10.0
    for index, (name, content) in enumerate(parts):
        width = 700 * len(content) / total
        drawing.rectangle(left, 10, width, 18, _COLOURS[index])
        left += width
        first = content[:_SHOWN_BYTES].hex(" ")
        rest = " ..." if len(content) > _SHOWN_BYTES else ""
        top = 52 + 22 * index
        drawing.rectangle(10, top - 10, 10, 10, _COLOURS[index])
        drawing.text(26, top, f"{name}, {len(content):,} bytes: {first}{rest}")
    return drawing
