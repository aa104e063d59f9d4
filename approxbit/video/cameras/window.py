"""Windows of a camera, and what became of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A clip of a camera.

    Attributes:
        camera: Its name.
        frames: RGB, uint8, `[time, size, size, 3]`.
        captured_s: When the last frame was captured, on the device's clock (`time.monotonic`): the answer's
            latency counts from here.
        stream: Number of the unbroken stream of frames that it lies in, from 0.
        start_frame: Number of its first frame in that stream.
        shift_frames: How many frames after the window that was handed out before it starts, for
            `EdgeSession.answer`; as many as it has where the two do not overlap.
    """

    camera: str
    frames: np.ndarray
    captured_s: float
    stream: int
    start_frame: int
    shift_frames: int


@dataclass(frozen=True)
class Dropped:
    """Windows that nobody was given, by cause.

    Attributes:
        too_late: A newer one was complete before it was asked for.
        gap: Cut off because the camera's clock jumped, or frames were missing.
        reconnect: Cut off because the camera was lost.
        damage: Cut off because what came could not be decoded.
    """

    too_late: int = 0
    gap: int = 0
    reconnect: int = 0
    damage: int = 0


@dataclass(frozen=True)
class CameraCounts:
    """What became of the frames and windows of a camera.

    `made` is always `answered` + `dropped.too_late` + 1 if a window waits to be asked for. Windows that were
    cut off have some of their frames and are not in `made`.

    Attributes:
        frames: At the model's frame rate, those that were repeated included.
        made: Windows that were complete.
        answered: Windows that were handed to the caller.
        dropped: Windows that were not.
        connections: How often the camera was reached and gave a frame.
        processes: How many processes the camera has used; more than one if some died or were silent.
    """

    frames: int = 0
    made: int = 0
    answered: int = 0
    dropped: Dropped = field(default_factory=Dropped)
    connections: int = 0
    processes: int = 0


class Sliding:
    """Counts the frames of a stream into windows.

    Args:
        num_frames: Of a window.
        stride: Frames from the start of a window to that of the next.

    Example:
        >>> sliding = Sliding(num_frames=4, stride=2)
        >>> [sliding.add() for _ in range(7)], sliding.num_open
        ([None, None, None, 0, None, 2, None], 2)
    """

    def __init__(self, num_frames: int, stride: int):
        self._num_frames = num_frames
        self._stride = stride
        self.num_seen = 0

    def add(self) -> int | None:
        """One more frame; returns where the window starts that it completes, if it completes one."""
        self.num_seen += 1
        start = self.num_seen - self._num_frames
        return start if start >= 0 and start % self._stride == 0 else None

    @property
    def num_open(self) -> int:
        """How many windows have begun and are not complete."""
        begun = -(-self.num_seen // self._stride)
        return begun - max(0, (self.num_seen - self._num_frames) // self._stride + 1)
