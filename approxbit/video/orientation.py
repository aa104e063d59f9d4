"""How a stored picture is turned and mirrored before it is shown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from approxbit.video.converter import Converter


class Orientation(NamedTuple):
    """One of the eight ways to lay a picture down: rows and columns are exchanged first, then flipped."""

    is_transposed: bool = False
    is_flipped_vertically: bool = False
    is_flipped_horizontally: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """The picture as it is shown, `[height, width, ...]`, without a copy."""
        if self.is_transposed:
            picture = picture.swapaxes(0, 1)
        rows, columns = (
            slice(None, None, -1 if flipped else 1)
            for flipped in (self.is_flipped_vertically, self.is_flipped_horizontally)
        )
        return picture[rows, columns]

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown, of a picture that is stored with these."""
        return (height, width) if self.is_transposed else (width, height)


def orientation_of(frame: Any) -> Orientation:
    """The nearest of the eight to a decoded frame's display matrix.

    The matrix [[a, b, u], [c, d, v], [x, y, w]] moves the stored pixel (p, q) to (a p + c q, b p + d q), to
    the right and downwards.
    """
    # Side data and its frame hold each other: asked of a small copy, they let the large one go.
    small = Converter()(frame, "gray", 16, 16)
    for data in small.side_data:
        if getattr(data.type, "name", "") == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            is_transposed = abs(b) + abs(c) > abs(a) + abs(d)
            right, down = (c, b) if is_transposed else (a, d)
            return Orientation(is_transposed, down < 0, right < 0)
    return Orientation()
