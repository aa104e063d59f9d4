"""What is wrong with a video that can still be read, and what to do about it."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from approxbit.errors import VideoError

ON_DAMAGE = ("error", "warn", "use")
"""Refuse a damaged video, use it with a `VideoWarning`, or use it silently."""


class VideoWarning(UserWarning):
    """A damaged video was used as far as it goes."""


class Damage(NamedTuple):
    """What is missing or wrong, as far as a video was read."""

    num_missing: int = 0
    """Frames that the file promised and that are not there, or whose packets no decoder takes."""
    num_damaged: int = 0
    """Frames that were decoded with errors. Those after them show the error up to the next key frame."""
    first_frame: int | None = None
    """Where it begins, counted in frames that are there."""
    first_s: float | None = None
    reason: str = ""
    """Of the first one."""

    def __bool__(self) -> bool:
        return bool(self.num_missing or self.num_damaged)

    def add(
        self, num_missing: int, num_damaged: int, frame: int, time_s: float | None, reason: str
    ) -> Damage:
        """This damage and a further one."""
        total = self._replace(
            num_missing=self.num_missing + num_missing, num_damaged=self.num_damaged + num_damaged
        )
        if self and self.first_frame is not None and self.first_frame <= frame:
            return total
        return total._replace(first_frame=frame, first_s=time_s, reason=reason)

    def describe(self) -> str:
        """One sentence: what, from where on, and why."""
        counts = [(self.num_missing, "missing"), (self.num_damaged, "damaged")]
        parts = [f"{n} {'frame' if n == 1 else 'frames'} {what}" for n, what in counts if n]
        time = "" if self.first_s is None else f" ({self.first_s:.2f} s)"
        return f"{' and '.join(parts)} from frame {self.first_frame}{time} on: {self.reason}"


def check_on_damage(on_damage: str) -> None:
    """Let only the three ways pass.

    Raises:
        ValueError: It is another word.
    """
    if on_damage not in ON_DAMAGE:
        raise ValueError(f"on_damage must be one of {', '.join(ON_DAMAGE)}, found {on_damage!r}")


def report(name: str, damage: Damage, on_damage: str) -> None:
    """Raise, warn or keep silent.

    Raises:
        VideoError: There is damage and `on_damage` is `"error"`.
    """
    if damage and on_damage == "error":
        raise VideoError(
            f"{name}: expected a whole video, found {damage.describe()}; "
            "on_damage='warn' or 'use' reads what is there"
        )
    if damage and on_damage == "warn":
        warnings.warn(f"{name}: {damage.describe()}", VideoWarning, stacklevel=3)
