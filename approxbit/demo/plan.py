"""What the demo does when: who is compared with whom, and how long each bandwidth lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from approxbit.link import Trace
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, AccuracySLA, LUTRow, latency_ms, select

SEGMENTS_MBPS = (50.0, 3.0, 6.0)
TOLERANCE = 1.0
"""Points of score below the whole model that still count as good enough."""

PAUSES = 1.3
"""A turn takes this much longer than its arm: videos are read and questions drawn."""

SHORTEST_S, LONGEST_S = 4.0, 32.0
"""Of a segment: three of the longest ones, and what is around them, are three minutes."""


@dataclass(frozen=True)
class Plan:
    """The course of the demo.

    Attributes:
        floor: The score that is good enough, percent: that of the best arm less `TOLERANCE`.
        contenders: Arms that have their turn beside the selector's choice.
        segment_s: Seconds for each bandwidth.
        trace: The bandwidths, with the fluctuation of Fig. 9 of APPROXBIT.
    """

    floor: float
    contenders: tuple[str, ...]
    segment_s: float
    trace: Trace

    @property
    def sla(self) -> AccuracySLA:
        """What the selector is asked for."""
        return AccuracySLA(self.floor)

    def bandwidth_at(self, second: float) -> float:
        """Of the segment that a second lies in, on average."""
        return SEGMENTS_MBPS[min(int(second / self.segment_s), len(SEGMENTS_MBPS) - 1)]


def make_plan(lut: LUT, rounds: int, seed: int = 0) -> Plan:
    """The course of the demo for the device of a LUT.

    Args:
        lut: Timed on this device, as slow as it is, with this server.
        rounds: How often every contender shall have its turn at each bandwidth, about, at least 1.
        seed: Of the link's fluctuation.

    Raises:
        ValueError: `rounds` is below 1.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, found {rounds}")
    floor = max(0.0, round(max(row.accuracy for row in lut.rows) - TOLERANCE, 1))
    contenders = find_contenders(lut, floor)
    slowest = max(_round_ms(lut, contenders, mbps) for mbps in SEGMENTS_MBPS) / 1000
    segment_s = min(LONGEST_S, max(SHORTEST_S, rounds * slowest))
    trace = Trace.figure9(segment_s=segment_s, seed=seed, repeats=1)
    return Plan(floor, contenders, segment_s, trace)


KINDS: tuple[Callable[[LUTRow], bool], ...] = (
    lambda row: row.configuration is not None,
    lambda row: row.arm == EDGE_ONLY,
    lambda row: row.arm == SERVER_ONLY,
    lambda row: row.configuration is None and row.arm not in (EDGE_ONLY, SERVER_ONLY),
)
"""Codes, the device alone, the raw clip, and compressed video or whatever else there is."""


def find_contenders(lut: LUT, floor: float) -> tuple[str, ...]:
    """The best arm of each kind: what a selector would choose at 3 Mbps if there were no other kinds.

    Example:
        >>> rows = (LUTRow("edge-only", 400, 9, 0, 0, 0, 90), LUTRow("8-Enc-L1", 90, 9, 40, 9, 40, 80))
        >>> lut = LUT((*rows, LUTRow("4-Enc-L1", 80, 9, 20, 9, 40, 60)), "", "", "2026-01-01", 1)
        >>> find_contenders(lut, floor=89)
        ('8-Enc-L1', 'edge-only')
    """
    found = []
    for is_of_kind in KINDS:
        rows = tuple(row for row in lut.rows if is_of_kind(row))
        if rows:
            found.append(select(replace(lut, rows=rows), min(SEGMENTS_MBPS), AccuracySLA(floor)).arm)
    return tuple(found)


def _round_ms(lut: LUT, contenders: tuple[str, ...], mbps: float) -> float:
    """One turn of every contender, the selector's choice among them, and pauses between them."""
    return PAUSES * sum(latency_ms(lut.row(name), mbps) for name in contenders)
