"""How long a camera is waited for, and what it may do."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class CameraPolicy:
    """How long a camera is waited for, and what it may do.

    Attributes:
        open_timeout_s: From the attempt to connect to the first answer.
        read_timeout_s: Without a frame that can be used, whatever else comes; then it is connected anew.
        first_retry_s: After a connection is lost, before the next attempt; later waits double. Each is drawn
            between half of that and all of it, so that many cameras do not come back at once.
        longest_retry_s: What the waits double up to.
        max_gap_s: Between two frames, by the camera's own clock. After a longer gap a new stream of windows
            begins; in a shorter one the last frame is repeated.
        max_lag_s: How far frames may lie behind the one that came fastest; a camera that is decoded too
            slowly, or whose clock runs too slowly, is connected anew then.
        grace_s: How much longer than twice the longer timeout the process of the camera may be silent before
            it is ended.

    Raises:
        ValueError: A time is not above 0.
    """

    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    first_retry_s: float = 0.5
    longest_retry_s: float = 30.0
    max_gap_s: float = 1.0
    max_lag_s: float = 5.0
    grace_s: float = 10.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (0 < value < math.inf):
                raise ValueError(f"{each.name} must be above 0 and finite, found {value}")

    @property
    def silence_s(self) -> float:
        """How long the process of a camera may say nothing."""
        return 2 * max(self.open_timeout_s, self.read_timeout_s) + self.grace_s  # FFmpeg opens in two steps
