"""Draws scripts: who is in a scene, where, and what each of them does."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from approxbit.datasets.digits_render import glyphs
from approxbit.datasets.scenes.actions import Motion, act
from approxbit.datasets.scenes.script import (
    ACTIONS,
    BACKGROUNDS,
    BOUNCES,
    COLOURS,
    HIDES,
    STANDS,
    Actor,
    Script,
    curve,
)

SPLITS = ("train", "validation", "test", "test_b")
SHEETS = {"train": (0, 1157), "validation": (1157, 1415), "test": (1415, 1667), "test_b": (1667, 1797)}
"""Which images of scikit-learn's digits a split draws from.

They come sheet by sheet, 14 sheets of about 128 digits each, of 13 writers. A sheet starts over with three
runs of 0 to 9, and that is where the bounds are: 9 sheets, 2, 2, and the last.
"""
NUM_ACTORS = (2, 5)
"""Fewest and most digits of a scene; all numbers between are equally frequent."""
SHARES = {STANDS: 0.16, BOUNCES: 0.12, HIDES: 0.08}
"""Of the digits, how many do this; all other actions are equally frequent."""
_TRIALS = 200
_NUM_TIMES = 91


@cache
def _shares() -> NDArray[np.float64]:
    rest = (1 - sum(SHARES.values())) / (len(ACTIONS) - len(SHARES))
    return np.array([SHARES.get(action, rest) for action in ACTIONS])


def draw_script(split: str, index: int, num_frames: int = 16, num_actors: int = 0) -> Script:
    """Scene `index` of a split: always the same for the same arguments.

    Args:
        split: One of `SPLITS`; each has other images of digits, most of them by other writers.
        index: Any number from 0.
        num_frames: Frames that share out the scene's time from first to last.
        num_actors: How many digits; by default 2 to 5, in turns.

    Raises:
        ValueError: There is no such split, `index` is negative, or there are fewer than 2 frames.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split of {', '.join(SPLITS)}, found {split!r}")
    if index < 0 or num_frames < 2:
        raise ValueError(f"expected an index from 0 and 2 frames or more, found {index} and {num_frames}")
    fewest, most = NUM_ACTORS
    number = num_actors or fewest + index % (most - fewest + 1)
    rng = np.random.default_rng([2026, SPLITS.index(split), index])
    # On a fine grid of times, so that a scene is the same at any number of frames.
    time = np.linspace(0.0, 1.0, _NUM_TIMES)
    frames = np.linspace(0.0, 1.0, num_frames)
    while True:  # few scenes cannot be staged with the first draw of actions
        cast = _stage(rng, time, number)
        if cast is not None:
            break
    drift = rng.uniform(-0.05, 0.05, (2, 1)) * time
    shake = rng.normal(0.0, rng.uniform(0.0, 0.003), (2, _NUM_TIMES))
    camera_x, camera_y = (np.interp(frames, time, each) for each in drift + shake)
    values = rng.permutation(10)[:number]
    colours = rng.permutation(len(COLOURS))[:number]
    first, last = SHEETS[split]
    pool = glyphs().value[first:last]
    actors = tuple(
        Actor(
            int(value),
            COLOURS[colour],
            first + int(rng.choice(np.flatnonzero(pool == value))),
            action,
            round(motion.start, 4),
            round(motion.end, 4),
            motion.bounces,
            behind,
            *(curve(np.interp(frames, time, each)) for each in motion.curves()),
        )
        for value, colour, (action, motion, behind) in zip(values, colours, cast, strict=True)
    )
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    return Script(split, index, num_frames, background, actors, curve(camera_x), curve(camera_y))


def _stage(
    rng: np.random.Generator, time: NDArray[np.float64], number: int
) -> list[tuple[str, Motion, int]] | None:
    """Actions and motions from back to front; None where no place was found for a digit."""
    actions = [str(action) for action in rng.choice(ACTIONS, number, p=_shares())]
    hiding = [i for i, action in enumerate(actions) if action == HIDES]
    for i in hiding[1:]:  # one at a time is plenty
        actions[i] = STANDS
    # The digit that hides is the rearmost, and so cannot come to lie in front of its cover.
    actions.sort(key=lambda action: action != HIDES)
    sizes = rng.uniform(0.27, 0.38, number)
    cover = -1
    if hiding:
        cover = int(rng.integers(1, number))
        actions[cover] = STANDS
        sizes[0], sizes[cover] = 0.25, rng.uniform(0.38, 0.42)
    motions: dict[int, Motion] = {}
    for actor in sorted(range(number), key=lambda actor: actor != cover):
        goal = (motions[cover].x[0], motions[cover].y[0]) if actions[actor] == HIDES else None
        for _ in range(_TRIALS):
            motion = act(actions[actor], rng, time, sizes[actor], goal)
            is_clear = all(_keeps_clear(motion, other, goal) for other in motions.values())
            if motion.stays_inside() and is_clear:
                motions[actor] = motion
                break
        else:
            return None
    return [(actions[i], motions[i], cover if actions[i] == HIDES else -1) for i in range(number)]


def _keeps_clear(motion: Motion, other: Motion, goal: tuple[float, float] | None) -> bool:
    """Whether two digits lie apart in the first frame and in the last; between, they may cross."""
    for frame in (0, -1):
        distance = np.hypot(motion.x[frame] - other.x[frame], motion.y[frame] - other.y[frame])
        is_hidden = frame == -1 and goal == (other.x[0], other.y[0])
        if not is_hidden and distance < 0.42 * (motion.scale.max() + other.scale.max()):
            return False
    return True
