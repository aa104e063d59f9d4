"""Learning-rate schedules as plain functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(num_steps: int, warmup: float) -> Callable[[int], float]:
    """Factor on the learning rate: a linear rise over the first `warmup` share, then half a cosine to 0.

    Args:
        num_steps: Optimizer steps of the whole training.
        warmup: Share of the steps, 0 up to but not including 1.

    Raises:
        ValueError: `warmup` is out of range.

    Example:
        >>> factor = warmup_cosine(num_steps=100, warmup=0.1)
        >>> [round(factor(step), 3) for step in (0, 9, 55, 100)]
        [0.1, 1.0, 0.5, 0.0]
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"expected a warmup of at least 0 and below 1, found {warmup}")
    rising = int(num_steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, num_steps - rising)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


def constant(step: int) -> float:
    """The paper's schedule: none."""
    return 1.0
