"""A device that is slower than this machine."""

from __future__ import annotations

import time

import numpy as np
import pytest

from approxbit.edge.arms import CompressedVideoArm, EdgeOnlyArm, EmulatedArm
from approxbit.engines.runner import ClipFormat, WholeResult
from approxbit.tasks import Classification
from approxbit.wire import TopK

FRAMES = np.zeros((2, 4, 4, 3), np.uint8)


class Whole:
    clip_format = ClipFormat(2, 4)

    def run(self, clip: np.ndarray) -> WholeResult:
        time.sleep(0.02)
        return WholeResult(np.ones(2, np.float32), whole_ms=20.0)


def test_an_emulated_arm_gives_the_same_answer_later() -> None:
    arm = EmulatedArm(EdgeOnlyArm(Whole(), Classification.of_names()), slowdown=4)
    start = time.perf_counter()
    encoded = arm.encode(FRAMES)
    elapsed_ms = 1000 * (time.perf_counter() - start)
    assert isinstance(encoded.answer, TopK)
    assert encoded.answer.classes == (0, 1)
    assert 80 <= encoded.edge_ms <= elapsed_ms
    assert (arm.name, arm.code_format, arm.crosses_link) == ("edge-only", None, False)


def test_all_that_an_arm_does_is_slowed() -> None:
    """Not its model alone: a device that is slow compresses video slowly too."""
    arm = CompressedVideoArm(Whole.clip_format, "superfast", 40)
    start = time.perf_counter()
    encoded = EmulatedArm(arm, slowdown=9).encode(FRAMES)
    elapsed_ms = 1000 * (time.perf_counter() - start)
    assert encoded.packet == arm.encode(FRAMES).packet
    assert 0.5 * elapsed_ms <= encoded.encode_ms <= elapsed_ms


@pytest.mark.parametrize("slowdown", [0.5, float("nan")])
def test_an_emulated_device_is_never_faster_than_this_machine(slowdown: float) -> None:
    with pytest.raises(ValueError, match="slowdown must be at least 1"):
        EmulatedArm(EdgeOnlyArm(Whole(), Classification.of_names()), slowdown)
