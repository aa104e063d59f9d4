"""What comes from a camera, whatever reads it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Picture(NamedTuple):
    """One decoded picture.

    Attributes:
        frame: As PyAV has it, of any size and format.
        time_s: When it was captured, on the camera's clock.
        arrived_s: When it came, on the device's (`time.monotonic`).
    """

    frame: Any
    time_s: float
    arrived_s: float


class Reading(NamedTuple):
    """What one packet brought: any number of pictures, and what was wrong with it."""

    pictures: tuple[Picture, ...] = ()
    damage: str = ""
