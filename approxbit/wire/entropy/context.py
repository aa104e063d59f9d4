"""What the probability of a bit may look at: neighbours by their offset (time, height, width).

Bits are coded bit by bit of the codebook, and within a bit in the order of time, height and width. So
positions before this one are known of the bit itself, and all positions of earlier bits.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple, Tuple

Offset = Tuple[int, int, int]


def _near_first(offset: Offset) -> tuple[int, Offset]:
    time, height, width = offset
    return time * time + height * height + width * width, offset


AROUND: list[Offset] = sorted(itertools.product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)), key=_near_first)
"""The position itself, its 6 neighbours across faces, 12 across edges and 8 across corners."""

BEFORE: list[Offset] = sorted(each for each in AROUND if each < (0, 0, 0))
"""The 13 neighbours that come before a position: 9 of the time before, then 4 of its own time."""

AROUND_COUNTS = (0, 1, 7, 19, 27)
"""How many of `AROUND` may be looked at: a position, and its neighbours out to faces, edges or corners."""


class Preset(NamedTuple):
    """How much the probability of a bit looks at, and how.

    Attributes:
        num_earlier: Positions of `AROUND` looked at in each earlier bit.
        num_hidden: Units of the hidden layer beside the linear unit.
        num_global: Units that see all bits before, wherever they are; fewer in codes of more than 4,096 bits.
    """

    num_earlier: int
    num_hidden: int
    num_global: int = 0


PRESETS = {"fast": Preset(7, 0), "small": Preset(7, 8), "global": Preset(7, 0, 64)}
"""What a prior can be: the least time, fewer bytes, or the fewest bytes for codes of few bits."""
