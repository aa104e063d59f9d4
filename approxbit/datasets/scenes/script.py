"""What happens in a scene, as data: everything that its frames show and its questions ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
BACKGROUNDS = ("plain", "striped", "checked", "cloudy", "dotted")
ACTIONS = (
    "stands still",
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "grows",
    "shrinks",
    "turns clockwise",
    "turns counterclockwise",
    "appears",
    "disappears",
    "bounces",
    "moves away and back",
    "hides",
)
STANDS, HIDES, BOUNCES = "stands still", "hides", "bounces"
TRAVELS = frozenset(
    ("moves left", "moves right", "moves up", "moves down", BOUNCES, "moves away and back", HIDES)
)
"""Actions that change the place of a digit."""

Curve = tuple[float, ...]
"""A value for each frame."""


@dataclass(frozen=True)
class Actor:
    """One digit of a scene.

    Coordinates are fractions of the picture, (0, 0) is its top left corner; time runs from 0 at the first
    frame to 1 at the last.

    Attributes:
        value: What it shows, 0 to 9.
        colour: One of `COLOURS`.
        image: Which handwritten digit of scikit-learn's it is.
        action: One of `ACTIONS`.
        start: When the action begins.
        end: When it is over.
        bounces: How often it is thrown back by the border.
        behind: Index of the digit behind which it hides, -1 where it does not hide.
        x, y: Of its centre.
        scale: Height of its square.
        angle: In radians, clockwise.
        opacity: 0 where it is not there.
    """

    value: int
    colour: str
    image: int
    action: str
    start: float
    end: float
    bounces: int
    behind: int
    x: Curve
    y: Curve
    scale: Curve
    angle: Curve
    opacity: Curve

    @property
    def name(self) -> str:
        """Its digit in a word, such as `seven`."""
        return DIGITS[self.value]


@dataclass(frozen=True)
class Script:
    """One scene. Its digits differ in value and in colour, so that either names one of them.

    Attributes:
        split: Of the data set.
        index: In the split.
        num_frames: Of all curves.
        background: One of `BACKGROUNDS`.
        actors: The digits, from back to front.
        camera_x, camera_y: How far the camera has moved, as fractions of the picture.
    """

    split: str
    index: int
    num_frames: int
    background: str
    actors: tuple[Actor, ...]
    camera_x: Curve
    camera_y: Curve

    def frame_at(self, time: float) -> int:
        """The frame nearest to a time from 0 to 1."""
        return round(time * (self.num_frames - 1))

    def is_seen(self, actor: int, frame: int) -> bool:
        """Whether a digit is there at a frame and not hidden behind another."""
        found = self.actors[actor]
        is_hidden = found.behind >= 0 and frame >= self.frame_at(found.end)
        return found.opacity[frame] > 0.5 and not is_hidden

    def seen(self, frame: int) -> list[int]:
        """Indices of the digits that are seen at a frame."""
        return [actor for actor in range(len(self.actors)) if self.is_seen(actor, frame)]

    def place(self, actor: int, frame: int) -> tuple[float, float]:
        """Where the picture shows the centre of a digit, the way of the camera included."""
        found = self.actors[actor]
        return found.x[frame] - self.camera_x[frame], found.y[frame] - self.camera_y[frame]


def curve(values: Sequence[float] | NDArray[np.float64]) -> Curve:
    """Numbers of a script: four digits after the point say all that a picture can show."""
    return tuple(round(float(value), 4) for value in values)
