"""What notebooks show of a codec and its bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from torch import nn

from approxbit.drawing import BLUE, GREY, PALE, Drawing, short

MAX_STEPS = 8
MAX_CELLS = 8192


def draw_bits(planes: Sequence[Sequence[int]], size: Sequence[int]) -> Drawing:
    """Bit planes as pictures: a row for each bit, a column for each time step, ones dark.

    Args:
        planes: `[bit][position]`, positions in (time, height, width) order.
        size: Time, height and width. What would be too many cells is left out, and the picture says so.
    """
    time, height, width = size
    num_steps = min(time, MAX_STEPS)
    num_bits = max(1, min(len(planes), MAX_CELLS // (num_steps * height * width)))
    cell = max(2.0, min(14.0, 64 / max(height, width)))
    across, down = width * cell + 8, height * cell + 8
    drawing = Drawing(max(300, 60 + num_steps * across), 44 + num_bits * down, "bits of a code")
    drawing.text(
        10,
        18,
        f"{num_bits} of {len(planes)} bits, {num_steps} of {time} time steps; a dark cell is 1",
        colour=GREY,
    )
    for bit in range(num_bits):
        top = 30 + bit * down
        drawing.text(10, top + down / 2, f"bit {bit}", colour=GREY, size=11)
        for step in range(num_steps):
            left = 52 + step * across
            drawing.rectangle(left, top, width * cell, height * cell, PALE)
            bits = planes[bit][step * height * width : (step + 1) * height * width]
            drawing.path(_ones(bits, width, left, top, cell), BLUE)
    return drawing


def _ones(bits: Sequence[int], width: int, left: float, top: float, cell: float) -> str:
    """Runs of ones of each row, as boxes of an SVG path."""
    commands = []
    for row in range(len(bits) // width):
        column = 0
        for value, run in groupby(bits[row * width : (row + 1) * width]):
            length = len(list(run))
            if value:
                box = left + column * cell, top + row * cell, length * cell
                commands.append(f"M{box[0]:.1f} {box[1]:.1f}h{box[2]:.1f}v{cell:.1f}h-{box[2]:.1f}z")
            column += length
    return "".join(commands)


def count_weights(*modules: nn.Module | None) -> str:
    """How many parameters modules have, for people."""
    parameters = {id(each): each for module in modules if module for each in module.parameters()}
    return short(float(sum(math.prod(each.shape) for each in parameters.values())))
