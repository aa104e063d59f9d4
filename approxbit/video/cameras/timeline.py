"""Which frames of a camera the model sees, and when they were captured."""

from __future__ import annotations

import math
from typing import NamedTuple

_SLEW = 2e-4
"""How much slower than ours a camera's clock may run before that is a lag: crystals are ten times better."""

_EARLY = 0.3
"""By how much of its period a frame may come early and still be the next one of the model."""


class Place(NamedTuple):
    """Where a frame lies on a timeline.

    Attributes:
        num_frames: How many frames of the model have passed since the last one that was used: 0 leaves this
            frame out, above 1 the last one is repeated before it.
        captured_s: When it was captured, on the device's clock.
        jumped: Whether the camera's clock jumped before it, so that a new stream begins.
    """

    num_frames: int
    captured_s: float
    jumped: bool


class DeviceClock:
    """Translates a camera's clock into the device's.

    A frame comes later than it was captured: it waits in buffers. The one that came fastest tells the least
    offset between both clocks, and that is applied to all of them, so a frame that was kept waiting is as old
    as it is. The offset follows a camera's clock that is a little slow; one that is fast brings it down.
    """

    def __init__(self) -> None:
        self._offset_s = math.inf
        self._seen_s = 0.0

    def translate(self, time_s: float, arrived_s: float) -> float:
        """When a frame was captured, by the time on the camera's clock and that of its arrival on ours."""
        follows_s = self._offset_s + _SLEW * max(0.0, arrived_s - self._seen_s)
        self._offset_s, self._seen_s = min(arrived_s - time_s, follows_s), arrived_s
        return time_s + self._offset_s


class Timeline:
    """Samples the frames of one connection at the model's frame rate, by their times.

    The k-th frame of the model is the first one that lies 0.3 periods or less before k periods after the
    first. Nothing is believed about the camera's rate.

    Args:
        frame_rate: Frames per second of the model.
        max_gap_s: Between two frames; more is a jump, as is any way back of more than one period.

    Example:
        >>> timeline = Timeline(frame_rate=10, max_gap_s=1)
        >>> [timeline.place(time_s, 50 + time_s).num_frames for time_s in (0, 0.04, 0.08, 0.12, 0.4)]
        [1, 0, 1, 0, 3]
    """

    def __init__(self, frame_rate: float, max_gap_s: float):
        self._frame_rate = frame_rate
        self._max_gap_s = max_gap_s
        self._clock = DeviceClock()
        self._origin_s = self._last_s = math.nan
        self._num_frames = 0

    def place(self, time_s: float, arrived_s: float) -> Place:
        """Where the next frame lies.

        Args:
            time_s: On the camera's clock.
            arrived_s: On the device's.
        """
        moved_s = time_s - self._last_s
        jumped = not -1 / self._frame_rate <= moved_s <= self._max_gap_s  # and so is the first one
        if jumped:
            is_first = math.isnan(self._last_s)
            self._clock, self._origin_s, self._num_frames = DeviceClock(), time_s, 0
            jumped = not is_first
        elif moved_s <= 0:
            return Place(0, self._clock.translate(time_s, arrived_s), False)
        self._last_s = time_s
        captured_s = self._clock.translate(time_s, arrived_s)
        due = math.floor((time_s - self._origin_s) * self._frame_rate + _EARLY) + 1
        passed = max(0, due - self._num_frames)
        self._num_frames += passed
        return Place(passed, captured_s, jumped)
