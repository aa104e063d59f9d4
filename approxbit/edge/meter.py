"""What the link is like at the moment: bandwidth and round trip, from own transfers and short probes."""

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Tuple

from approxbit.edge.transport import Transport
from approxbit.link import BandwidthEstimator

NUM_ROUND_TRIPS = 8
NUM_FIRST_PINGS = 3  # the first one also pays for the connection
TOLERANCE = 1.25  # a probe that is later than expected by this factor is repeated


@dataclass(frozen=True)
class ProbePolicy:
    """When and how the link is probed.

    Attributes:
        every_s: Age at which the estimate is stale. Codes of a few hundred bytes say little about the
            bandwidth, so a session that sends only those probes this often.
        first_bytes: Size of the first probe.
        longest_bytes: Size that no probe exceeds.
        telling_ms: A probe that takes less says little; the next one is then four times as long.
        late_ms: By how much an own packet must be late to put the estimate in doubt.
        timeout_s: For each ping and each probe.

    Raises:
        ValueError: A value is not above 0, or `first_bytes` is above `longest_bytes`.
    """

    every_s: float = 1.0
    first_bytes: int = 4096
    longest_bytes: int = 65536
    telling_ms: float = 10.0
    late_ms: float = 5.0
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, found {value!r}")
        if self.first_bytes > self.longest_bytes:
            raise ValueError(
                f"first_bytes must be at most longest_bytes={self.longest_bytes}, found {self.first_bytes}"
            )


@dataclass(frozen=True)
class Probing:
    """What one look at the link cost; all 0 when the estimate was fresh.

    Attributes:
        num_bytes: Sent in probes.
        total_ms: Pings and probes together.
    """

    num_bytes: int = 0
    total_ms: float = 0.0


class LinkMeter:
    """Keeps an estimator fed, and knows when it needs more.

    Args:
        transport: Whose link is measured.
        estimator: Where the bandwidth comes together.
        policy: When to probe, and how.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        transport: Transport,
        estimator: BandwidthEstimator,
        policy: ProbePolicy,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._transport = transport
        self._estimator = estimator
        self._policy = policy
        self._clock = clock
        self._round_trips_ms: Deque[float] = deque(maxlen=NUM_ROUND_TRIPS)
        self._fresh_at = -math.inf

    @property
    def bandwidth_mbps(self) -> float:
        """The estimate; 0 before anything was measured."""
        return self._estimator.bandwidth_mbps or 0.0

    @property
    def round_trip_ms(self) -> float:
        """The shortest of the last pings: what is above it was waiting, not distance."""
        return min(self._round_trips_ms, default=0.0)

    @property
    def is_stale(self) -> bool:
        """Whether the estimate is too old, doubtful, or from before an outage."""
        return self._clock() - self._fresh_at > self._policy.every_s

    def forget(self) -> None:
        """Take the link for another one, as after an outage."""
        self._fresh_at = -math.inf
        self._round_trips_ms.clear()

    def refresh(self) -> Probing:
        """Ping, then probe with growing sizes until one takes long enough to tell; the late ones twice.

        Raises:
            LinkError: The server could not be reached.
        """
        start = self._clock()
        for _ in range(1 if self._round_trips_ms else NUM_FIRST_PINGS):
            self._round_trips_ms.append(self._transport.ping(self._policy.timeout_s))
        num_bytes, size = 0, self._policy.first_bytes
        while True:
            num_probes, transfer_ms = self._measure(size)
            num_bytes += num_probes * size
            if transfer_ms >= self._policy.telling_ms or size >= self._policy.longest_bytes:
                break
            size = min(4 * size, self._policy.longest_bytes)
        self._estimator.observe(size, transfer_ms)
        self._fresh_at = self._clock()
        return Probing(num_bytes, 1000 * (self._fresh_at - start))

    def _measure(self, size: int) -> Tuple[int, float]:
        """How many probes, and the quicker one's transfer. A busy machine only ever adds to a time."""
        expected_ms = self._expected_ms(size) if self.bandwidth_mbps else 0.0
        first_ms = self._probe(size)
        if first_ms <= TOLERANCE * expected_ms:
            return 1, first_ms
        return 2, min(first_ms, self._probe(size))

    def _probe(self, size: int) -> float:
        return self._transfer_ms(self._transport.probe(size, self._policy.timeout_s))

    def observe(self, num_bytes: int, link_ms: float) -> None:
        """Take note of an own transfer.

        A small one that is slow may have met a small bandwidth, or a busy machine: it does not change the
        estimate, it makes it stale. A small one that is quick shows what the link carries at least.

        Args:
            num_bytes: Of the whole packet.
            link_ms: The call without the server's own time, round trip included.
        """
        transfer_ms = self._transfer_ms(link_ms)
        expected_ms = self._expected_ms(num_bytes)
        is_large = 4 * num_bytes >= self._policy.longest_bytes
        is_quick = num_bytes >= self._policy.first_bytes and transfer_ms <= expected_ms
        if is_large or is_quick:
            self._estimator.observe(num_bytes, transfer_ms)
            self._fresh_at = self._clock()
        elif transfer_ms > expected_ms + self._policy.late_ms:
            self._fresh_at = -math.inf

    def _transfer_ms(self, link_ms: float) -> float:
        return max(0.0, link_ms - self.round_trip_ms)

    def _expected_ms(self, num_bytes: int) -> float:
        return 8 * num_bytes / 1000 / self.bandwidth_mbps if self.bandwidth_mbps else math.inf
