"""What a camera's process is told, and what it says: lines of JSON; the frames go through shared memory."""

from dataclasses import dataclass, field
from typing import Dict, Optional

from approxbit.video.cameras.policy import CameraPolicy

CUTS = ("gap", "reconnect", "damage")
"""Why a frame may not follow the one before it."""


@dataclass(frozen=True)
class Settings:
    """What the process of a camera is told, in its first order.

    Attributes:
        source: As `kind_of` takes it.
        size: Height and width of its frames.
        frame_rate: Frames per second of the model.
        policy: How long to wait for what.
        ring_frames: How many frames the shared memory holds.
        options: FFmpeg's, for opening the source.
        descriptor: Of the memory.
    """

    source: str
    size: int
    frame_rate: float
    policy: CameraPolicy
    ring_frames: int
    options: Dict[str, str] = field(default_factory=dict)
    descriptor: int = -1


@dataclass(frozen=True)
class Message:
    """What the process says; with nothing in it, that it lives.

    Attributes:
        connected: The camera gives frames: the first one comes next.
        frame: Number of one that is in the ring.
        captured_s: When that was captured, on the device's clock.
        cut: One of `CUTS`: the next frame does not follow the last one.
        reason: Of the cut, for people.
    """

    connected: bool = False
    frame: Optional[int] = None
    captured_s: float = 0.0
    cut: str = ""
    reason: str = ""
