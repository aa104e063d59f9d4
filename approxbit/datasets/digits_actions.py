"""The 24 actions of Digits-in-Motion: how the digits and the camera move.

Coordinates are fractions of the canvas (0, 0 is the top left corner), angles are radians, time runs from
0 to 1 over the clip. An action is a function that draws its own random details and returns a `Scene`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """Where one digit is, frame by frame; every curve has shape `[time]`."""

    x: Curve
    y: Curve
    scale: Curve
    angle: Curve
    opacity: Curve

    def covers(self, x: float, y: float) -> bool:
        """Whether the digit ever overlaps a digit of its own size that stands at (x, y)."""
        return bool(np.any(np.hypot(self.x - x, self.y - y) < self.scale.max() * 0.95))


@dataclass(frozen=True)
class Scene:
    """What happens in one clip: the tracks from back to front, and the way of the camera.

    `acting` says which track shows the acting digit. Tracks listed in `same_digit` show further images
    of the acting digit's value; all others show another value.
    """

    tracks: list[Track]
    acting: int = 0
    same_digit: tuple[int, ...] = ()
    camera_x: Curve | float = 0.0
    camera_y: Curve | float = 0.0
    may_have_distractor: bool = True


@dataclass
class Stage:
    """The random circumstances of one clip that all actions share."""

    rng: np.random.Generator
    num_frames: int
    time: Curve = field(init=False)
    progress: Curve = field(init=False)

    def __post_init__(self) -> None:
        self.time = np.linspace(0.0, 1.0, self.num_frames)
        self.progress = self._ease(self.rng.uniform(0.0, 0.22), self.rng.uniform(0.72, 1.0))

    def _ease(self, start: float, stop: float) -> Curve:
        ramp = np.clip((self.time - start) / (stop - start), 0.0, 1.0)
        smooth = ramp * ramp * (3 - 2 * ramp)
        mix = self.rng.uniform()
        return mix * ramp + (1 - mix) * smooth

    def place(self, margin: float = 0.25) -> tuple[float, float]:
        """A random spot at least `margin` away from the border."""
        x, y = self.rng.uniform(margin, 1 - margin, 2)
        return float(x), float(y)

    def size(self, smallest: float = 0.36, largest: float = 0.48) -> float:
        """A random digit size as a fraction of the canvas."""
        return float(self.rng.uniform(smallest, largest))

    def track(
        self,
        x: Curve | float,
        y: Curve | float,
        scale: Curve | float,
        angle: Curve | float | None = None,
        opacity: Curve | float = 1.0,
    ) -> Track:
        """A track from curves and constants; the default angle is a small random tilt."""
        if angle is None:
            angle = self.rng.uniform(-0.2, 0.2)
        still = np.ones(self.num_frames)
        return Track(x * still, y * still, scale * still, angle * still, opacity * still)

    def direction(self) -> tuple[float, float]:
        """One of the four axis directions."""
        return [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)][self.rng.integers(4)]


Action = Callable[[Stage], Scene]


def _move(direction: tuple[float, float]) -> Action:
    def act(stage: Stage) -> Scene:
        distance = stage.rng.uniform(0.28, 0.5)
        x, y = stage.place(0.28)
        shift = distance * (stage.progress - 0.5)
        # Centre the way along its axis, so that the position alone tells little.
        x = 0.5 + (x - 0.5) * (1 - abs(direction[0])) + stage.rng.uniform(-0.08, 0.08)
        y = 0.5 + (y - 0.5) * (1 - abs(direction[1])) + stage.rng.uniform(-0.08, 0.08)
        return Scene([stage.track(x + direction[0] * shift, y + direction[1] * shift, stage.size())])

    return act


def _pan(direction: tuple[float, float]) -> Action:
    def act(stage: Stage) -> Scene:
        distance = stage.rng.uniform(0.25, 0.45)
        x, y = stage.place(0.42)
        way = distance * (stage.progress - 0.5)
        return Scene(
            [stage.track(x, y, stage.size())],
            camera_x=direction[0] * way,
            camera_y=direction[1] * way,
            may_have_distractor=False,
        )

    return act


def _resize(grows: bool) -> Action:
    def act(stage: Stage) -> Scene:
        small, large = stage.rng.uniform(0.2, 0.27), stage.rng.uniform(0.44, 0.58)
        progress = stage.progress if grows else 1 - stage.progress
        x, y = stage.place(0.32)
        return Scene([stage.track(x, y, small + (large - small) * progress)])

    return act


def _rotate(sign: float) -> Action:
    def act(stage: Stage) -> Scene:
        turn = stage.rng.uniform(1.0, 1.7)
        x, y = stage.place(0.28)
        return Scene([stage.track(x, y, stage.size(), sign * turn * (stage.progress - 0.5))])

    return act


def _fade(appears: bool) -> Action:
    def act(stage: Stage) -> Scene:
        x, y = stage.place(0.28)
        progress = stage.progress if appears else 1 - stage.progress
        return Scene([stage.track(x, y, stage.size(), opacity=progress)])

    return act


def _stand_still(stage: Stage) -> Scene:
    x, y = stage.place(0.28)
    return Scene([stage.track(x, y, stage.size())], may_have_distractor=False)


def _there_and_back(stage: Stage) -> Scene:
    dx, dy = stage.direction()
    x, y = stage.place(0.42)
    shift = stage.rng.uniform(0.25, 0.38) * np.sin(np.pi * stage.progress)
    start = -0.15
    return Scene([stage.track(x + dx * (shift + start), y + dy * (shift + start), stage.size())])


def _pair(stage: Stage, gap: Curve, side: float = 0.0) -> Scene:
    """Two digits of one value on an axis, `gap` apart; `side` shifts them off the axis."""
    horizontal = stage.rng.uniform() < 0.5
    along, across = 0.5 + stage.rng.uniform(-0.06, 0.06), 0.5 + stage.rng.uniform(-0.18, 0.18)
    size = stage.size(0.3, 0.38)
    tracks = []
    for sign in (-1.0, 1.0):
        a, b = along + sign * gap / 2, across + sign * side
        tracks.append(stage.track(a, b, size) if horizontal else stage.track(b, a, size))
    return Scene(tracks, same_digit=(1,), may_have_distractor=False)


def _converge(stage: Stage) -> Scene:
    near, far = stage.rng.uniform(0.2, 0.26), stage.rng.uniform(0.55, 0.68)
    return _pair(stage, far + (near - far) * stage.progress)


def _separate(stage: Stage) -> Scene:
    near, far = stage.rng.uniform(0.2, 0.26), stage.rng.uniform(0.55, 0.68)
    return _pair(stage, near + (far - near) * stage.progress)


def _pass_by(stage: Stage) -> Scene:
    far = stage.rng.uniform(0.5, 0.62)
    return _pair(stage, far * (1 - 2 * stage.progress), side=stage.rng.uniform(0.03, 0.1))


def _bounce(stage: Stage) -> Scene:
    near, far = stage.rng.uniform(0.2, 0.25), stage.rng.uniform(0.52, 0.64)
    return _pair(stage, near + (far - near) * np.abs(1 - 2 * stage.progress))


def _push(stage: Stage) -> Scene:
    dx, dy = stage.direction()
    size = stage.size(0.3, 0.36)
    x, y = 0.5 - 0.34 * dx, 0.5 - 0.34 * dy
    side = stage.rng.uniform(-0.16, 0.16)
    x, y = x + side * abs(dy), y + side * abs(dx)
    way = stage.progress * stage.rng.uniform(0.36, 0.44)
    contact = size * 0.75
    gap = np.maximum(contact + stage.rng.uniform(0.12, 0.18), way + contact)
    pushed = stage.track(x + dx * gap, y + dy * gap, size)
    return Scene([pushed, stage.track(x + dx * way, y + dy * way, size)], acting=1)


def _follow(stage: Stage) -> Scene:
    dx, dy = stage.direction()
    size = stage.size(0.3, 0.36)
    side = stage.rng.uniform(-0.18, 0.18)
    distance = stage.rng.uniform(0.28, 0.38)
    x, y = 0.5 - 0.35 * dx + side * abs(dy), 0.5 - 0.35 * dy + side * abs(dx)
    way = stage.progress * distance
    gap = size * stage.rng.uniform(0.9, 1.1)
    leader = stage.track(x + dx * (way + gap), y + dy * (way + gap), size)
    return Scene([leader, stage.track(x + dx * way, y + dy * way, size)], acting=1)


def _cover(covers: bool) -> Action:
    def act(stage: Stage) -> Scene:
        dx, dy = stage.direction()
        size = stage.size(0.32, 0.42)
        x, y = stage.place(0.38)
        progress = stage.progress if covers else 1 - stage.progress
        away = stage.rng.uniform(0.36, 0.5) * (1 - progress)
        still = stage.track(x + dx * 0.12, y + dy * 0.12, size * 0.92)
        return Scene(
            [still, stage.track(x + dx * (0.12 - away), y + dy * (0.12 - away), size)],
            acting=1,
            may_have_distractor=False,
        )

    return act


ACTIONS: dict[str, Action] = {
    "Moving [digit] to the left": _move((-1, 0)),
    "Moving [digit] to the right": _move((1, 0)),
    "Moving [digit] up": _move((0, -1)),
    "Moving [digit] down": _move((0, 1)),
    "Making [digit] grow": _resize(True),
    "Making [digit] shrink": _resize(False),
    "Turning [digit] clockwise": _rotate(1),
    "Turning [digit] counterclockwise": _rotate(-1),
    "Moving [digit] and its twin closer to each other": _converge,
    "Moving [digit] and its twin away from each other": _separate,
    "Moving [digit] and its twin past each other": _pass_by,
    "Letting [digit] and its twin collide and bounce": _bounce,
    "Letting [digit] appear": _fade(True),
    "Letting [digit] disappear": _fade(False),
    "Moving [digit] away and back": _there_and_back,
    "Pushing something with [digit]": _push,
    "Following something with [digit]": _follow,
    "Covering something with [digit]": _cover(True),
    "Uncovering something with [digit]": _cover(False),
    "Turning the camera left while filming [digit]": _pan((-1, 0)),
    "Turning the camera right while filming [digit]": _pan((1, 0)),
    "Turning the camera up while filming [digit]": _pan((0, -1)),
    "Turning the camera down while filming [digit]": _pan((0, 1)),
    "Showing [digit] without moving it": _stand_still,
}
"""Template, in the style of Something-Something-v2, -> the action."""
