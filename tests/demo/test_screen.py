"""What is seen while the demo runs."""

from __future__ import annotations

import io

from rich.console import Console

from approxbit.demo.screen import Screen
from approxbit.report import AskedRecord


def make_record(second: float, **changes: object) -> AskedRecord:
    facts = {
        **{"number": 1, "video": "test000000.mp4", "true_mbps": 50.0, "measured_mbps": 48.0},
        **{"arm": "8-NoEnc-L1", "is_chosen": True, "send_ms": 30.0, "ask_ms": 10.0, "payload_bytes": 64},
        **{"packet_bytes": 70, "question_bytes": 20, "fell_back": False, "question": "what is [red]"},
        **{"right_answer": "seven", "answer": "seven", **changes},
    }
    return AskedRecord(second=second, **facts)  # type: ignore[arg-type]


def run_screen(is_terminal: bool) -> str:
    file = io.StringIO()
    screen = Screen(Console(file=file, force_terminal=is_terminal, width=160))
    screen.say("starting [a server]")
    with screen.table():
        for index in range(20):
            screen.show(make_record(index * 0.5, is_chosen=index % 2 == 0))
        screen.show(make_record(10.5, answer="two", measured_mbps=None))
        screen.show(make_record(16.0, answer="", arm="", reason="gone"))
        screen.show(make_record(22.0, fell_back=True, arm="edge-only"))
    return file.getvalue()


def test_without_a_terminal_a_line_comes_now_and_then() -> None:
    lines = run_screen(is_terminal=False).splitlines()
    assert lines[0] == "starting [a server]"
    assert len(lines) == 6
    assert lines[1] == "0.0 s  50 Mbps  48.0 Mbps  8-NoEnc-L1  90 B  40 ms  what is [red]  seven, right"
    assert lines[3].endswith("two, not seven")
    assert "  none  " in lines[4]
    assert lines[4].endswith("  none")
    assert "edge-only (fallback)" in lines[5]


def test_on_a_terminal_there_is_a_table_with_a_tally() -> None:
    text = run_screen(is_terminal=True)
    assert "what is [red]" in text
    assert "23 questions, 21 answered right; dim: arms that have" in text
    assert "waiting for the first answer" in text
