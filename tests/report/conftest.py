"""A run that never happened: three arms and a selector, 50, 3 and 6 Mbps, and a server that was away."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.link import Trace
from approxbit.report import AskedRecord, Report
from approxbit.select import LUT, LUTRow, latency_ms

ROWS = (
    LUTRow("edge-only", 340, 10, 0, 0, 0, 45.5),
    LUTRow("server-only", 0, 1, 196608, 1, 50, 45.5, packet_bytes=196700),
    LUTRow("h264-superfast-crf32", 0, 60, 1300, 3, 50, 44.9, packet_bytes=1360),
    LUTRow("16-NoEnc-L1", 40, 5, 300, 4, 30, 44.8, packet_bytes=306),
    LUTRow("4-NoEnc-L1", 40, 5, 100, 4, 30, 39.0, packet_bytes=106),
)
AWAY = (24.0, 28.0)


def make_record(second: float, arm: str, lut: LUT, **changes: object) -> AskedRecord:
    mbps = (50.0, 3.0, 6.0)[min(2, int(second // 10))]
    row = lut.row(arm)
    facts = {
        **{"number": int(second), "video": f"test{int(second):06d}.mp4", "true_mbps": mbps},
        **{"measured_mbps": None, "arm": arm, "is_chosen": False, "ask_ms": 10.0},
        **{"send_ms": latency_ms(row, mbps) - 10, "payload_bytes": int(row.payload_bytes)},
        **{"packet_bytes": int(row.packet_bytes or 0), "question_bytes": 30, "fell_back": False},
        **{"question": "which digit is <red>", "right_answer": "seven", "answer": "seven", **changes},
    }
    return AskedRecord(second=second, **facts)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def lut() -> LUT:
    return LUT(ROWS, "a small machine", "torch 2", "2026-01-01", 100, figures=("macro",), split="validation")


@pytest.fixture(scope="session")
def report(lut: LUT) -> Report:
    records = []
    for second in range(30):
        if AWAY[0] <= second < AWAY[1]:
            away = {"is_chosen": True, "fell_back": True, "reason": "gone", "payload_bytes": 0}
            records.append(make_record(second, "edge-only", lut, **away))
            continue
        records.append(make_record(second, "16-NoEnc-L1", lut, is_chosen=True, measured_mbps=5.0))
        records += [
            make_record(second + 0.1 * place, row.arm, lut, answer="seven" if place else "two")
            for place, row in enumerate(ROWS[:3])
        ]
    records.append(make_record(30.0, "server-only", lut, answer="", reason="gone"))
    return Report(
        family="toy",
        records=records,
        lut=lut,
        unslowed=lut.scaled(0.25),
        floor=44.5,
        trace=Trace.figure9(segment_s=10, repeats=1),
        away=[AWAY],
        round_trip_ms=1.0,
        slowdown=4.0,
        strips={number: np.full((3, 16, 16, 3), 9 * number, np.uint8) for number in (1, 12, 25)},
        command="approxbit demo --family toy",
        machine="a small machine",
        date="2026-01-01",
        notes=["A note with <angle brackets> & an ampersand."],
    )
