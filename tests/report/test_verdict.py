"""Who wins at which bandwidth, and the sentence that says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approxbit.report import AskedRecord, Report, conclude, find_phases, stand, winners
from approxbit.select import LUT, LUTRow


def make_record(arm: str, latency_ms: float, mbps: float = 3, **changes: object) -> AskedRecord:
    facts = {
        **{"number": 0, "video": "a.mp4", "true_mbps": mbps, "measured_mbps": None, "arm": arm},
        **{"is_chosen": False, "send_ms": latency_ms - 5, "ask_ms": 5.0, "payload_bytes": 9},
        **{"packet_bytes": 9, "question_bytes": 9, "fell_back": False, "question": "what"},
        **{"right_answer": "a", "answer": "a", **changes},
    }
    return AskedRecord(second=0, **facts)  # type: ignore[arg-type]


def test_the_median_of_what_the_server_answered_counts(lut: LUT) -> None:
    records = [
        *(make_record("edge-only", ms) for ms in (300, 320, 900)),
        make_record("edge-only", 1, fell_back=True),
        make_record("server-only", 2, answer=""),
        make_record("4-NoEnc-L1", 10),
        make_record("16-NoEnc-L1", 80, mbps=50),
    ]
    found = stand(records, lut, floor=44.5)
    assert [(each.bandwidth_mbps, each.arm, each.latency_ms, each.num_clips) for each in found] == [
        (3, "4-NoEnc-L1", 10, 1),
        (3, "edge-only", 320, 3),
        (50, "16-NoEnc-L1", 80, 1),
    ]
    assert [each.is_good_enough for each in found] == [False, True, True]
    assert [each.arm for each in winners(found)] == ["edge-only", "16-NoEnc-L1"]


@pytest.mark.parametrize(
    ("times", "end"),
    [
        ({"16-NoEnc-L1": 80, "edge-only": 90}, "at 3 Mbps 16-NoEnc-L1 (80 ms); codes win at 3 Mbps."),
        (
            {"16-NoEnc-L1": 80, "edge-only": 70},
            "at 3 Mbps edge-only (70 ms); codes win nowhere: the fastest, 16-NoEnc-L1, took 80 ms at 3 Mbps.",
        ),
        ({"edge-only": 70}, "at 3 Mbps edge-only (70 ms); no code had its turn."),
    ],
)
def test_the_sentence_names_winners_and_says_where_codes_stand(
    times: dict[str, float], end: str, lut: LUT
) -> None:
    found = stand([make_record(arm, ms) for arm, ms in times.items()], lut, 44.5)
    assert conclude(found, lut, 44.5) == f"Fastest of the arms that score at least 44.5 %: {end}"


def test_codes_that_score_too_little_or_are_not_there_are_named_as_such(lut: LUT) -> None:
    records = [make_record("edge-only", 70)]
    found = stand(records, lut, 45)
    assert conclude(found, lut, 45).endswith(
        "codes win nowhere, as none scores that much (the best, 16-NoEnc-L1, has 44.8 %)."
    )
    bare = replace(lut, rows=lut.rows[:3])
    assert conclude(stand(records, bare, 45), bare, 45).endswith("this family has no codes yet.")
    assert conclude([], lut, 45) == "No arm that scores at least 45.0 % answered anything."


def test_the_map_is_what_the_selector_would_choose() -> None:
    rows = (
        LUTRow("edge-only", 50, 0, 0, 0, 0, 90),
        LUTRow("8-NoEnc-L1", 10, 0, 1000, 5, 30, 89.5),
        LUTRow("server-only", 0, 0, 100_000, 0, 50, 90),
    )
    lut = LUT(rows, "", "", "2026-01-01", 1)
    assert find_phases(lut, 89, slowdowns=(1, 4, 100), bandwidths_mbps=(0.1, 3, 1000)) == [
        ["edge-only", "8-NoEnc-L1", "8-NoEnc-L1"],
        ["8-NoEnc-L1", "8-NoEnc-L1", "server-only"],
        ["8-NoEnc-L1", "server-only", "server-only"],
    ]
    assert find_phases(lut, 89.9, slowdowns=(1,), bandwidths_mbps=(3,)) == [["edge-only"]]


def test_the_report_ends_with_its_sentence(report: Report) -> None:
    assert report.conclusion.startswith("Fastest of the arms that score at least 44.5 %: at 50 Mbps ")
    assert "codes win at 50 and 3 and 6 Mbps" in report.conclusion
