"""The folder that a run leaves behind: a page, its plots, and their data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from approxbit.files import format_json, to_json, write_whole
from approxbit.link import Trace
from approxbit.report import page
from approxbit.report.pareto import BANDWIDTHS_MBPS, draw_pareto
from approxbit.report.phases import draw_phases
from approxbit.report.records import AskedRecord, save_records
from approxbit.report.timeline import draw_timeline
from approxbit.report.verdict import Standing, conclude, stand
from approxbit.select import LUT

_GAP = 2
"""White pixels between the frames of a strip."""


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        family: The checkpoints that ran.
        records: In the order of their time, at least one.
        lut: Of the device of this run, as slow as it was.
        unslowed: Of the same device when nothing held it back.
        floor: The score that the user asked for, percent.
        trace: What the link carried.
        away: From when to when there was no server, in seconds.
        round_trip_ms: Of the link.
        slowdown: How many times slower the device was, as it was measured.
        strips: Some frames of some clips, uint8 `[frame, height, width, 3]`, by the clip's number.
        command: How to run it again.
        machine: Kind of machine.
        date: Day of the run.
        notes: What a reader must know to judge the figures.
    """

    family: str
    records: Sequence[AskedRecord]
    lut: LUT
    unslowed: LUT
    floor: float
    trace: Trace
    away: Sequence[tuple[float, float]]
    round_trip_ms: float
    slowdown: float
    strips: Mapping[int, NDArray[np.uint8]]
    command: str
    machine: str
    date: str
    notes: Sequence[str]

    @property
    def standings(self) -> list[Standing]:
        """Every arm at every bandwidth, as it was measured."""
        return stand(self.records, self.lut, self.floor)

    @property
    def conclusion(self) -> str:
        """The sentence that names the winner at each bandwidth."""
        return conclude(self.standings, self.lut, self.floor)


def write_report(folder: str | os.PathLike[str], report: Report) -> Path:
    """Write `index.html`, its pictures and their data, in place of files of the same names.

    The data: `clips.csv`, `lut.json`, `unslowed.json`, `trace.txt` and `standings.json`.

    Args:
        folder: Made where it is missing.
        report: What to show.

    Returns:
        The page.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    draw_timeline(root / "timeline.png", report.records, report.trace, report.lut.arms, report.away)
    draw_pareto(root / "pareto.png", report.lut, BANDWIDTHS_MBPS, report.round_trip_ms)
    measured = [(mbps, report.slowdown) for mbps in dict.fromkeys(each.true_mbps for each in report.records)]
    draw_phases(root / "phases.png", report.unslowed, report.floor, measured, report.round_trip_ms)
    strips = {number: root / f"clip{number}.png" for number in report.strips}
    for number, path in strips.items():
        imsave(path, _side_by_side(report.strips[number]))
    save_records(root / "clips.csv", report.records)
    report.lut.save(root / "lut.json")
    report.unslowed.save(root / "unslowed.json")
    report.trace.save(root / "trace.txt")
    write_whole(root / "standings.json", format_json(to_json(report.standings)))
    title = f"{report.family}: late questions over a thin link"
    lead = f"{report.date}. {report.machine}."
    page.write_page(root / "index.html", title, lead, _sections(root, report, strips))
    return root / "index.html"


def _side_by_side(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gap = np.full((frames.shape[1], _GAP, 3), 255, np.uint8)
    parts = [part for frame in frames for part in (frame, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _sections(root: Path, report: Report, strips: Mapping[int, Path]) -> list[tuple[str, str]]:
    floor = f"{report.floor:.1f} %"
    return [
        ("In short", page.verdict(report.conclusion) + page.standing_table(report.standings)),
        (
            "Over time",
            page.paragraph(
                "Each mark is a clip that was sent, and a question that was drawn afterwards. The selector "
                f"takes the fastest arm that scores at least {floor}; other arms have their turn beside it."
            )
            + page.picture(root / "timeline.png", "bandwidth, latency, bytes and arms over time"),
        ),
        (
            "Score and latency",
            page.paragraph(
                "All arms on the device of this run: its times as measured while it was slow, and Eq. 1 of "
                "the paper for the link."
            )
            + page.picture(root / "pareto.png", "score over latency of all arms at three bandwidths")
            + page.lut_table(report.lut, BANDWIDTHS_MBPS, report.round_trip_ms),
        ),
        (
            "Who wins where",
            page.paragraph(
                f"The fastest arm that scores at least {floor}, by device and link. This map is reckoned by "
                "Eq. 1: the times of the device before it was slowed, multiplied. The crosses are where this "
                "run measured."
            )
            + page.picture(root / "phases.png", "the winning arm over device slowdown and bandwidth"),
        ),
        ("What was asked", page.strip_table(strips, report.records)),
        ("What to know", page.bullets(report.notes)),
        ("Run it again", page.command_line(report.command)),
        (
            "Data",
            page.paragraph(
                "Beside this page: clips.csv (one line per clip and arm), standings.json, lut.json, "
                "unslowed.json and trace.txt hold what the plots show."
            ),
        ),
    ]
