"""A device that this machine is not: the same arithmetic, slower."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from approxbit.edge.arms.arm import EdgeArm, Encoded
from approxbit.wire import Request
from approxbit.wire.request import NOTHING_SAID


class EmulatedArm:
    """An arm that takes `slowdown` times as long as on this machine: an emulation, not a measurement.

    It computes, then sleeps for `slowdown - 1` times what the computation took: packets and answers are the
    real ones, the ratio between arms is this machine's own, and no part gets slower than another. The times
    in `Encoded` are multiplied by `slowdown` as well, so that they agree with the clock on the wall.

    Args:
        arm: Of this machine.
        slowdown: How many times slower than this machine, at least 1.

    Raises:
        ValueError: `slowdown` is below 1.
    """

    def __init__(self, arm: EdgeArm, slowdown: float):
        if not slowdown >= 1:
            raise ValueError(f"slowdown must be at least 1 (1 is this machine as it is), found {slowdown!r}")
        self.arm = arm
        self.slowdown = slowdown
        self.name, self.code_format, self.crosses_link = arm.name, arm.code_format, arm.crosses_link

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """What the arm makes of a clip, later, and with its times multiplied by `slowdown`."""
        start = time.perf_counter()
        encoded = self.arm.encode(frames, request)
        time.sleep((self.slowdown - 1) * (time.perf_counter() - start))
        return replace(
            encoded, edge_ms=encoded.edge_ms * self.slowdown, encode_ms=encoded.encode_ms * self.slowdown
        )
