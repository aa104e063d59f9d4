"""A device that is slower than this machine."""

from __future__ import annotations

import time

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.emulated import EmulatedDevice
from approxbit.engines.runner import ClipFormat, EdgeResult, WholeResult
from approxbit.wire import CodeFormat

CLIP = np.zeros((3, 2, 4, 4), np.float32)


class Edge:
    code_format = CodeFormat(Configuration.parse("8-Enc-B3"), (2, 2, 2))

    def run(self, clip: np.ndarray) -> EdgeResult:
        time.sleep(0.02)
        return EdgeResult(b"\x01", edge_ms=15.0, encode_ms=5.0)


class Whole:
    clip_format = ClipFormat(2, 4)

    def run(self, clip: np.ndarray) -> WholeResult:
        return WholeResult(np.ones(2, np.float32), whole_ms=7.0)


def test_an_emulated_device_gives_the_same_code_later() -> None:
    start = time.perf_counter()
    result = EmulatedDevice(Edge(), slowdown=4).run(CLIP)
    elapsed_s = time.perf_counter() - start
    assert result == EdgeResult(b"\x01", edge_ms=60.0, encode_ms=20.0)
    assert elapsed_s >= 0.08


def test_an_emulated_device_runs_whole_models_too() -> None:
    device = EmulatedDevice(Whole(), slowdown=3)
    result = device.run(CLIP)
    assert result.whole_ms == 21.0
    assert np.array_equal(result.logits, np.ones(2, np.float32))


def test_an_emulated_device_has_the_formats_of_its_runner() -> None:
    assert EmulatedDevice(Edge(), 1).code_format == Edge.code_format
    assert EmulatedDevice(Whole(), 1).clip_format == Whole.clip_format


@pytest.mark.parametrize("slowdown", [0.5, float("nan")])
def test_an_emulated_device_is_never_faster_than_this_machine(slowdown: float) -> None:
    with pytest.raises(ValueError, match="slowdown must be at least 1"):
        EmulatedDevice(Edge(), slowdown)
