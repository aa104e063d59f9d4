"""How the plots look: one palette for all, told apart also without colour vision."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from approxbit.configuration import Configuration
from approxbit.select import EDGE_ONLY, SERVER_ONLY

INK = "#222222"
GREY = "#8a8a8a"
GRID = "#e3e3e3"
DOTS_PER_INCH = 144
# Okabe and Ito's palette without its yellow, which is too light for dots on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F3C8D", "#6B4E2E")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")


@dataclass(frozen=True)
class Look:
    """Colour and marker of an arm."""

    colour: str
    marker: str


def looks_of(arms: Iterable[str]) -> Mapping[str, Look]:
    """One look per arm. The same set of arms has the same looks in every plot.

    Configurations come first, by name, then other arms; `server-only` is black and `edge-only` grey.

    Example:
        >>> list(looks_of(["edge-only", "8-Enc-B5", "server-only", "16-Enc-B3"]))
        ['16-Enc-B3', '8-Enc-B5', 'server-only', 'edge-only']
    """
    names = sort_arms(arms)
    looks = {}
    for index, name in enumerate(names):
        turn = index // len(COLOURS)  # beyond one look for each colour, markers move on against them
        looks[name] = Look(COLOURS[index % len(COLOURS)], _MARKERS[(index + turn) % len(_MARKERS)])
    fixed = {SERVER_ONLY: Look(INK, "*"), EDGE_ONLY: Look(GREY, "h")}
    return {name: fixed.get(name, look) for name, look in looks.items()}


def sort_arms(arms: Iterable[str]) -> list[str]:
    """Configurations by offload point, encoder and codebook size; then other arms."""
    return sorted(set(arms), key=_arm_key)


def _arm_key(arm: str) -> tuple[int, str, bool, int, str]:
    if arm in (SERVER_ONLY, EDGE_ONLY):
        return (2 if arm == SERVER_ONLY else 3, "", False, 0, arm)
    try:
        parsed = Configuration.parse(arm)
    except ValueError:
        return (1, "", False, 0, arm)
    return (0, parsed.offload_point, not parsed.spatial_encoder, parsed.codebook_size, arm)


def make_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that draws without a display and without pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Any) -> None:
    """Light grid behind the data, no box."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9)


def scale_by_factors(axis: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 times the powers of ten."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a PNG."""
    figure.savefig(path, format="png", metadata={"Software": None})


def format_bytes(num_bytes: float) -> str:
    """A number of bytes for people.

    Example:
        >>> format_bytes(64), format_bytes(3136), format_bytes(196608), format_bytes(2.5e6)
        ('64 B', '3.1 kB', '197 kB', '2.5 MB')
    """
    for size, unit in ((1e6, "MB"), (1e3, "kB")):
        if num_bytes >= size:
            value = num_bytes / size
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    return f"{num_bytes:.0f} B"
