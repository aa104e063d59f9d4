"""The figures of a run, worked out by hand on four clips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approxbit.report import ClipRecord, summarise

CLIP = ClipRecord(
    second=0.0,
    video="test000000.mp4",
    true_mbps=50.0,
    measured_mbps=48.0,
    round_trip_ms=1.0,
    sla="latency<=60ms",
    arm="8-Enc-B5",
    arm_accuracy=90.0,
    payload_bytes=64,
    packet_bytes=104,
    probe_bytes=4096,
    feature_bytes=6400,
    file_bytes=10000,
    device_ms=30.0,
    link_ms=5.0,
    server_ms=5.0,
    latency_ms=40.0,
    expected_ms=39.0,
    meets_sla=True,
    sla_is_feasible=True,
    fell_back=False,
    label="up",
    answer="up",
    unsplit_answer="up",
)
RECORDS = [
    CLIP,
    replace(CLIP, second=1.0, answer="down", payload_bytes=128, latency_ms=80.0, meets_sla=False),
    replace(
        CLIP,
        second=2.0,
        arm="server-only",
        payload_bytes=12288,
        feature_bytes=0,
        sla="accuracy>=95",
        probe_bytes=0,
    ),
    replace(
        CLIP,
        second=3.0,
        arm="edge-only",
        payload_bytes=0,
        feature_bytes=0,
        sla="accuracy>=95",
        latency_ms=100.0,
        meets_sla=False,
        sla_is_feasible=False,
        fell_back=True,
        answer="left",
        unsplit_answer="left",
    ),
]


def test_accuracies_count_all_clips_and_those_through_codes() -> None:
    summary = summarise(RECORDS, raw_bytes=12288, wall_s=10)
    assert summary.total.num_clips == 4
    assert (summary.total.answered, summary.total.unsplit, summary.total.agreement) == (50, 75, 75)
    assert summary.codes.num_clips == 2
    assert (summary.codes.answered, summary.codes.unsplit, summary.codes.agreement) == (50, 100, 50)


def test_bytes_are_means_over_the_clips_that_they_are_about() -> None:
    summary = summarise(RECORDS, raw_bytes=12288, wall_s=10)
    assert summary.code_bytes == 96
    assert summary.code_feature_bytes == 6400
    assert summary.payload_bytes == (64 + 128 + 12288) / 4
    assert summary.file_bytes == 10000
    assert summary.probe_bytes == 3 * 4096


def test_latencies_are_percentiles() -> None:
    summary = summarise(RECORDS, raw_bytes=12288, wall_s=10)
    assert summary.latency_p50_ms == 60
    assert summary.latency_p95_ms == pytest.approx(97)


def test_each_sla_is_a_phase_with_its_hits() -> None:
    summary = summarise(RECORDS, raw_bytes=12288, wall_s=10)
    first, second = summary.phases
    assert (first.sla, first.start_s, first.num_clips, first.num_hits, first.num_infeasible) == (
        "latency<=60ms",
        0.0,
        2,
        1,
        0,
    )
    assert (second.sla, second.start_s, second.num_clips, second.num_hits, second.num_infeasible) == (
        "accuracy>=95",
        2.0,
        2,
        1,
        1,
    )
    assert (summary.num_hits, summary.num_infeasible, summary.num_fallbacks) == (2, 1, 1)


def test_arms_come_by_use_and_then_by_name() -> None:
    summary = summarise(RECORDS, raw_bytes=12288, wall_s=10)
    assert list(summary.arms.items()) == [("8-Enc-B5", 2), ("edge-only", 1), ("server-only", 1)]


def test_a_run_without_codes_has_no_accuracy_of_codes() -> None:
    summary = summarise(RECORDS[2:], raw_bytes=12288, wall_s=10)
    assert (summary.codes.num_clips, summary.codes.answered, summary.code_bytes) == (0, 0, 0)


def test_a_run_without_clips_has_no_summary() -> None:
    with pytest.raises(ValueError, match="needs at least one clip"):
        summarise([], raw_bytes=1, wall_s=1)
