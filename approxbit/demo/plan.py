"""What the demo does when: segments of the trace, SLAs and pace, all derived from the LUT."""

from __future__ import annotations

import math
from dataclasses import dataclass

from approxbit.link import Trace
from approxbit.select import (
    LUT,
    SLA,
    AccuracySLA,
    LatencySLA,
    LUTRow,
    latency_ms,
    select,
)

SEGMENTS_MBPS = (50.0, 3.0, 6.0)
MIDDLE_MBPS = 6.0
NUM_SEGMENTS = 6
LONGEST_SEGMENT_S = 20.0
"""Six of them are two minutes: a slower device answers fewer clips, the demo does not get longer."""

HEADROOM = 1.3
"""A clip may take this much longer than expected before it misses an SLA, or the next one is late."""

SHORTEST_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Plan:
    """The course of the demo.

    Attributes:
        trace: 50, 3 and 6 Mbps, twice, as in Fig. 9 of APPROXBIT.
        segment_s: Seconds for each of the six.
        interval_s: A clip comes in every so often.
        phases: (start in seconds, SLA) in turn.
    """

    trace: Trace
    segment_s: float
    interval_s: float
    phases: tuple[tuple[float, SLA], ...]

    @property
    def duration_s(self) -> float:
        """Seconds of the whole trace."""
        return NUM_SEGMENTS * self.segment_s

    @property
    def num_clips(self) -> int:
        """How many clips come in, if none is late."""
        return math.ceil(self.duration_s / self.interval_s)


def make_plan(lut: LUT, clips_per_segment: int, seed: int = 0, pause_ms: float = 100.0) -> Plan:
    """The course of the demo for the device of a LUT.

    As in Fig. 9, the first three segments are under a latency SLA and the last three under an accuracy SLA,
    and each of them changes in the middle of its second segment.

    Args:
        lut: Of the device as it is emulated.
        clips_per_segment: How many clips a segment shall have.
        seed: Of the trace's fluctuation.
        pause_ms: What a clip costs beside its latency: decoding the file, probing, the unsplit model.

    Raises:
        ValueError: `clips_per_segment` is below 1, or the LUT has no configuration.
    """
    if clips_per_segment < 1:
        raise ValueError(f"clips_per_segment must be at least 1, found {clips_per_segment}")
    latency_slas, accuracy_slas = latency_bounds(lut), accuracy_floors(lut)
    slas: tuple[SLA, ...] = (*latency_slas, *accuracy_slas)
    longest_ms = max(select(lut, mbps, sla).latency_ms for mbps in SEGMENTS_MBPS for sla in slas)
    interval_s = max(SHORTEST_INTERVAL_S, (HEADROOM * longest_ms + pause_ms) / 1000)
    segment_s = min(LONGEST_SEGMENT_S, clips_per_segment * interval_s)
    phases = tuple((index * 1.5 * segment_s, sla) for index, sla in enumerate(slas))
    return Plan(Trace.figure9(segment_s=segment_s, seed=seed), segment_s, interval_s, phases)


def latency_bounds(lut: LUT) -> tuple[LatencySLA, LatencySLA]:
    """A tight and a looser latency bound: `HEADROOM` times the fastest and the most accurate configuration.

    Both are taken at 6 Mbps, the middle bandwidth. The paper does not say how it came to its 300 and 500 ms.

    Raises:
        ValueError: The LUT has no configuration.
    """
    rows = _codes(lut)
    fastest_ms = min(latency_ms(row, MIDDLE_MBPS) for row in rows)
    _, best_ms = max((row.accuracy, -latency_ms(row, MIDDLE_MBPS)) for row in rows)
    return LatencySLA(_rounded(HEADROOM * fastest_ms)), LatencySLA(_rounded(-HEADROOM * best_ms))


def accuracy_floors(lut: LUT) -> tuple[AccuracySLA, AccuracySLA]:
    """A low and a high accuracy floor: 1/4 and 3/4 of the way from the worst to the best configuration.

    Raises:
        ValueError: The LUT has no configuration.
    """
    accuracies = [row.accuracy for row in _codes(lut)]
    lowest, span = min(accuracies), max(accuracies) - min(accuracies)
    return AccuracySLA(round(lowest + span / 4, 1)), AccuracySLA(round(lowest + 3 * span / 4, 1))


def _codes(lut: LUT) -> list[LUTRow]:
    rows = [row for row in lut.rows if row.configuration is not None]
    if not rows:
        raise ValueError(f"the LUT must have a configuration, found only {', '.join(lut.arms)}")
    return rows


def _rounded(milliseconds: float) -> float:
    return round(milliseconds) if milliseconds >= 20 else round(milliseconds, 1)
