"""The report as one HTML file: pictures inside, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from approxbit.files import write_whole
from approxbit.report.records import AskedRecord
from approxbit.report.style import format_bytes
from approxbit.report.verdict import Standing, winners
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
th { font-weight: 600; border-bottom: 2px solid #ccc; } .text { text-align: left; white-space: nowrap; }
.verdict { font-size: 1.15rem; border-left: .3rem solid #0072B2; padding: .5rem 1rem; background: #f3f8fc; }
.strip { margin: 1.5rem 0; } .strip img { image-rendering: pixelated; }
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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], num_text_columns: int = 1) -> str:
    """A table whose first columns are text and whose others are numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [" class=text" if place < num_text_columns else "" for place in range(len(cells))]
        inner = "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<div class=scroll><table>\n{line(header, 'th')}\n{body}\n</table></div>"


def bullets(texts: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def verdict(text: str) -> str:
    """The sentence that a run ends with."""
    return f"<p class=verdict>{escape(text)}</p>"


def command_line(text: str) -> str:
    """A command to copy."""
    return f"<pre>{escape(text)}</pre>"


def picture(path: str | os.PathLike[str], meaning: str) -> str:
    """A PNG, inside the page."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{escape(meaning, quote=True)}" src="data:image/png;base64,{data}">'


def strip_table(path_of: Mapping[int, Path], records: Sequence[AskedRecord]) -> str:
    """Frames of some clips, with the question that came later and what each arm said.

    Args:
        path_of: The PNG of a clip's frames, by its number.
        records: Of a run; those of other clips are left out.
    """
    parts = []
    for number, path in path_of.items():
        found = [record for record in records if record.number == number]
        if not found:
            continue
        first = found[0]
        rows = [
            [
                record.arm + _how_chosen(record),
                record.answer or "no answer",
                "right" if record.is_right else "wrong",
                format_bytes(record.packet_bytes) if record.packet_bytes else "0 B",
                f"{record.question_bytes} B",
                f"{record.latency_ms:.0f} ms",
            ]
            for record in found
        ]
        asked = f"<p><b>{escape(first.question)}?</b> {escape(first.right_answer)} "
        asked += f"<span class=lead>({first.true_mbps:g} Mbps)</span></p>"
        head = ["arm", "answer", "", "packet", "question", "latency"]
        shown = picture(path, first.video) + asked + table(head, rows, num_text_columns=3)
        parts.append(f"<div class=strip>{shown}</div>")
    return "".join(parts)


def _how_chosen(record: AskedRecord) -> str:
    if record.fell_back:
        return " (fallback)"
    return " (chosen)" if record.is_chosen else ""


def standing_table(standings: Sequence[Standing]) -> str:
    """What was measured of every arm at every bandwidth; the winners stand out."""
    won = winners(standings)
    rows = [
        [
            f"{each.bandwidth_mbps:g} Mbps",
            each.arm,
            f"{each.latency_ms:.0f} ms",
            str(each.num_clips),
            f"{each.score:.1f} %",
            "winner" if each in won else ("" if each.is_good_enough else "scores too low"),
        ]
        for each in standings
    ]
    return table(["link", "arm", "median latency", "clips", "score", ""], rows, num_text_columns=2)


def lut_table(lut: LUT, bandwidths_mbps: Sequence[float], round_trip_ms: float) -> str:
    """The LUT, and the latency of each arm by Eq. 1 at some bandwidths."""
    names = [
        "edge (ms)",
        "encode (ms)",
        "payload (B)",
        "packet (B)",
        "decode (ms)",
        "server (ms)",
        "score (%)",
    ]
    rows = []
    for row in lut.rows:
        sizes = [f"{row.payload_bytes:,.0f}", "" if row.packet_bytes is None else f"{row.packet_bytes:,.0f}"]
        times = [f"{part:.1f}" for part in (row.edge_ms, row.encode_ms, row.decode_ms, row.server_ms)]
        cells = [*times[:2], *sizes, *times[2:]]
        latencies = [f"{latency_ms(row, mbps, round_trip_ms):.0f}" for mbps in bandwidths_mbps]
        rows.append([row.arm, *cells, f"{row.accuracy:.2f}", *latencies])
    return table(["arm", *names, *(f"ms at {mbps:g} Mbps" for mbps in bandwidths_mbps)], rows)
