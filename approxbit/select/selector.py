"""Which arm serves the next clip best: Eq. 1 and Eq. 2 of APPROXBIT over a LUT."""

import math
from dataclasses import dataclass
from typing import List, Tuple

from approxbit.select.lut import LUT, LUTRow, latency_ms
from approxbit.select.sla import SLA, LatencySLA

# One arm under one bandwidth: (latency in ms, row).
_Candidate = Tuple[float, LUTRow]


@dataclass(frozen=True)
class Choice:
    """The arm to use, what it is expected to take, and whether that keeps the SLA.

    Attributes:
        row: The chosen row.
        latency_ms: Its latency by Eq. 1; infinite when the link is down and nothing runs without it.
        meets_sla: False when no arm can keep the SLA and `row` is only the closest one.
    """

    row: LUTRow
    latency_ms: float
    meets_sla: bool

    @property
    def arm(self) -> str:
        """The chosen row's arm."""
        return self.row.arm


def select(lut: LUT, bandwidth_mbps: float, sla: SLA, round_trip_ms: float = 0.0) -> Choice:
    """The arm that serves `sla` best on the link as it is (Eq. 2, APPROXBIT).

    A latency bound gives the most accurate arm within it, an accuracy floor the fastest arm above it. Of
    equal ones the other figure decides (latency, or accuracy), then fewer bytes, then the arm's name.

    An SLA that cannot be kept is no error. For a latency bound the closest arm is the fastest; for an
    accuracy floor it is the most accurate one that can be reached. With the link down and no `edge-only` in
    the LUT nothing can be reached; then the closest is the arm with the fewest bytes, the first to get
    through when the link is back, and its latency is infinite.

    Args:
        lut: The measured arms.
        bandwidth_mbps: Of the uplink now; 0 when it is down, infinity allowed.
        sla: What the user asks for.
        round_trip_ms: Of the link, added to every arm that needs it.

    Raises:
        ValueError: A negative bandwidth or round trip, or one that is not a number.
    """
    candidates = _candidates(lut, bandwidth_mbps, round_trip_ms)
    reachable = [candidate for candidate in candidates if candidate[0] < math.inf]
    if not reachable:
        latency, row = min(candidates, key=_lightest)
        return Choice(row, latency, meets_sla=False)
    feasible = [(latency, row) for latency, row in reachable if sla.is_met_by(latency, row.accuracy)]
    # Best and closest swap the two figures: under a bound that cannot be kept only speed helps.
    seeks_accuracy = isinstance(sla, LatencySLA) == bool(feasible)
    latency, row = min(feasible or reachable, key=_most_accurate if seeks_accuracy else _fastest)
    return Choice(row, latency, meets_sla=bool(feasible))


def pareto(lut: LUT, bandwidth_mbps: float, round_trip_ms: float = 0.0) -> Tuple[LUTRow, ...]:
    """The arms that no other arm beats, fastest first.

    An arm is beaten when another one is at least as fast and at least as accurate, and better in one of the
    two. Arms that need a link that is down are left out.

    Raises:
        ValueError: A negative bandwidth or round trip, or one that is not a number.
    """
    front: List[_Candidate] = []
    for latency, row in sorted(_candidates(lut, bandwidth_mbps, round_trip_ms), key=_fastest):
        is_twin = bool(front) and (latency, row.accuracy) == (front[-1][0], front[-1][1].accuracy)
        is_better = not front or row.accuracy > front[-1][1].accuracy
        if latency < math.inf and (is_better or is_twin):
            front.append((latency, row))
    return tuple(row for _, row in front)


def _candidates(lut: LUT, bandwidth_mbps: float, round_trip_ms: float) -> List[_Candidate]:
    return [(latency_ms(row, bandwidth_mbps, round_trip_ms), row) for row in lut.rows]


def _fastest(candidate: _Candidate) -> Tuple[float, float, float, str]:
    latency, row = candidate
    return latency, -row.accuracy, row.payload_bytes, row.arm


def _most_accurate(candidate: _Candidate) -> Tuple[float, float, float, str]:
    latency, row = candidate
    return -row.accuracy, latency, row.payload_bytes, row.arm


def _lightest(candidate: _Candidate) -> Tuple[float, float, str]:
    _, row = candidate
    return row.payload_bytes, -row.accuracy, row.arm
