"""The figures that sum up a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from approxbit.report.records import ClipRecord


@dataclass(frozen=True)
class Accuracy:
    """Top-1 on some clips, in percent.

    Attributes:
        num_clips: How many there are; with none, the percentages are 0.
        answered: Of the answers that were given.
        unsplit: Of the unsplit model on the same clips.
        agreement: How often the two are equal.
    """

    num_clips: int
    answered: float
    unsplit: float
    agreement: float

    @classmethod
    def of(cls, records: Sequence[ClipRecord]) -> Accuracy:
        """The accuracy on the clips of some records."""
        return cls(
            len(records),
            _percent(record.is_right for record in records),
            _percent(record.unsplit_is_right for record in records),
            _percent(record.agrees for record in records),
        )


@dataclass(frozen=True)
class Phase:
    """Consecutive clips under one SLA.

    Attributes:
        sla: As text.
        start_s: When its first clip was sent.
        num_clips: How many there are.
        num_hits: On how many the SLA was kept.
        num_infeasible: On how many no arm was expected to keep it.
    """

    sla: str
    start_s: float
    num_clips: int
    num_hits: int
    num_infeasible: int


@dataclass(frozen=True)
class Summary:
    """What a run comes to.

    Attributes:
        total: Accuracy over all clips.
        codes: Accuracy over the clips that were answered through a code.
        code_bytes: Mean payload of these clips.
        code_feature_bytes: Mean size of their features as float32.
        payload_bytes: Mean payload of all clips, whatever the arm.
        raw_bytes: The clip's frames as uint8, what `server-only` sends.
        file_bytes: Mean size of the video files.
        latency_p50_ms: Median over all clips.
        latency_p95_ms: 95th percentile.
        phases: Consecutive clips under one SLA.
        arms: Arm -> number of clips, most used first.
        num_fallbacks: Clips that the device answered because the server did not.
        probe_bytes: Sent in total to measure the link.
        wall_s: Seconds of the whole run, set-up included.
    """

    total: Accuracy
    codes: Accuracy
    code_bytes: float
    code_feature_bytes: float
    payload_bytes: float
    raw_bytes: int
    file_bytes: float
    latency_p50_ms: float
    latency_p95_ms: float
    phases: tuple[Phase, ...]
    arms: dict[str, int]
    num_fallbacks: int
    probe_bytes: int
    wall_s: float

    @property
    def num_hits(self) -> int:
        """Clips whose SLA was kept."""
        return sum(phase.num_hits for phase in self.phases)

    @property
    def num_infeasible(self) -> int:
        """Clips whose SLA no arm was expected to keep."""
        return sum(phase.num_infeasible for phase in self.phases)


def summarise(records: Sequence[ClipRecord], raw_bytes: int, wall_s: float) -> Summary:
    """The summary of a run.

    Args:
        records: In the order of their time, at least one.
        raw_bytes: The clip's frames as uint8.
        wall_s: Seconds of the whole run.

    Raises:
        ValueError: There are no records.
    """
    if not records:
        raise ValueError("a summary needs at least one clip, found none")
    codes = [record for record in records if record.is_code]
    latencies = [record.latency_ms for record in records]
    arms = [record.arm for record in records]
    return Summary(
        total=Accuracy.of(records),
        codes=Accuracy.of(codes),
        code_bytes=_mean(record.payload_bytes for record in codes),
        code_feature_bytes=_mean(record.feature_bytes for record in codes),
        payload_bytes=_mean(record.payload_bytes for record in records),
        raw_bytes=raw_bytes,
        file_bytes=_mean(record.file_bytes for record in records),
        latency_p50_ms=float(np.percentile(latencies, 50)),
        latency_p95_ms=float(np.percentile(latencies, 95)),
        phases=_phases(records),
        arms={arm: arms.count(arm) for arm in sorted(set(arms), key=lambda arm: (-arms.count(arm), arm))},
        num_fallbacks=sum(record.fell_back for record in records),
        probe_bytes=sum(record.probe_bytes for record in records),
        wall_s=wall_s,
    )


def _phases(records: Sequence[ClipRecord]) -> tuple[Phase, ...]:
    groups = [(sla, list(group)) for sla, group in groupby(records, key=lambda record: record.sla)]
    return tuple(
        Phase(
            sla,
            group[0].second,
            len(group),
            sum(record.meets_sla for record in group),
            sum(not record.sla_is_feasible for record in group),
        )
        for sla, group in groups
    )


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def _percent(facts: Iterable[bool]) -> float:
    return 100 * _mean(facts)
