"""The folder of a report: a page that stands alone, plots that are pictures, data that can be read back."""

from __future__ import annotations

import csv
import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest

from approxbit.link import Trace
from approxbit.report import Report, draw_timeline, write_report
from approxbit.report.style import format_bytes, looks_of, sort_arms
from approxbit.select import LUT

VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Path:
    root = tmp_path_factory.mktemp("report") / "new" / "folder"
    assert write_report(root, report) == root / "index.html"
    return root


def size_of_png(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    return width, height


class Balance(HTMLParser):
    """Fails where a tag is closed that is not the last one opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_says_what_happened(folder: Path, report: Report) -> None:
    parser = Balance()
    parser.feed((folder / "index.html").read_text())
    assert parser.open == []
    for words in (
        "toy",
        "approxbit demo --family toy",
        "A note with <angle brackets> & an ampersand.",
        "16-NoEnc-L1 (chosen)",
        "which digit is <red>",
        report.conclusion,
    ):
        assert words in parser.text


def test_the_page_loads_nothing_from_elsewhere(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text


@pytest.mark.parametrize("name", ["timeline.png", "phases.png", "pareto.png"])
def test_a_plot_is_a_picture_of_reasonable_size(folder: Path, name: str) -> None:
    width, height = size_of_png(folder / name)
    assert width > 1000
    assert height > 300


def test_the_data_can_be_read_back(folder: Path, report: Report) -> None:
    with open(folder / "clips.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arm"] for row in rows] == [record.arm for record in report.records]
    assert float(rows[3]["send_ms"]) == report.records[3].send_ms
    assert LUT.load(folder / "lut.json") == report.lut
    assert Trace.load(folder / "trace.txt") == report.trace
    standings = json.loads((folder / "standings.json").read_text())
    assert [each["arm"] for each in standings] == [each.arm for each in report.standings]
    assert size_of_png(folder / "clip12.png") == (3 * 16 + 2 * 2, 16)


def test_a_timeline_of_one_clip_can_be_drawn(tmp_path: Path, report: Report) -> None:
    draw_timeline(tmp_path / "one.png", report.records[:1], Trace.constant(3))
    assert size_of_png(tmp_path / "one.png")[0] > 1000


def test_what_no_server_answered_is_no_row_of_the_standings(report: Report) -> None:
    assert not report.records[-1].is_answered
    assert sum(each.num_clips for each in report.standings) == len(report.records) - 1 - 4


def test_every_arm_looks_different_and_the_same_in_every_plot() -> None:
    arms = [
        "16-Enc-B5",
        "32-Enc-B5",
        "16-NoEnc-B5",
        "32-NoEnc-B5",
        "16-Enc-B3",
        "32-Enc-B3",
        "edge-only",
        "server-only",
    ]
    looks = looks_of(arms)
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(arms)
    assert looks == looks_of(reversed(arms))


def test_a_whole_family_of_nested_codecs_has_a_look_for_each_arm() -> None:
    arms = [
        f"{size}-{kind}-B{point}"
        for size in (4, 8, 16, 32)
        for kind in ("Enc", "NoEnc")
        for point in (3, 5, 6)
    ]
    looks = looks_of(arms)
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(arms)


def test_arms_are_sorted_by_where_they_cut_and_how_much_they_send() -> None:
    arms = ["edge-only", "h264", "32-Enc-B5", "server-only", "16-NoEnc-B5", "16-Enc-B5", "8-Enc-B3"]
    assert sort_arms(arms) == [
        "8-Enc-B3",
        "16-Enc-B5",
        "32-Enc-B5",
        "16-NoEnc-B5",
        "h264",
        "server-only",
        "edge-only",
    ]


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_950, "100 kB"), (3e7, "30.0 MB")],
)
def test_bytes_are_written_for_people(num_bytes: float, text: str) -> None:
    assert format_bytes(num_bytes) == text
