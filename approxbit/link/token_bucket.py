"""When bytes may leave: arithmetic on seconds that the caller passes in, no clock and no sleep."""

import math
from typing import Iterator, Optional, Tuple

from approxbit.link.trace import Trace

_BYTES_PER_SECOND = 125_000.0  # of one Mbps


class TokenBucket:
    """A link of a given rate that lets at most `burst_bytes` pass at once after a pause.

    Bytes are reserved in turn. A reservation may take more than the bucket holds: the debt is the queue, and
    time pays it off. With a burst of 0 a transfer takes exactly 8 d / B (Eq. 1, APPROXBIT); any burst is free
    credit for the first bytes after a pause.

    Seconds may come from any clock. A second earlier than the latest one seen is allowed: the bytes then
    queue behind what is there already.

    Args:
        rate_mbps: 10^6 bits per second, 0 or more.
        burst_bytes: 0 or more.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> bucket = TokenBucket(rate_mbps=8, burst_bytes=0)
        >>> bucket.reserve(1000, now=0.0), bucket.reserve(1000, now=0.0)
        (0.001, 0.002)
    """

    def __init__(self, rate_mbps: float, burst_bytes: float = 0.0):
        _check("burst_bytes", burst_bytes)
        self._bytes_per_second = _rate(rate_mbps)
        self._burst_bytes = float(burst_bytes)
        self._tokens = self._burst_bytes
        self._latest: Optional[float] = None

    def reserve(self, num_bytes: float, now: float) -> float:
        """Take `num_bytes` and return the seconds from `now` until the last of them has left.

        Infinite when the rate is 0 and the bucket is in debt.

        Raises:
            ValueError: `num_bytes` is negative or not a number.
        """
        _check("num_bytes", num_bytes)
        latest = self._advance(now)
        self._tokens -= num_bytes
        if self._tokens >= 0:
            return latest - now
        if self._bytes_per_second == 0:
            return math.inf
        return latest - now - self._tokens / self._bytes_per_second

    def set_rate(self, rate_mbps: float, now: float) -> None:
        """Change the rate from `now` on; what has flowed until then flowed at the old one.

        Raises:
            ValueError: `rate_mbps` is out of range.
        """
        rate = _rate(rate_mbps)
        self._advance(now)
        self._bytes_per_second = rate

    def _advance(self, now: float) -> float:
        if self._latest is None:
            self._latest = now
        if now > self._latest:
            flowed = (now - self._latest) * self._bytes_per_second
            self._tokens = min(self._burst_bytes, self._tokens + flowed)
            self._latest = now
        return self._latest


class TracePacer:
    """A token bucket whose rate follows a trace.

    The trace's clock starts with the first reservation, or with `restart`.

    Args:
        trace: Bandwidth over the seconds since the start.
        burst_bytes: Of the bucket.
    """

    def __init__(self, trace: Trace, burst_bytes: float = 0.0):
        self._trace = trace
        self._bucket = TokenBucket(trace.bandwidth_mbps[0], burst_bytes)
        self._started_at: Optional[float] = None
        self._steps: Iterator[Tuple[float, float]] = iter(())
        self._next_change = math.inf
        self._next_mbps = 0.0

    def restart(self, now: float) -> None:
        """Let the trace begin at `now`, whether or not it runs already."""
        self._started_at = now
        self._steps = self._trace.steps()
        _, mbps = next(self._steps)
        self._bucket.set_rate(mbps, now)
        self._look_ahead()

    def seconds(self, now: float) -> float:
        """Seconds since the trace began; 0 before."""
        return 0.0 if self._started_at is None else now - self._started_at

    def bandwidth_mbps(self, now: float) -> float:
        """The trace's bandwidth at `now`."""
        return self._trace.bandwidth_at(self.seconds(now))

    def departure(self, num_bytes: float, now: float) -> float:
        """The second at which the last of `num_bytes`, which arrive at `now`, has left; may be infinite."""
        if self._started_at is None:
            self.restart(now)
        while self._next_change <= now:
            self._take_step()
        finish = now + self._bucket.reserve(num_bytes, now)
        while finish > self._next_change:
            change = self._next_change
            self._take_step()
            finish = change + self._bucket.reserve(0, change)
        return finish

    def _take_step(self) -> None:
        self._bucket.set_rate(self._next_mbps, self._next_change)
        self._look_ahead()

    def _look_ahead(self) -> None:
        second, self._next_mbps = next(self._steps, (math.inf, 0.0))
        self._next_change = (self._started_at or 0.0) + second


def _rate(rate_mbps: float) -> float:
    _check("rate_mbps", rate_mbps)
    return rate_mbps * _BYTES_PER_SECOND


def _check(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: expected a finite number, 0 or more, found {value!r}")
