"""Arms as dots: what they cost against how often they are right."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from approxbit.drawing import BLUE, GREY, INK, Axis, Drawing, draw_axes

_FRAME = 60.0, 40.0, 690.0, 300.0


class ArmDot(NamedTuple):
    """An arm in the plot.

    Attributes:
        arm: Its name.
        cost: In the unit of the horizontal axis, 0 or more.
        accuracy: Percent.
    """

    arm: str
    cost: float
    accuracy: float


def draw_arms(dots: Sequence[ArmDot], cost: str, accuracy: str) -> Drawing:
    """Accuracy over cost, the cost by its logarithm, with a line through the arms that no other beats.

    An arm that costs nothing stands on the left edge, and beats no other: it is none of its kind.

    Args:
        dots: At least one.
        cost: What the horizontal axis means, with its unit.
        accuracy: What the vertical one means.
    """
    left, top, right, bottom = _FRAME
    drawing = Drawing(720, 350, f"{accuracy} over {cost} of {len(dots)} arms")
    paid = [dot.cost for dot in dots if dot.cost > 0]
    across = Axis(paid or [1.0], left + 20, right, is_logarithmic=True)
    up = Axis([dot.accuracy for dot in dots], bottom - 15, top + 15)
    draw_axes(drawing, across, up, (cost, accuracy), _FRAME)

    def across_of(dot: ArmDot) -> float:
        return across.place(dot.cost) if dot.cost > 0 else left

    if len(paid) < len(dots):
        drawing.text(left, bottom + 16, "0", "middle", GREY, 11)
    front = find_front([dot for dot in dots if dot.cost > 0])
    drawing.line([(across_of(dot), up.place(dot.accuracy)) for dot in front], INK, 1.2, "5 4")
    for dot in dots:
        place = across_of(dot), up.place(dot.accuracy)
        drawing.dot(*place, BLUE if dot in front else GREY, f"{dot.arm}: {dot.cost:g}, {dot.accuracy:g} %")
    named = [*front, *(dot for dot in dots if dot not in front)]
    _name(drawing, [(across_of(dot), up.place(dot.accuracy), dot.arm) for dot in named])
    drawing.text(right, 18, "blue: no arm is better in both", "end", BLUE, 11)
    return drawing


def find_front(dots: Sequence[ArmDot]) -> list[ArmDot]:
    """The arms that no other arm beats in both, the cheapest first.

    Example:
        >>> [dot.arm for dot in find_front([ArmDot("a", 1, 50), ArmDot("b", 2, 40), ArmDot("c", 3, 60)])]
        ['a', 'c']
    """
    front: list[ArmDot] = []
    for dot in sorted(dots, key=lambda dot: (dot.cost, -dot.accuracy)):
        if not front or dot.accuracy > front[-1].accuracy:
            front.append(dot)
    return front


def _name(drawing: Drawing, labels: Sequence[tuple[float, float, str]]) -> None:
    """Names beside the dots, where they do not lie on each other."""
    named: list[tuple[float, float]] = []
    for left, top, name in labels:
        if all(abs(left - other[0]) > 90 or abs(top - other[1]) > 13 for other in named):
            ends, drop = left > 600, 14 if top < 280 else -8
            drawing.text(left + (-8 if ends else 8), top + drop, name, "end" if ends else "start", size=11)
            named.append((left, top))
