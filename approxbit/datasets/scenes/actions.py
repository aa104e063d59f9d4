"""What a digit does, as curves over time. Paths are free: no label says how they bend, or when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from approxbit.datasets.scenes.script import BOUNCES, HIDES

Curves = NDArray[np.float64]

MARGIN = 0.15
"""How near to the border of the picture the centre of a digit may come."""
_DIRECTIONS = {
    "moves left": (-1.0, 0.0),
    "moves right": (1.0, 0.0),
    "moves up": (0.0, -1.0),
    "moves down": (0.0, 1.0),
}


@dataclass
class Motion:
    """The curves of one digit, each of shape `[time]`."""

    x: Curves
    y: Curves
    scale: Curves
    angle: Curves
    opacity: Curves
    start: float
    end: float
    bounces: int = 0

    def curves(self) -> tuple[Curves, Curves, Curves, Curves, Curves]:
        """x, y, scale, angle and opacity."""
        return self.x, self.y, self.scale, self.angle, self.opacity

    def stays_inside(self) -> bool:
        """Whether its centre keeps away from the border."""
        places = np.stack([self.x, self.y])
        return bool((places >= MARGIN).all() and (places <= 1 - MARGIN).all())


def act(
    action: str,
    rng: np.random.Generator,
    time: Curves,
    size: float,
    goal: tuple[float, float] | None = None,
) -> Motion:
    """Draw how a digit does an action.

    Args:
        action: One of `ACTIONS`.
        rng: Draws place, time, speed and path.
        time: Of each frame, from 0 to 1.
        size: Scale of the digit; where it grows or shrinks, the larger one.
        goal: Where it hides.

    Returns:
        Curves that may leave the picture: draw again where `stays_inside` says no.
    """
    x, y = rng.uniform(MARGIN, 1 - MARGIN, 2)
    start = rng.uniform(0.05, 0.45 if action == HIDES else 0.65)
    end = start + rng.uniform(0.25, 0.35)
    still = np.ones_like(time)
    motion = Motion(x * still, y * still, size * still, rng.uniform(-0.2, 0.2) * still, still, start, end)
    progress = _progress(time, start, end, rng)
    if action in _DIRECTIONS:
        towards = np.array(_DIRECTIONS[action]) * rng.uniform(0.3, 0.55)
        motion.x, motion.y = _path(rng, (x, y), towards, progress)
    elif action == "moves away and back":
        turn = rng.uniform(0, 2 * np.pi)
        towards = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.3, 0.5)
        motion.x, motion.y = _path(rng, (x, y), towards, np.sin(np.pi * progress))
    elif action == HIDES and goal is not None:
        towards = np.subtract(goal, (x, y))
        motion.x, motion.y = _path(rng, (x, y), towards, progress)
    elif action == BOUNCES:
        _bounce(motion, rng, time)
    elif action in ("grows", "shrinks"):
        ratio = rng.uniform(0.45, 0.62)
        motion.scale = size * (ratio + (1 - ratio) * (progress if action == "grows" else 1 - progress))
    elif action.startswith("turns"):
        sign = 1.0 if action == "turns clockwise" else -1.0
        motion.angle = motion.angle + sign * rng.uniform(1.3, 2.6) * progress
    elif action in ("appears", "disappears"):
        motion.start = rng.uniform(0.15, 0.88)
        motion.end = motion.start + 0.1
        shown = np.clip((time - motion.start) / 0.1, 0.0, 1.0)
        motion.opacity = shown if action == "appears" else 1 - shown
    return motion


def _progress(time: Curves, start: float, end: float, rng: np.random.Generator) -> Curves:
    """From 0 to 1 between two times, evenly or with a soft start and end, or something between."""
    ramp = np.clip((time - start) / (end - start), 0.0, 1.0)
    share = rng.uniform()
    eased: Curves = share * ramp + (1 - share) * ramp * ramp * (3 - 2 * ramp)
    return eased


def _path(
    rng: np.random.Generator, origin: tuple[float, float], towards: Curves, progress: Curves
) -> tuple[Curves, Curves]:
    """A way that bends to one side by up to a third of its length."""
    bend = rng.uniform(-0.33, 0.33) * np.sin(np.pi * np.clip(progress, 0.0, 1.0))
    x = origin[0] + towards[0] * progress - towards[1] * bend
    y = origin[1] + towards[1] * progress + towards[0] * bend
    return x, y


def _bounce(motion: Motion, rng: np.random.Generator, time: Curves) -> None:
    """To and fro between two borders of the picture, thrown back one to three times."""
    motion.bounces = int(rng.integers(1, 4))
    width = 1 - 2 * MARGIN
    first, last = rng.uniform(0.2, 0.8) * width, rng.uniform(0.35, 0.9) * width
    length = first + (motion.bounces - 1) * width + last
    motion.start = rng.uniform(0.0, 0.1)
    motion.end = min(1.0, motion.start + length / rng.uniform(2.2, 2.8) + 0.2)
    ramp = np.clip((time - motion.start) / (motion.end - motion.start), 0.0, 1.0)
    folded = (width - first + ramp * length) % (2 * width)
    along = MARGIN + np.where(folded <= width, folded, 2 * width - folded)
    if rng.uniform() < 0.5:
        along = 1 - along
    across = (motion.y if rng.uniform() < 0.5 else motion.x)[0]
    drift = across + rng.uniform(-0.15, 0.15) * ramp
    motion.x, motion.y = (along, drift) if rng.uniform() < 0.5 else (drift, along)
