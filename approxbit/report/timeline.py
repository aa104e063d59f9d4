"""Bandwidth, latency, accuracy and choice over time, as in Fig. 9 of APPROXBIT."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from approxbit.link import Trace
from approxbit.report.records import ClipRecord
from approxbit.report.style import (
    GREY,
    INK,
    Look,
    looks_of,
    make_figure,
    save,
    scale_by_factors,
    sort_arms,
    tidy,
)
from approxbit.select import AccuracySLA, LatencySLA, parse_sla

_BOUND = {"color": "#B00020", "linestyle": (0, (1, 1.2)), "linewidth": 2.2}


def draw_timeline(
    path: str | os.PathLike[str], records: Sequence[ClipRecord], trace: Trace, arms: Sequence[str] = ()
) -> None:
    """Write a PNG with four panels over the seconds of the run.

    Args:
        path: The PNG.
        records: In the order of their time, at least one.
        trace: What the link carried.
        arms: All arms that could have been chosen; they keep their colours in all plots.
    """
    names = sort_arms([*arms, *(record.arm for record in records)])
    looks = looks_of(names)
    used = [name for name in names if any(record.arm == name for record in records)]
    end_s = records[-1].second + records[-1].latency_ms / 1000
    figure = make_figure(10, 9)
    figure.set_layout_engine("constrained", h_pad=0.1)
    panels: Any = figure.subplots(4, 1, sharex=True, height_ratios=[1, 1.5, 1.2, 0.35 + 0.14 * len(used)])
    _draw_bandwidth(panels[0], records, trace, end_s)
    _draw_latency(panels[1], records, looks)
    _draw_accuracy(panels[2], records, looks)
    _draw_arms(panels[3], records, looks, used)
    for panel in panels:
        tidy(panel)
        for start_s, _, _ in _slas(records, end_s)[1:]:
            panel.axvline(start_s, color=GREY, linewidth=0.8, linestyle=":")
    for start_s, stop_s, sla in _slas(records, end_s):
        value, style = (sla.max_ms, 1) if isinstance(sla, LatencySLA) else (sla.min_accuracy, 2)
        panels[style].hlines(value, start_s, stop_s, **_BOUND, zorder=4)
    handles = [handle for panel in panels for handle in panel.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside upper right", ncols=4, fontsize=9, frameon=False)
    panels[-1].set_xlabel("time (s)")
    panels[-1].set_xlim(-0.01 * end_s, 1.01 * end_s)
    save(figure, path)


def _draw_bandwidth(axes: Any, records: Sequence[ClipRecord], trace: Trace, end_s: float) -> None:
    steps = [
        (second, mbps)
        for second, mbps in zip(trace.seconds, trace.bandwidth_mbps, strict=True)
        if second < end_s
    ]
    seconds, bandwidths = zip(*[*steps, (end_s, steps[-1][1])], strict=True)
    axes.step(seconds, bandwidths, where="post", color=INK, linewidth=1.4, label="link")
    measured = [record.measured_mbps for record in records]
    axes.plot(
        [record.second for record in records],
        measured,
        "o",
        color="#E69F00",
        markersize=3.5,
        label="measured by the edge",
    )
    axes.set_yscale("log")
    axes.set_yticks([3, 6, 12, 25, 50], ["3", "6", "12", "25", "50"])
    axes.minorticks_off()
    axes.set_ylabel("bandwidth\n(Mbps)")


def _draw_latency(axes: Any, records: Sequence[ClipRecord], looks: Mapping[str, Look]) -> None:
    _scatter(axes, records, looks, [record.latency_ms for record in records])
    axes.plot([], [], label="SLA", **_BOUND)
    axes.set_ylabel("latency (ms)")
    scale_by_factors(axes.yaxis)


def _draw_accuracy(axes: Any, records: Sequence[ClipRecord], looks: Mapping[str, Look]) -> None:
    """Accuracy of the chosen arms in the LUT; a cross at the bottom for each clip answered wrongly."""
    accuracies = [record.arm_accuracy for record in records]
    floors = [sla.min_accuracy for sla in _distinct_slas(records) if isinstance(sla, AccuracySLA)]
    lowest, highest = min([*accuracies, *floors]), max([*accuracies, *floors])
    margin = max(0.5, 0.25 * (highest - lowest))
    _scatter(axes, records, looks, accuracies)
    bottom = lowest - 2 * margin
    wrong = [record.second for record in records if not record.is_right]
    axes.plot(wrong, [bottom + 0.5 * margin] * len(wrong), "x", color=INK, markersize=5, label="wrong answer")
    axes.set_ylim(bottom, highest + margin)
    axes.set_ylabel("accuracy of the\nchosen arm (%)")


def _draw_arms(
    axes: Any, records: Sequence[ClipRecord], looks: Mapping[str, Look], used: Sequence[str]
) -> None:
    _scatter(axes, records, looks, [used.index(record.arm) for record in records])
    axes.set_yticks(range(len(used)), used)
    axes.set_ylim(len(used) - 0.5, -0.5)
    axes.set_ylabel("chosen arm")


def _scatter(
    axes: Any, records: Sequence[ClipRecord], looks: Mapping[str, Look], values: Sequence[float]
) -> None:
    for arm in sort_arms(record.arm for record in records):
        chosen = [(record.second, y) for record, y in zip(records, values, strict=True) if record.arm == arm]
        seconds, heights = zip(*chosen, strict=True)
        look = looks[arm]
        size = 8 if look.marker == "*" else 5
        axes.plot(seconds, heights, look.marker, color=look.colour, markersize=size, markeredgewidth=0)


def _distinct_slas(records: Sequence[ClipRecord]) -> list[LatencySLA | AccuracySLA]:
    return [parse_sla(text) for text in sorted({record.sla for record in records})]


def _slas(records: Sequence[ClipRecord], end_s: float) -> list[tuple[float, float, LatencySLA | AccuracySLA]]:
    """Start, end and SLA of each phase."""
    groups = [(sla, next(group).second) for sla, group in groupby(records, key=lambda record: record.sla)]
    starts = [second for _, second in groups]
    ends = [*starts[1:], end_s]
    return [(start, end, parse_sla(sla)) for (sla, _), start, end in zip(groups, starts, ends, strict=True)]
