"""Waits between attempts."""

from __future__ import annotations

import random


class Retry:
    """Waits that double, each drawn between half of its length and all of it.

    Args:
        first_s: The first wait at most.
        longest_s: All others at most.

    Example:
        >>> retry = Retry(1, 3)
        >>> [0.5 <= retry.next_wait_s() <= 1, 1 <= retry.next_wait_s() <= 2, 1.5 <= retry.next_wait_s() <= 3]
        [True, True, True]
    """

    def __init__(self, first_s: float, longest_s: float):
        self._first_s = first_s
        self._longest_s = longest_s
        self.reset()

    def reset(self) -> None:
        """Start over with the first wait."""
        self._wait_s = self._first_s

    def next_wait_s(self) -> float:
        """How long to wait now."""
        wait_s = min(self._wait_s, self._longest_s)
        self._wait_s = 2 * wait_s
        return wait_s * random.uniform(0.5, 1)
