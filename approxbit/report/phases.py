"""Which arm wins on which device over which link: a map of device slowdown and bandwidth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from approxbit.report.style import INK, looks_of, make_figure, save, sort_arms
from approxbit.select import LUT, AccuracySLA, select

SLOWDOWNS = tuple(float(2 ** (step / 4)) for step in range(25))
"""From a device as fast as the measured one to one that is 64 times slower."""
BANDWIDTHS_MBPS = tuple(float(0.05 * 2 ** (step / 2)) for step in range(22))
"""From 0.05 to about 70 Mbps."""


def find_phases(
    lut: LUT,
    floor: float,
    slowdowns: Sequence[float] = SLOWDOWNS,
    bandwidths_mbps: Sequence[float] = BANDWIDTHS_MBPS,
    round_trip_ms: float = 0.0,
) -> list[list[str]]:
    """The arm that a selector chooses, for each slowdown a row with one for each bandwidth (Eq. 1 and 2).

    Args:
        lut: Of a device that is not slowed; its edge times are multiplied.
        floor: The score that the user asks for, percent.
        slowdowns: Above 0.
        bandwidths_mbps: Likewise.
        round_trip_ms: Of the link.
    """
    sla = AccuracySLA(floor)
    slowed = [lut.scaled(slowdown) for slowdown in slowdowns]
    return [[select(each, mbps, sla, round_trip_ms).arm for mbps in bandwidths_mbps] for each in slowed]


def draw_phases(
    path: str | os.PathLike[str],
    lut: LUT,
    floor: float,
    measured: Sequence[tuple[float, float]] = (),
    round_trip_ms: float = 0.0,
) -> None:
    """Write a PNG of the map, each arm in the colour that it has in all plots.

    Args:
        path: The PNG.
        lut: As for `find_phases`.
        floor: Likewise.
        measured: (bandwidth in Mbps, slowdown) where a run measured instead of reckoned; marked by crosses.
        round_trip_ms: Of the link.
    """
    phases, looks = find_phases(lut, floor, round_trip_ms=round_trip_ms), looks_of(lut.arms)
    names = sort_arms({arm for row in phases for arm in row})
    colours = {name: _rgb(looks[name].colour) for name in names}
    picture = np.array([[colours[arm] for arm in row] for row in phases])
    figure = make_figure(9, 4.6)
    axes: Any = figure.subplots()
    axes.pcolormesh(BANDWIDTHS_MBPS, SLOWDOWNS, picture, shading="nearest")
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.set_xticks([0.1, 0.3, 1, 3, 6, 12, 50], ["0.1", "0.3", "1", "3", "6", "12", "50"])
    axes.set_yticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.minorticks_off()
    axes.set_xlim(BANDWIDTHS_MBPS[0], BANDWIDTHS_MBPS[-1])
    axes.set_ylim(SLOWDOWNS[0], SLOWDOWNS[-1])
    axes.set_xlabel("bandwidth (Mbps)")
    axes.set_ylabel("times that the device is slower")
    for mbps, slowdown in measured:
        axes.plot(mbps, slowdown, "P", color="white", markeredgecolor=INK, markersize=11)
    for name in names:
        axes.plot([], [], "s", color=looks[name].colour, markersize=10, label=name)
    if measured:
        axes.plot(
            [], [], "P", color="white", markeredgecolor=INK, markersize=10, label="measured in this run"
        )
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    save(figure, path)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
