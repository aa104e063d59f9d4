"""Small pictures for notebooks: SVG written shape by shape, without any library.

What shows itself there has a method `draw`, which gives a `Drawing`, and `_repr_html_`, which notebooks ask.
Coordinates are pixels from the top left.
"""

from __future__ import annotations

import math
from html import escape
from typing import Iterable, Sequence, Tuple

from approxbit.files import PathLike, write_whole

INK, GREY, PALE = "#222222", "#8a8a8a", "#e3e3e3"
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

Point = Tuple[float, float]


class Drawing:
    """A picture on white ground.

    Args:
        width: In pixels.
        height: In pixels.
        title: What a screen reader says of it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._shapes: list[str] = []
        self.rectangle(0, 0, width, height, "#ffffff")

    def rectangle(
        self, left: float, top: float, width: float, height: float, fill: str, edge: str = "none"
    ) -> None:
        """A box with corners that are slightly round where it has an edge."""
        self._add(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{0 if edge == "none" else 6}" fill="{fill}" stroke="{edge}"/>'
        )

    def text(
        self, left: float, top: float, words: str, anchor: str = "start", colour: str = INK, size: int = 12
    ) -> None:
        """A line of text; `top` is its base line, and `anchor` is start, middle or end."""
        self._add(
            f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size}">{escape(words)}</text>'
        )

    def line(
        self, points: Iterable[Point], colour: str = INK, width: float = 1, dashes: str = "none"
    ) -> None:
        """Straight lines from point to point."""
        places = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        self._add(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-dasharray="{dashes}"/>'
        )

    def dot(self, left: float, top: float, colour: str, title: str) -> None:
        """A disc that says its title under the pointer."""
        self._add(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4.5" fill="{colour}" stroke="#ffffff">'
            f"<title>{escape(title)}</title></circle>"
        )

    def arrow(self, left: float, right: float, top: float, colour: str = INK) -> None:
        """From left to right."""
        self.line([(left, top), (right, top)], colour, 2)
        self.line([(right - 7, top - 5), (right, top), (right - 7, top + 5)], colour, 2)

    def path(self, commands: str, fill: str) -> None:
        """A filled shape in SVG's path commands."""
        self._add(f'<path d="{commands}" fill="{fill}"/>')

    def svg(self) -> str:
        """The picture as a document of its own."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" height="{self.height:.0f}" '
            f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" aria-label="{escape(self.title)}" '
            f'font-family="sans-serif">{"".join(self._shapes)}</svg>'
        )

    def save(self, path: PathLike) -> None:
        """Write an SVG file."""
        write_whole(path, self.svg())

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"Drawing({self.title!r}, {self.width:.0f} x {self.height:.0f})"

    def _add(self, shape: str) -> None:
        self._shapes.append(shape)


class Axis:
    """Numbers along one side of a plot.

    Args:
        values: That must have room.
        start: Pixel of the smallest.
        end: Pixel of the largest.
        is_logarithmic: Whether equal factors are equally far apart; all values are then above 0.
    """

    def __init__(
        self, values: Sequence[float], start: float, end: float, is_logarithmic: bool = False
    ) -> None:
        low, high = min(values), max(values)
        if is_logarithmic:
            low, high = low / 1.3, high * 1.3
        elif low == high:
            low, high = low - 1, high + 1
        self.low, self.high, self._ends, self._is_logarithmic = low, high, (start, end), is_logarithmic

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (self._scale(each) for each in (self.low, self.high, value))
        start, end = self._ends
        return start + (end - start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values inside, about five."""
        if self._is_logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1,) if self.high / self.low > 1000 else (1, 2, 5)
            found = [factor * 10.0**power for power in powers for factor in factors]
        else:
            rough = (self.high - self.low) / 5
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
            first = math.ceil(self.low / step)
            found = [step * (first + index) for index in range(12)]
        return [tick for tick in found if self.low <= tick <= self.high]

    def _scale(self, value: float) -> float:
        return math.log(value) if self._is_logarithmic else value


def draw_axes(
    drawing: Drawing, across: Axis, up: Axis, labels: tuple[str, str], frame: Sequence[float]
) -> None:
    """Ticks, a light grid and what the axes mean.

    Args:
        drawing: To draw on.
        across: The horizontal axis.
        up: The vertical one.
        labels: What each of them means, with its unit.
        frame: Left, top, right and bottom of the plot.
    """
    left, top, right, bottom = frame
    for tick in across.ticks():
        drawing.line([(across.place(tick), top), (across.place(tick), bottom)], PALE)
        drawing.text(across.place(tick), bottom + 16, short(tick), "middle", GREY, 11)
    for tick in up.ticks():
        drawing.line([(left, up.place(tick)), (right, up.place(tick))], PALE)
        drawing.text(left - 6, up.place(tick) + 4, short(tick), "end", GREY, 11)
    drawing.line([(left, top), (left, bottom), (right, bottom)], GREY)
    drawing.text((left + right) / 2, bottom + 34, labels[0], "middle")
    drawing.text(left - 40, top - 10, labels[1])


def draw_two_sides(
    title: str,
    edge: Sequence[str],
    server: Sequence[str],
    between: Sequence[str],
    bars: Sequence[tuple[str, float]],
) -> Drawing:
    """What the edge does, what crosses, what the server does, and how many bytes there are on the way.

    Args:
        title: Of the whole.
        edge: Lines in the left box.
        server: Lines in the right box.
        between: Lines above the arrow.
        bars: What has how many bytes, above 0; drawn by their logarithm.
    """
    width, box, gap = 720, 265, 150
    bottom = 58 + 19 * max(len(edge), len(server), 3)
    drawing = Drawing(width, bottom + 22 + 22 * len(bars), title)
    for left, name, lines, colour in ((10, "EDGE", edge, BLUE), (20 + box + gap, "SERVER", server, ORANGE)):
        drawing.rectangle(left, 10, box, bottom - 10, "#ffffff", colour)
        drawing.text(left + 12, 32, name, colour=colour, size=13)
        for index, words in enumerate(lines):
            drawing.text(left + 12, 55 + 19 * index, words)
    middle = (10 + bottom) / 2 + 6
    for index, words in enumerate(reversed(between)):
        drawing.text(15 + box + gap / 2, middle - 12 - 17 * index, words, "middle")
    drawing.arrow(box + 18, box + gap + 12, middle)
    for index, (name, num_bytes) in enumerate(bars):
        top = bottom + 14 + 22 * index
        drawing.text(80, top + 11, name, "end", GREY)
        length = 20 + 430 * math.log(max(num_bytes, 1)) / math.log(max(2, *(size for _, size in bars)))
        drawing.rectangle(90, top, length, 14, GREEN)
        drawing.text(98 + length, top + 11, f"{num_bytes:,.0f} bytes", colour=GREY)
    drawing.text(width - 10, bottom + 14 + 22 * len(bars) - 11, "(logarithmic)", "end", GREY, 10)
    return drawing


def page(heading: str, *parts: str) -> str:
    """HTML of a heading and what stands below it."""
    return f'<div style="max-width: 760px"><b>{escape(heading)}</b><br/>{"".join(parts)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """HTML of a table of texts."""
    head = "".join(f"<th>{escape(each)}</th>" for each in header)
    body = "".join("<tr>{}</tr>".format("".join(f"<td>{escape(each)}</td>" for each in row)) for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def short(number: float) -> str:
    """A number for a tick or a label.

    Example:
        >>> short(0.5), short(20.0), short(196608), short(2.5e6)
        ('0.5', '20', '197k', '2.5M')
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
