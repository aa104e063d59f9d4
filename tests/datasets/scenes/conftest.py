"""Scripts that several tests read: drawing one takes some milliseconds."""

from __future__ import annotations

import pytest

from approxbit.datasets.scenes.questions import Question, draw_questions
from approxbit.datasets.scenes.script import Actor, Script
from approxbit.datasets.scenes.staging import draw_script

NUM_SCRIPTS = {"train": 1400, "validation": 600}


@pytest.fixture(scope="session")
def scripts() -> dict[str, list[Script]]:
    """The first 2,000 scenes of two splits."""
    return {split: [draw_script(split, index) for index in range(n)] for split, n in NUM_SCRIPTS.items()}


@pytest.fixture(scope="session")
def asked(scripts: dict[str, list[Script]]) -> dict[str, list[Question]]:
    """Their questions."""
    return {
        split: [each for one in found for each in draw_questions(one)] for split, found in scripts.items()
    }


def _actor(
    value: int,
    colour: str,
    action: str,
    times: tuple[float, float],
    x: list[float],
    y: float,
    scale: float = 0.3,
    bounces: int = 0,
    behind: int = -1,
    opacity: tuple[float, ...] = (1.0,) * 16,
) -> Actor:
    start, end = times
    still = (1.0,) * 16
    curves = (tuple(x), (y,) * 16, tuple(scale * one for one in still), tuple(0 * one for one in still))
    return Actor(value, colour, value, action, start, end, bounces, behind, *curves, opacity)


@pytest.fixture(scope="session")
def hand_made() -> Script:
    """Five digits, made by hand; where they are at the start, in the middle (frame 8) and at the end:

    seven  top left       top middle     hidden behind the three
    three  top right      top right      top right
    one    bottom left    bottom left    bottom middle
    nine   middle right   middle left    centre
    four   not there      not there      middle left
    """
    actors = (
        _actor(7, "red", "hides", (0.3, 0.6), [0.2] * 4 + [0.5] * 5 + [0.8] * 7, 0.2, 0.25, behind=1),
        _actor(3, "blue", "stands still", (0.4, 0.7), [0.8] * 16, 0.2, 0.4),
        _actor(1, "green", "moves right", (0.55, 0.8), [0.2] * 9 + [0.5] * 7, 0.8),
        _actor(9, "white", "bounces", (0.05, 0.9), [0.8] * 5 + [0.2] * 5 + [0.5] * 6, 0.5, bounces=2),
        _actor(4, "orange", "appears", (0.8, 0.9), [0.2] * 16, 0.5, opacity=(0.0,) * 13 + (1.0,) * 3),
    )
    return Script("validation", 3, 16, "dotted", actors, (0.0,) * 16, (0.0,) * 16)
