"""Accuracy over latency of all arms at several bandwidths, as in Fig. 6 of APPROXBIT."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from approxbit.report.style import INK, Look, looks_of, make_figure, save, scale_by_factors, sort_arms, tidy
from approxbit.select import LUT, latency_ms, pareto

BANDWIDTHS_MBPS = (3.0, 6.0, 50.0)


def draw_pareto(
    path: str | os.PathLike[str],
    lut: LUT,
    bandwidths_mbps: Sequence[float] = BANDWIDTHS_MBPS,
    round_trip_ms: float = 0.0,
) -> None:
    """Write a PNG with one panel per bandwidth: every arm of the LUT, and the frontier.

    Args:
        path: The PNG.
        lut: Of the device that is shown.
        bandwidths_mbps: At least one, above 0.
        round_trip_ms: Of the link.
    """
    looks = looks_of(lut.arms)
    figure = make_figure(10.5, 4.4)
    panels: Any = figure.subplots(1, len(bandwidths_mbps), sharey=True, squeeze=False)[0]
    for axes, mbps in zip(panels, bandwidths_mbps, strict=True):
        _draw_panel(axes, lut, looks, mbps, round_trip_ms)
    panels[0].set_ylabel(f"accuracy (%, {lut.figures[0]})")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    save(figure, path)


def _draw_panel(axes: Any, lut: LUT, looks: Mapping[str, Look], mbps: float, round_trip_ms: float) -> None:
    front = pareto(lut, mbps, round_trip_ms)
    axes.plot(
        [latency_ms(row, mbps, round_trip_ms) for row in front],
        [row.accuracy for row in front],
        color=INK,
        linewidth=1.2,
        linestyle="--",
        zorder=1,
        label="Pareto frontier",
    )
    for arm in sort_arms(lut.arms):
        row, look = lut.row(arm), looks[arm]
        axes.plot(
            latency_ms(row, mbps, round_trip_ms),
            row.accuracy,
            look.marker,
            color=look.colour,
            markersize=13 if look.marker == "*" else 9,
            markeredgecolor="white",
            markeredgewidth=0.8,
            linestyle="none",
            label=arm,
        )
    tidy(axes)
    axes.set_title(f"{mbps:g} Mbps", fontsize=11)
    axes.set_xlabel("latency (ms)")
    scale_by_factors(axes.xaxis)
    axes.margins(x=0.12, y=0.12)
