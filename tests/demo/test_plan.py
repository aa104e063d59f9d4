"""What the demo does when."""

from __future__ import annotations

import pytest

from approxbit.demo.plan import LONGEST_S, SHORTEST_S, find_contenders, make_plan
from approxbit.select import LUT, LUTRow

ROWS = (
    LUTRow("edge-only", 400, 10, 0, 0, 0, 45.5),
    LUTRow("server-only", 0, 1, 196608, 1, 50, 45.5),
    LUTRow("h264-superfast-crf32", 0, 20, 1300, 3, 50, 44.9),
    LUTRow("h264-superfast-crf40", 0, 19, 600, 3, 50, 38.0),
    LUTRow("8-NoEnc-L1", 120, 8, 512, 4, 30, 43.0),
    LUTRow("16-NoEnc-L1", 120, 9, 1024, 4, 30, 44.8),
)


def make_lut(*rows: LUTRow) -> LUT:
    return LUT(rows, "a machine", "torch", "2026-01-01", 100)


def test_each_kind_sends_its_fastest_arm_that_scores_enough() -> None:
    assert find_contenders(make_lut(*ROWS), 44.5) == (
        "16-NoEnc-L1",
        "edge-only",
        "server-only",
        "h264-superfast-crf32",
    )
    # Where none scores enough, its best.
    assert find_contenders(make_lut(ROWS[3], *ROWS[4:]), 45) == ("16-NoEnc-L1", "h264-superfast-crf40")


def test_a_plan_follows_from_the_lut() -> None:
    plan = make_plan(make_lut(*ROWS), rounds=5)
    assert plan.floor == 44.5
    assert str(plan.sla) == "accuracy>=44.5"
    round_s = 1.3 * (410 + 163 + (576 + 19) + 77 - 1) / 1000
    assert plan.segment_s == pytest.approx(5 * round_s, rel=0.1)
    assert plan.trace.duration_s == pytest.approx(3 * plan.segment_s)
    seconds = [share * plan.segment_s for share in (0.5, 1.5, 2.5, 9)]
    assert [plan.bandwidth_at(second) for second in seconds] == [50, 3, 6, 6]
    for second, mbps in zip(seconds[:3], (50, 3, 6), strict=True):
        assert plan.trace.bandwidth_at(second) == pytest.approx(mbps, rel=0.1)


def test_a_segment_is_neither_short_nor_long() -> None:
    assert make_plan(make_lut(*ROWS), rounds=1).segment_s == SHORTEST_S
    assert make_plan(make_lut(*ROWS), rounds=1000).segment_s == LONGEST_S
    with pytest.raises(ValueError, match="rounds must be at least 1, found 0"):
        make_plan(make_lut(*ROWS), rounds=0)
