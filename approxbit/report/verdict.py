"""Which arm won at which bandwidth, as it was measured, and one sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from approxbit.report.records import AskedRecord
from approxbit.select import LUT


@dataclass(frozen=True)
class Standing:
    """What was measured of one arm at one bandwidth.

    Attributes:
        bandwidth_mbps: Of the link, on average.
        arm: As in the LUT.
        latency_ms: Median over its clips, with their questions.
        num_clips: How many there were.
        score: Of the arm in the LUT, percent.
        is_good_enough: Whether that reaches the floor of the run.
    """

    bandwidth_mbps: float
    arm: str
    latency_ms: float
    num_clips: int
    score: float
    is_good_enough: bool


def stand(records: Sequence[AskedRecord], lut: LUT, floor: float) -> list[Standing]:
    """Every arm at every bandwidth, in the order of the run, then the fastest first.

    Clips that the device answered because the server was away are left out: no link was part of them.

    Args:
        records: Of a run.
        lut: Scores of all arms.
        floor: The least score that counts as good enough, percent.
    """
    found: dict[tuple[float, str], list[float]] = {}
    for record in records:
        if record.is_answered and not record.fell_back:
            found.setdefault((record.true_mbps, record.arm), []).append(record.latency_ms)
    order = list(dict.fromkeys(record.true_mbps for record in records))
    standings = [
        Standing(mbps, arm, median(times), len(times), lut.row(arm).accuracy, lut.row(arm).accuracy >= floor)
        for (mbps, arm), times in found.items()
    ]
    return sorted(standings, key=lambda each: (order.index(each.bandwidth_mbps), each.latency_ms))


def winners(standings: Sequence[Standing]) -> list[Standing]:
    """The fastest arm that is good enough, for each bandwidth that has one."""
    best: dict[float, Standing] = {}
    for each in standings:
        if each.is_good_enough:
            best.setdefault(each.bandwidth_mbps, each)
    return list(best.values())


def conclude(standings: Sequence[Standing], lut: LUT, floor: float) -> str:
    """One honest sentence: the winner at each bandwidth, and where codes stand.

    Args:
        standings: As `stand` gives them.
        lut: Scores of all arms.
        floor: As for `stand`.
    """
    won = winners(standings)
    if not won:
        return f"No arm that scores at least {floor:.1f} % answered anything."
    parts = [f"at {each.bandwidth_mbps:g} Mbps {each.arm} ({each.latency_ms:.0f} ms)" for each in won]
    text = f"Fastest of the arms that score at least {floor:.1f} %: {', '.join(parts)}; "
    return text + _say_of_codes(standings, won, lut, floor)


def _say_of_codes(standings: Sequence[Standing], won: Sequence[Standing], lut: LUT, floor: float) -> str:
    codes = [row for row in lut.rows if row.configuration is not None]
    if not codes:
        return "this family has no codes yet."
    names = {row.arm for row in codes}
    wins = [f"{each.bandwidth_mbps:g}" for each in won if each.arm in names]
    if wins:
        return f"codes win at {' and '.join(wins)} Mbps."
    best = max(codes, key=lambda row: row.accuracy)
    if best.accuracy < floor:
        has = f"the best, {best.arm}, has {best.accuracy:.1f} %"
        return f"codes win nowhere, as none scores that much ({has})."
    ran = [each for each in standings if each.arm in names and each.is_good_enough]
    if not ran:
        return "no code had its turn."
    fastest = min(ran, key=lambda each: each.latency_ms)
    return (
        f"codes win nowhere: the fastest, {fastest.arm}, took {fastest.latency_ms:.0f} ms "
        f"at {fastest.bandwidth_mbps:g} Mbps."
    )
