"""What crosses the link for one clip, as in Fig. 7 of APPROXBIT."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from approxbit.report.records import Payload
from approxbit.report.style import INK, format_bytes, make_figure, save, tidy

_COLOURS = {"video": "#8a8a8a", "feature": "#56B4E9", "code": "#D55E00"}
_NAMES = {"video": "video", "feature": "features", "code": "codes (ours)"}


def draw_payloads(path: str | os.PathLike[str], payloads: Sequence[Payload]) -> None:
    """Write a PNG of horizontal bars on a logarithmic scale, in the given order from the top.

    Args:
        path: The PNG.
        payloads: At least one, each of more than 0 bytes.
    """
    figure = make_figure(9, 1.3 + 0.32 * len(payloads))
    axes: Any = figure.subplots()
    for index, payload in enumerate(payloads):
        axes.barh(index, payload.num_bytes, color=_COLOURS[payload.kind], height=0.7)
        text = format_bytes(payload.num_bytes)
        axes.text(payload.num_bytes * 1.08, index, text, va="center", fontsize=9, color=INK)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    sizes = [payload.num_bytes for payload in payloads]
    axes.set_xlim(min(sizes) / 3, max(sizes) * 4)
    axes.set_ylim(len(payloads) - 0.4, -0.6)
    axes.set_yticks(range(len(payloads)), [payload.name for payload in payloads])
    axes.set_xlabel("bytes for one clip (logarithmic)")
    for kind in dict.fromkeys(payload.kind for payload in payloads):
        axes.bar(0, 0, color=_COLOURS[kind], label=_NAMES[kind])
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    save(figure, path)
