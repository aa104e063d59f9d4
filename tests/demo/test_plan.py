"""What the demo does when."""

from __future__ import annotations

import pytest

from approxbit.demo.plan import LONGEST_SEGMENT_S, accuracy_floors, latency_bounds, make_plan
from approxbit.select import LUT, SERVER_ONLY, AccuracySLA, LatencySLA, LUTRow, select

# At 6 Mbps: server-only 262.1 + 50 = 312.1 ms, edge-only 380 ms, the codes 212 and 280 ms.
ROWS = (
    LUTRow("edge-only", 380, 0, 0, 0, 0, 92),
    LUTRow("server-only", 0, 0, 196608, 0, 50, 92),
    LUTRow("16-Enc-B3", 200, 2, 0, 0, 10, 84),
    LUTRow("32-NoEnc-B5", 265, 5, 0, 0, 10, 90),
)


def make_lut(*rows: LUTRow) -> LUT:
    return LUT(rows, "a machine", "torch", "2026-01-01", 100)


def test_latency_bounds_leave_headroom_for_the_fastest_and_the_most_accurate_code() -> None:
    tight, loose = latency_bounds(make_lut(*ROWS))
    assert (tight.max_ms, loose.max_ms) == (276, 364)
    assert select(make_lut(*ROWS), 3, tight).arm == "16-Enc-B3"
    assert select(make_lut(*ROWS), 3, loose).arm == "32-NoEnc-B5"
    assert select(make_lut(*ROWS), 50, tight).arm == SERVER_ONLY


def test_of_equally_accurate_codes_the_faster_one_sets_the_looser_bound() -> None:
    twin = LUTRow("64-NoEnc-B5", 400, 5, 0, 0, 10, 90)
    assert latency_bounds(make_lut(twin, *ROWS))[1].max_ms == 364


def test_bounds_of_few_milliseconds_keep_a_decimal() -> None:
    tight, loose = latency_bounds(make_lut(LUTRow("8-Enc-B5", 4, 0, 0, 0, 0, 50)))
    assert (tight.max_ms, loose.max_ms) == (5.2, 5.2)


def test_accuracy_floors_lie_between_the_worst_and_the_best_code() -> None:
    low, high = accuracy_floors(make_lut(*ROWS))
    assert (low.min_accuracy, high.min_accuracy) == (85.5, 88.5)


def test_a_plan_follows_figure_9() -> None:
    plan = make_plan(make_lut(*ROWS), clips_per_segment=16, seed=3)
    assert plan.segment_s == pytest.approx(16 * plan.interval_s)
    assert plan.duration_s == pytest.approx(6 * plan.segment_s)
    assert plan.num_clips in (96, 97)
    assert [round(start_s / plan.segment_s, 3) for start_s, _ in plan.phases] == [0, 1.5, 3, 4.5]
    assert [type(sla) for _, sla in plan.phases] == [LatencySLA, LatencySLA, AccuracySLA, AccuracySLA]
    means = [plan.trace.bandwidth_at((index + 0.5) * plan.segment_s) for index in range(6)]
    assert means == pytest.approx([50, 3, 6, 50, 3, 6], rel=0.11)


def test_a_clip_has_time_for_the_slowest_arm_that_is_chosen() -> None:
    plan = make_plan(make_lut(*ROWS), clips_per_segment=1)
    assert plan.interval_s > 0.280 + 0.1


def test_clips_of_a_fast_device_do_not_come_in_faster_than_five_a_second() -> None:
    plan = make_plan(make_lut(LUTRow("8-Enc-B5", 4, 0, 0, 0, 0, 50)), clips_per_segment=10)
    assert plan.interval_s == 0.2


def test_a_slow_device_answers_fewer_clips_instead_of_taking_longer() -> None:
    plan = make_plan(make_lut(ROWS[0], *ROWS[2:]).scaled(50), clips_per_segment=16)
    assert plan.segment_s == LONGEST_SEGMENT_S
    assert plan.num_clips < 16


def test_a_plan_needs_clips_and_codes() -> None:
    with pytest.raises(ValueError, match="clips_per_segment must be at least 1, found 0"):
        make_plan(make_lut(*ROWS), clips_per_segment=0)
    with pytest.raises(ValueError, match="must have a configuration, found only edge-only, server-only"):
        make_plan(make_lut(*ROWS[:2]), clips_per_segment=1)
