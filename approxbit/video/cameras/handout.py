"""The newest window of a camera, between the thread that makes windows and those that ask for them."""

from __future__ import annotations

import threading
from collections import Counter

from approxbit.video.cameras.window import CameraCounts, Dropped, Window

CHANGED = threading.Condition()
"""Guards the windows of all cameras, and tells of new ones: a group waits for any of its cameras."""


class Handout:
    """Holds one window at most, and counts what became of all of them; safe for many threads."""

    def __init__(self) -> None:
        self.is_open = True
        self._failure: BaseException | None = None
        self._newest: Window | None = None
        self._last: tuple[int, int] | None = None  # stream and start of the window that was handed out
        self._numbers: Counter[str] = Counter()

    @property
    def has_window(self) -> bool:
        """Whether a window waits."""
        return self._newest is not None

    @property
    def counts(self) -> CameraCounts:
        """What was counted until now."""
        with CHANGED:
            numbers = self._numbers
            dropped = {cause: numbers[cause] for cause in vars(Dropped())}
            rest = {name: numbers[name] for name in vars(CameraCounts()) if name != "dropped"}
            return CameraCounts(dropped=Dropped(**dropped), **rest)

    def count(self, **numbers: int) -> None:
        """Add to fields of `CameraCounts` or `Dropped`, by their names."""
        with CHANGED:
            self._numbers.update(numbers)

    def put(self, window: Window) -> None:
        """A newer window is complete; one that waits is dropped."""
        with CHANGED:
            self._numbers.update(made=1, too_late=self._newest is not None)
            self._newest = window
            CHANGED.notify_all()

    def take(self) -> Window | None:
        """The window that waits, if one does and no end was made.

        Raises:
            BaseException: What the end was made for.
        """
        with CHANGED:
            if self._failure is not None:
                raise self._failure
            if self._newest is None or not self.is_open:
                return None
            window, self._newest = self._newest, None
            self._numbers["answered"] += 1
            stream, start = self._last or (-1, 0)
            self._last = window.stream, window.start_frame
            shift_frames = window.start_frame - start if window.stream == stream else len(window.frames)
            return window._replace(shift_frames=min(shift_frames, len(window.frames)))

    def close(self, failure: BaseException | None = None) -> None:
        """No more windows will come; `take` raises the failure, if there was one."""
        with CHANGED:
            self.is_open, self._failure = False, failure
            CHANGED.notify_all()
