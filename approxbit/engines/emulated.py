"""A device that this machine is not: the same arithmetic, slower."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from approxbit.engines.runner import ClipFormat, EdgeRunner, WholeRunner
from approxbit.wire import CodeFormat


class EmulatedDevice:
    """A runner that takes `slowdown` times as long as on this machine: an emulation, not a measurement.

    It computes, then sleeps for `slowdown - 1` times what the computation took: the answers are the real
    ones, the ratio between configurations is this machine's own, and no part gets slower than another. The
    times in its results are multiplied by `slowdown` as well, so that they agree with the clock on the wall.

    Args:
        runner: An edge runner or a whole runner; its `code_format` or `clip_format` is handed through.
        slowdown: How many times slower than this machine, at least 1.

    Raises:
        ValueError: `slowdown` is below 1.
    """

    code_format: CodeFormat
    clip_format: ClipFormat

    def __init__(self, runner: EdgeRunner | WholeRunner, slowdown: float):
        if not slowdown >= 1:
            raise ValueError(f"slowdown must be at least 1 (1 is this machine as it is), found {slowdown!r}")
        self.runner = runner
        self.slowdown = slowdown
        for name in ("code_format", "clip_format"):
            if hasattr(runner, name):
                setattr(self, name, getattr(runner, name))

    def run(self, clip: Any) -> Any:
        """What the runner returns, later, and with its times multiplied by `slowdown`."""
        start = time.perf_counter()
        result: Any = self.runner.run(clip)
        time.sleep((self.slowdown - 1) * (time.perf_counter() - start))
        times = {name: value * self.slowdown for name, value in vars(result).items() if name.endswith("_ms")}
        return replace(result, **times)
