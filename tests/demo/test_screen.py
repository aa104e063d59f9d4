"""What is seen while the demo runs."""

from __future__ import annotations

import io

from rich.console import Console

from approxbit.demo.screen import Screen
from approxbit.report import ClipRecord

FACTS = {
    "video": "test000000.mp4",
    "true_mbps": 50.0,
    "measured_mbps": 48.0,
    "round_trip_ms": 1.0,
    "sla": "latency<=60ms",
    "arm_accuracy": 90.0,
    "packet_bytes": 104,
    "probe_bytes": 0,
    "feature_bytes": 6400,
    "file_bytes": 10000,
    "device_ms": 30.0,
    "link_ms": 5.0,
    "server_ms": 5.0,
    "expected_ms": 39.0,
    "label": "up",
    "unsplit_answer": "up",
}


def make_record(second: float, **changes: object) -> ClipRecord:
    facts = {
        "arm": "8-Enc-B5",
        "payload_bytes": 64,
        "latency_ms": 40.0,
        "meets_sla": True,
        "sla_is_feasible": True,
        "fell_back": False,
        "answer": "up",
        **FACTS,
        **changes,
    }
    return ClipRecord(second=second, **facts)  # type: ignore[arg-type]


def run_screen(is_terminal: bool) -> str:
    file = io.StringIO()
    screen = Screen(Console(file=file, force_terminal=is_terminal, width=160))
    screen.say("starting [a server]")
    with screen.table():
        for index in range(20):
            screen.show(make_record(index * 0.5))
        screen.show(make_record(10.5, meets_sla=False, answer="down"))
        screen.show(
            make_record(16.0, sla_is_feasible=False, meets_sla=False, fell_back=True, arm="edge-only")
        )
    return file.getvalue()


def test_without_a_terminal_a_line_comes_now_and_then() -> None:
    lines = run_screen(is_terminal=False).splitlines()
    assert lines[0] == "starting [a server]"
    assert len(lines) == 5
    assert lines[1] == ("0.0 s  50.0 Mbps  48.0 Mbps  latency<=60ms  8-Enc-B5  64 B  40 ms  yes  right")
    assert lines[3].endswith("no  wrong: down")
    assert lines[4].endswith("edge-only (fallback)  64 B  40 ms  cannot  right")


def test_on_a_terminal_there_is_a_table_with_a_tally() -> None:
    text = run_screen(is_terminal=True)
    assert "latency<=60ms" in text
    assert "22 clips, 21 right, 20 within their SLA" in text
    assert "waiting for the first answer" in text
