"""The folder that a run leaves behind: a page, its plots, and their data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from approxbit.files import save_json
from approxbit.link import Trace
from approxbit.report import page
from approxbit.report.pareto import BANDWIDTHS_MBPS, draw_pareto
from approxbit.report.payload import draw_payloads
from approxbit.report.records import ClipRecord, Payload, save_payloads, save_records
from approxbit.report.summary import Summary
from approxbit.report.timeline import draw_timeline
from approxbit.select import LUT


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        family: The checkpoints that ran.
        records: In the order of their time, at least one.
        summary: Of these records.
        lut: What the selector read.
        trace: What the link carried.
        round_trip_ms: Of the link.
        payloads: Ways to send a clip, largest first.
        command: How to run it again.
        machine: Kind of machine.
        date: Day of the run.
        notes: What a reader must know to judge the figures.
    """

    family: str
    records: Sequence[ClipRecord]
    summary: Summary
    lut: LUT
    trace: Trace
    round_trip_ms: float
    payloads: Sequence[Payload]
    command: str
    machine: str
    date: str
    notes: Sequence[str]


def write_report(folder: str | os.PathLike[str], report: Report) -> Path:
    """Write `index.html`, three PNGs and their data, in place of files of the same names.

    The data: `clips.csv`, `payloads.json`, `lut.json`, `trace.txt` and `summary.json`.

    Args:
        folder: Made where it is missing.
        report: What to show.

    Returns:
        The page.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    draw_timeline(root / "timeline.png", report.records, report.trace, report.lut.arms)
    draw_payloads(root / "payloads.png", report.payloads)
    draw_pareto(root / "pareto.png", report.lut, BANDWIDTHS_MBPS, report.round_trip_ms)
    save_records(root / "clips.csv", report.records)
    save_payloads(root / "payloads.json", report.payloads)
    report.lut.save(root / "lut.json")
    report.trace.save(root / "trace.txt")
    save_json(root / "summary.json", report.summary)
    title = f"{report.family}: video answers through binary codes"
    lead = f"{report.date}. {report.machine}."
    page.write_page(root / "index.html", title, lead, _sections(root, report))
    return root / "index.html"


def _sections(root: Path, report: Report) -> list[tuple[str, str]]:
    summary, lut = report.summary, report.lut
    return [
        ("In short", page.summary_cards(summary)),
        (
            "Over time",
            page.paragraph(
                "Each dot is a clip, its colour the arm that answered it. The dotted red line is the SLA: "
                "first a latency bound, then an accuracy floor. Compare Fig. 9 of the APPROXBIT paper."
            )
            + page.picture(root / "timeline.png", "bandwidth, latency, accuracy and chosen arm over time")
            + page.phase_table(summary),
        ),
        ("Accuracy", page.accuracy_table(summary)),
        (
            "Bytes",
            page.picture(root / "payloads.png", "bytes for one clip, by way of sending it")
            + page.arm_table(summary.arms, lut),
        ),
        (
            "Accuracy and latency",
            page.picture(root / "pareto.png", "accuracy over latency of all arms at three bandwidths")
            + page.lut_table(lut, BANDWIDTHS_MBPS, report.round_trip_ms),
        ),
        ("What to know", page.bullets(report.notes)),
        ("Run it again", page.command_line(report.command)),
        (
            "Data",
            page.paragraph(
                "Beside this page: clips.csv (one line per clip), payloads.json, lut.json, trace.txt and "
                "summary.json hold what the plots show."
            ),
        ),
    ]
