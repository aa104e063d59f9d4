"""When each frame is shown, in seconds since the first one, whatever the stamps of a file say.

The stamps of real files are missing (raw streams, packets before time 0), in the order of decoding (AVI knows
no other), start again (recordings that were joined), or wrap around (the 33 bits of MPEG streams, after 26.5
hours). Numpy only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NO_TIME = int(np.iinfo(np.int64).min)
MAX_FRAME_RATE = 1000.0

_LONGEST_STEP_S = 10.0
"""A clock that may start again (MPEG streams) and leaps further than this has done so."""

_DEEPEST_REORDER = 32
"""Frames that are decoded before one that is shown earlier; no codec allows as many."""


class Clock(NamedTuple):
    """The units of a stream's stamps."""

    time_base: float
    """Seconds."""
    wrap_bits: int = 0
    """After how many bits it starts again; 0 for never. Only such clocks are expected to leap."""


class Placed(NamedTuple):
    """Packets, or frames, on one line of time."""

    ticks: np.ndarray
    """int64, when each is shown; first and later recordings follow each other."""
    joints: np.ndarray
    """The packets with which the clock starts again."""


def place(pts: np.ndarray, dts: np.ndarray, clock: Clock) -> Placed | None:
    """Put packets in their place in time; None if the file has no stamps at all.

    Args:
        pts: Stamps of showing, int64 `[packet]`, in the order of decoding; NO_TIME where missing.
        dts: Stamps of decoding, likewise.
        clock: Their units.
    """
    has_pts, has_dts = pts != NO_TIME, dts != NO_TIME
    if not (has_pts | has_dts).any():
        return None
    by_dts = bool(has_dts.all())
    steady = _filled(dts if by_dts else np.where(has_pts, pts, dts))
    shown = _filled(np.where(has_pts, pts, _shown_of(dts, pts)))
    steps = _wrapped(np.diff(steady), clock.wrap_bits)
    usual = _usual_step(steps if by_dts else np.diff(np.sort(steady[:_DEEPEST_REORDER])))
    slack = 2 * usual if by_dts else _DEEPEST_REORDER * usual
    line = np.concatenate([[0], np.cumsum(steps)])
    joints = _joints(line, steps, slack, _LONGEST_STEP_S / clock.time_base if clock.wrap_bits else np.inf)
    offset = _wrapped(shown - steady, clock.wrap_bits)
    ticks = line + offset
    end = None
    for first, last in zip([0, *joints], [*joints, len(ticks)]):
        part = ticks[first:last]
        if end is not None:
            part += end + usual - part.min()
        end = part.max()
    return Placed(ticks, np.array(joints, np.int64))


def period_of(times_s: np.ndarray) -> float | None:
    """Mean seconds from one frame to the next; None if they cannot be those of a video."""
    num_steps = len(times_s) - 1
    span = float(times_s[-1] - times_s[0]) if num_steps > 0 else 0.0
    return span / num_steps if span > 0 and span * MAX_FRAME_RATE >= num_steps else None


def _shown_of(dts: np.ndarray, pts: np.ndarray) -> np.ndarray:
    """A guess at missing stamps of showing: as late after decoding as the others."""
    both = (pts != NO_TIME) & (dts != NO_TIME)
    delay = int(np.median(pts[both] - dts[both])) if both.any() else 0
    return np.where(dts == NO_TIME, NO_TIME, np.where(dts == NO_TIME, 0, dts) + delay)


def _filled(stamps: np.ndarray) -> np.ndarray:
    """Missing stamps continued from the one before, or back from the first one, by the usual step."""
    known = np.flatnonzero(stamps != NO_TIME)
    if len(known) in (0, len(stamps)):
        return stamps
    usual = _usual_step(np.diff(np.sort(stamps[known][:_DEEPEST_REORDER])))
    numbers = np.arange(len(stamps))
    before = known[np.maximum(np.searchsorted(known, numbers, side="right") - 1, 0)]
    filled: np.ndarray = stamps[before] + (numbers - before) * usual
    lead = known[0]
    filled[:lead] = stamps[known].min() - usual * np.arange(lead, 0, -1)
    return filled


def _usual_step(steps: np.ndarray) -> int:
    forward = steps[steps > 0]
    return max(int(np.median(forward)), 1) if len(forward) else 1


def _wrapped(difference: np.ndarray, bits: int) -> np.ndarray:
    """The smallest difference between two readings of a clock that wraps."""
    if not bits:
        return difference
    half = 1 << (bits - 1)
    return (difference + half) % (2 * half) - half


def _joints(line: np.ndarray, steps: np.ndarray, slack: float, longest: float) -> list[int]:
    joints = set((np.flatnonzero(steps > longest) + 1).tolist())
    first = 0
    while True:
        behind = np.flatnonzero(line[first:] < np.maximum.accumulate(line[first:]) - slack)
        if not len(behind):
            return sorted(joints)
        first += int(behind[0])
        joints.add(first)
