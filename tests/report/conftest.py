"""A run of 24 clips that never happened."""

from __future__ import annotations

import random

import pytest

from approxbit.link import Trace
from approxbit.report import ClipRecord, Payload, Report, summarise
from approxbit.select import LUT, LUTRow, parse_sla, select

ROWS = (
    LUTRow("edge-only", 350, 0, 0, 0, 0, 91.3),
    LUTRow("server-only", 0, 0, 196608, 0, 50, 91.3),
    LUTRow("16-Enc-B5", 265, 2, 64, 1, 12, 88.1),
    LUTRow("32-NoEnc-B3", 210, 2, 4096, 1, 12, 90.6),
)


def make_record(second: float, trace: Trace, lut: LUT, sla: str, generator: random.Random) -> ClipRecord:
    mbps = trace.bandwidth_at(second)
    choice = select(lut, mbps, parse_sla(sla))
    latency_ms = choice.latency_ms * generator.uniform(0.95, 1.05)
    return ClipRecord(
        second=second,
        video=f"test{round(10 * second):06d}.mp4",
        true_mbps=mbps,
        measured_mbps=mbps * generator.uniform(0.9, 1.1),
        round_trip_ms=1.0,
        sla=sla,
        arm=choice.arm,
        arm_accuracy=choice.row.accuracy,
        payload_bytes=int(choice.row.payload_bytes),
        packet_bytes=int(choice.row.payload_bytes) + 40,
        probe_bytes=4096,
        feature_bytes=49152,
        file_bytes=11000,
        device_ms=choice.row.edge_ms,
        link_ms=10.0,
        server_ms=15.0,
        latency_ms=latency_ms,
        expected_ms=choice.latency_ms,
        meets_sla=choice.meets_sla,
        sla_is_feasible=choice.meets_sla,
        fell_back=False,
        label="up",
        answer=generator.choice(["up", "up", "up", "<down>"]),
        unsplit_answer="up",
    )


@pytest.fixture(scope="session")
def report() -> Report:
    generator = random.Random(0)
    lut = LUT(ROWS, "a small machine", "torch", "2026-01-01", 100, family="toy")
    trace = Trace.figure9(segment_s=2.0)
    slas = ("latency<=230ms", "latency<=300ms", "accuracy>=89", "accuracy>=99")
    records = [
        make_record(second, trace, lut, slas[int(second // 3)], generator)
        for second in (index / 2 for index in range(24))
    ]
    payloads = [Payload("raw clip", "video", 196608), Payload("feature at B5", "feature", 49152)]
    payloads += [Payload("32-NoEnc-B3", "code", 4096), Payload("16-Enc-B5", "code", 64)]
    return Report(
        family="toy",
        records=records,
        summary=summarise(records, raw_bytes=196608, wall_s=20),
        lut=lut,
        trace=trace,
        round_trip_ms=1.0,
        payloads=payloads,
        command="approxbit demo --family toy",
        machine="a small machine",
        date="2026-01-01",
        notes=["A note with <angle brackets> & an ampersand."],
    )
