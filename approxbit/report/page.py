"""The report as one HTML file: pictures inside, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from approxbit.files import write_whole
from approxbit.report.style import format_bytes
from approxbit.report.summary import Accuracy, Summary
from approxbit.select import LUT, latency_ms

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #222;
       background: #fff; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.8rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; }
.lead { color: #555; margin: 0 0 1.5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; }
.card { border: 1px solid #e3e3e3; border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.45rem; font-weight: 600; }
.card span { color: #555; font-size: .88rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e8e8e8; text-align: right; }
th { font-weight: 600; border-bottom: 2px solid #ccc; } th:first-child, td:first-child { text-align: left; }
img { width: 100%; height: auto; margin: .5rem 0; } .scroll { overflow-x: auto; }
code, pre { font: .88rem ui-monospace, Menlo, Consolas, monospace; background: #f5f5f5;
            border-radius: .3rem; }
code { padding: .1rem .3rem; } pre { padding: .75rem 1rem; overflow-x: auto; } li { margin: .25rem 0; }
"""


def write_page(
    path: str | os.PathLike[str],
    title: str,
    lead: str,
    sections: Sequence[tuple[str, str]],
) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        title: Plain text.
        lead: Plain text below the title.
        sections: (plain heading, HTML as the functions of this file make it) in turn.
    """
    body = "\n".join(f"<section><h2>{escape(heading)}</h2>\n{html}\n</section>" for heading, html in sections)
    write_whole(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n{body}\n</body>\n</html>\n',
    )


def cards(facts: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with what it is: (figure, meaning)."""
    inner = "".join(f"<div class=card><b>{escape(b)}</b><span>{escape(s)}</span></div>" for b, s in facts)
    return f"<div class=cards>{inner}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table>\n<tr>{head}</tr>\n{body}\n</table></div>"


def bullets(texts: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def command_line(text: str) -> str:
    """A command to copy."""
    return f"<pre>{escape(text)}</pre>"


def picture(path: str | os.PathLike[str], meaning: str) -> str:
    """A PNG, inside the page."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{escape(meaning, quote=True)}" src="data:image/png;base64,{data}">'


def summary_cards(summary: Summary) -> str:
    """The figures to read first."""
    facts = [
        (f"{summary.total.answered:.1f} %", f"right, all {summary.total.num_clips} clips"),
        (f"{summary.total.unsplit:.1f} %", "right by the unsplit model, same clips"),
    ]
    if summary.codes.num_clips:
        ratio = summary.raw_bytes / summary.code_bytes
        facts.append((format_bytes(summary.code_bytes), f"per code, 1/{ratio:,.0f} of the raw clip"))
    num_clips = summary.total.num_clips
    facts += [
        (f"{summary.latency_p50_ms:.0f} ms", f"median latency, p95 {summary.latency_p95_ms:.0f} ms"),
        (f"{summary.num_hits} of {num_clips}", "clips kept their SLA"),
    ]
    return cards(facts)


def accuracy_table(summary: Summary) -> str:
    """Accuracy of all clips, and of those that went through a code."""

    def row(name: str, accuracy: Accuracy) -> list[str]:
        if not accuracy.num_clips:
            return [name, "0", "-", "-", "-"]
        percents = (accuracy.answered, accuracy.unsplit, accuracy.agreement)
        return [name, str(accuracy.num_clips), *(f"{percent:.1f} %" for percent in percents)]

    header = ["", "clips", "right", "unsplit model right", "both give the same answer"]
    return table(header, [row("all clips", summary.total), row("answered through codes", summary.codes)])


def phase_table(summary: Summary) -> str:
    """How the SLA was kept, phase by phase."""
    rows = [
        [
            phase.sla,
            f"{phase.start_s:.1f}",
            str(phase.num_clips),
            str(phase.num_hits),
            str(phase.num_infeasible),
        ]
        for phase in summary.phases
    ]
    return table(["SLA", "from (s)", "clips", "SLA kept", "no arm could keep it"], rows)


def arm_table(arms: Mapping[str, int], lut: LUT) -> str:
    """Which arms were used, and what a clip costs there."""
    rows = []
    for arm, count in arms.items():
        row = lut.row(arm)
        rows.append([arm, str(count), format_bytes(row.payload_bytes), f"{row.accuracy:.2f}"])
    return table(["arm", "clips", "payload", "accuracy (%)"], rows)


def lut_table(lut: LUT, bandwidths_mbps: Sequence[float], round_trip_ms: float) -> str:
    """The LUT, and the latency of each arm by Eq. 1 at some bandwidths."""
    names = ["edge (ms)", "encode (ms)", "payload (B)", "decode (ms)", "server (ms)", "accuracy (%)"]
    rows = []
    for row in lut.rows:
        parts = [row.edge_ms, row.encode_ms, row.payload_bytes, row.decode_ms, row.server_ms]
        cells = [f"{part:,.0f}" if part == row.payload_bytes else f"{part:.1f}" for part in parts]
        latencies = [f"{latency_ms(row, mbps, round_trip_ms):.0f}" for mbps in bandwidths_mbps]
        rows.append([row.arm, *cells, f"{row.accuracy:.2f}", *latencies])
    return table(["arm", *names, *(f"ms at {mbps:g} Mbps" for mbps in bandwidths_mbps)], rows)
