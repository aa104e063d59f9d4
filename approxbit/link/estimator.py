"""The bandwidth of the uplink, from the transfers that happen anyway."""

import math
import time
from typing import Callable, Optional


class BandwidthEstimator:
    """Bytes over milliseconds of recent transfers, the more recent the heavier.

    Both sums fade: each transfer halves the weight of all before it, and so does every `half_life_s`. Their
    ratio is the harmonic mean of the rates weighted by bytes. It answers what Eq. 1 asks (how long do d
    bytes take?), where an arithmetic mean of rates would let one quick transfer hide many slow ones; and it
    falls at once when the link does, because slow transfers dominate the time. When two transfers in a row
    miss the estimate by more than a factor of 1.5 in the same direction, the link has changed: all before
    the second is forgotten. So it also rises quickly.

    Two kinds of transfers carry little information:

    - fewer than `min_bytes`: one frame of a network passes as a burst whatever the bandwidth, and fixed costs
      outweigh it. Ignored.
    - shorter than `min_ms`: below what clocks and schedulers resolve. It says only that the link carries at
      least `num_bytes / min_ms`, and counts as that if this is above the estimate. Otherwise ignored.

    Args:
        initial_mbps: What to answer before the first transfer; it has no weight afterwards.
        half_life_s: After this many seconds a transfer weighs half.
        min_bytes: Transfers below are ignored; the default is one Ethernet frame.
        min_ms: See above.
        clock: Seconds that never go back.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        initial_mbps: Optional[float] = None,
        half_life_s: float = 10.0,
        min_bytes: float = 1500,
        min_ms: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        if initial_mbps is not None and not 0 <= initial_mbps < math.inf:
            raise ValueError(f"initial_mbps: expected a finite number, 0 or more, found {initial_mbps!r}")
        for name, value in (("half_life_s", half_life_s), ("min_bytes", min_bytes), ("min_ms", min_ms)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a finite number above 0, found {value!r}")
        self._initial_mbps = None if initial_mbps is None else float(initial_mbps)
        self._half_life_s = float(half_life_s)
        self._min_bytes = float(min_bytes)
        self._min_ms = float(min_ms)
        self._clock = clock
        self._bytes = 0.0
        self._ms = 0.0
        self._counted_at: Optional[float] = None
        self._last_direction = 0

    @property
    def bandwidth_mbps(self) -> Optional[float]:
        """The estimate; `initial_mbps` before the first transfer that counts."""
        if self._counted_at is None:
            return self._initial_mbps
        return _mbps(self._bytes, self._ms)

    @property
    def age_s(self) -> float:
        """Seconds since a transfer counted; infinite before the first. A high age is a reason to probe."""
        return math.inf if self._counted_at is None else self._clock() - self._counted_at

    def observe(self, num_bytes: float, milliseconds: float) -> None:
        """Take note of one transfer.

        Args:
            num_bytes: All that crossed the link, headers included where they are known.
            milliseconds: Time on the link alone: without the server's work and without the round trip.

        Raises:
            ValueError: A negative or infinite value, or one that is not a number.
        """
        for name, value in (("num_bytes", num_bytes), ("milliseconds", milliseconds)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a finite number, 0 or more, found {value!r}")
        num_bytes, milliseconds = float(num_bytes), float(milliseconds)  # NumPy's are no Python numbers
        if num_bytes < self._min_bytes:
            return
        rate = _mbps(num_bytes, max(milliseconds, self._min_ms))
        if (
            milliseconds < self._min_ms
            and self._counted_at is not None
            and rate <= _mbps(self._bytes, self._ms)
        ):
            return
        self._count(num_bytes, max(milliseconds, self._min_ms), rate)

    def _count(self, num_bytes: float, milliseconds: float, rate: float) -> None:
        now = self._clock()
        keep = 0.0
        if self._counted_at is not None:
            direction = _direction(rate, _mbps(self._bytes, self._ms))
            if direction == 0 or direction != self._last_direction:
                keep = 0.5 ** (1 + max(0.0, now - self._counted_at) / self._half_life_s)
            self._last_direction = direction
        self._bytes = keep * self._bytes + num_bytes
        self._ms = keep * self._ms + milliseconds
        self._counted_at = now


def _mbps(num_bytes: float, milliseconds: float) -> float:
    return num_bytes * 8 / 1000 / milliseconds


def _direction(rate: float, estimate: float) -> int:
    """1 or -1 if `rate` is far above or below `estimate`, 0 if it is about the same."""
    return (rate > 1.5 * estimate) - (rate < estimate / 1.5)
