"""Waiting on a machine that may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable

from approxbit.video.cameras import CameraPolicy

LONG_S = 300.0

PATIENT = CameraPolicy(
    open_timeout_s=LONG_S,
    read_timeout_s=LONG_S,
    first_retry_s=0.1,
    longest_retry_s=1.0,
    max_lag_s=3600.0,  # a test sends when it likes, whatever the pictures' times say
)


def wait_until(holds: Callable[[], bool], say: Callable[[], object] = lambda: "") -> None:
    """Wait for something that must come; the bound is only there so that a fault ends."""
    deadline = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < deadline, say()
        time.sleep(0.01)
