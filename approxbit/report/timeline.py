"""Bandwidth, latency, bytes and arms over the seconds of a run, as in Fig. 9 of APPROXBIT."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from approxbit.link import Trace
from approxbit.report.records import AskedRecord
from approxbit.report.style import (
    INK,
    Look,
    looks_of,
    make_figure,
    save,
    scale_by_factors,
    sort_arms,
    tidy,
)

_AWAY = {"color": "#B00020", "alpha": 0.12, "linewidth": 0}


def draw_timeline(
    path: str | os.PathLike[str],
    records: Sequence[AskedRecord],
    trace: Trace,
    arms: Sequence[str] = (),
    away: Sequence[tuple[float, float]] = (),
) -> None:
    """Write a PNG with four panels over the seconds of the run.

    Filled marks are the selector's choices; hollow ones are arms that had their turn beside it.

    Args:
        path: The PNG.
        records: In the order of their time, at least one.
        trace: What the link carried.
        arms: All arms there are; they keep their looks in all plots.
        away: From when to when there was no server, in seconds.
    """
    names = sort_arms([*arms, *(record.arm for record in records if record.arm)])
    looks = looks_of(names)
    used = [name for name in names if any(record.arm == name for record in records)]
    end_s = records[-1].second + records[-1].latency_ms / 1000
    figure = make_figure(10, 8.4)
    panels: Any = figure.subplots(4, 1, sharex=True, height_ratios=[0.9, 1.5, 1.2, 0.35 + 0.16 * len(used)])
    _draw_bandwidth(panels[0], records, trace, end_s)
    _draw_latency(panels[1], records, looks)
    _draw_bytes(panels[2], records, looks)
    _draw_arms(panels[3], records, looks, used)
    for panel in panels:
        tidy(panel)
        for place, (start_s, stop_s) in enumerate(away):
            label = "no server" if panel is panels[0] and not place else None
            panel.axvspan(start_s, stop_s, label=label, **_AWAY)
    handles = [handle for panel in panels for handle in panel.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside upper right", ncols=5, fontsize=9, frameon=False)
    panels[-1].set_xlabel("time (s)")
    panels[-1].set_xlim(-0.01 * end_s, 1.01 * end_s)
    save(figure, path)


def _draw_bandwidth(axes: Any, records: Sequence[AskedRecord], trace: Trace, end_s: float) -> None:
    steps = [
        (second, mbps)
        for second, mbps in zip(trace.seconds, trace.bandwidth_mbps, strict=True)
        if second < end_s
    ]
    seconds, bandwidths = zip(*[*steps, (end_s, steps[-1][1])], strict=True)
    axes.step(seconds, bandwidths, where="post", color=INK, linewidth=1.4, label="link")
    known = [(record.second, record.measured_mbps) for record in records if record.measured_mbps]
    axes.plot(
        [second for second, _ in known],
        [mbps for _, mbps in known],
        "o",
        color="#E69F00",
        markersize=3.5,
        label="measured by the edge",
    )
    axes.set_yscale("log")
    axes.set_yticks([3, 6, 12, 25, 50], ["3", "6", "12", "25", "50"])
    axes.minorticks_off()
    axes.set_ylabel("bandwidth\n(Mbps)")


def _draw_latency(axes: Any, records: Sequence[AskedRecord], looks: Mapping[str, Look]) -> None:
    answered = [record for record in records if record.is_answered]
    _scatter(axes, answered, looks, [record.latency_ms for record in answered])
    axes.plot([], [], "o", color=INK, label="chosen by the selector")
    axes.plot([], [], "o", color=INK, markerfacecolor="none", label="in turn, to compare")
    axes.set_ylabel("latency, clip\nand question (ms)")
    scale_by_factors(axes.yaxis)


def _draw_bytes(axes: Any, records: Sequence[AskedRecord], looks: Mapping[str, Look]) -> None:
    sent = [record for record in records if record.packet_bytes]
    _scatter(axes, sent, looks, [record.packet_bytes for record in sent])
    axes.set_yscale("log")
    axes.set_ylabel("bytes of\nthe packet")


def _draw_arms(
    axes: Any, records: Sequence[AskedRecord], looks: Mapping[str, Look], used: Sequence[str]
) -> None:
    ran = [record for record in records if record.arm]
    _scatter(axes, ran, looks, [used.index(record.arm) for record in ran])
    wrong = [record for record in ran if not record.is_right]
    places = [used.index(record.arm) for record in wrong]
    axes.plot(
        [record.second for record in wrong], places, "x", color=INK, markersize=4, label="wrong or no answer"
    )
    axes.set_yticks(range(len(used)), used)
    axes.set_ylim(len(used) - 0.5, -0.5)


def _scatter(
    axes: Any, records: Sequence[AskedRecord], looks: Mapping[str, Look], values: Sequence[float]
) -> None:
    for record, value in zip(records, values, strict=True):
        look = looks[record.arm]
        axes.plot(
            record.second,
            value,
            look.marker,
            color=look.colour,
            markersize=8 if look.marker == "*" else 5.5,
            markerfacecolor=look.colour if record.is_chosen else "none",
        )
