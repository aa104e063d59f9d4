"""Whether the server can be reached, found out without keeping a clip waiting."""

import threading
from typing import Callable, Optional

from approxbit.errors import LinkError


class LinkWatch:
    """Holds a link for up until it is marked down, and for down until a ping comes back.

    The pings run in a thread of their own, first soon and then after waits that double, so that no clip
    waits for a server that is away.

    Args:
        ping: Returns when the server answered, raises `LinkError` when it did not.
        first_wait_s: Before the first ping after a failure.
        longest_wait_s: Between later pings at most.
    """

    def __init__(self, ping: Callable[[], object], first_wait_s: float = 0.1, longest_wait_s: float = 5.0):
        self._ping = ping
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._is_up = threading.Event()
        self._is_up.set()
        self._is_closed = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self.reason = ""

    @property
    def is_up(self) -> bool:
        """Whether nothing speaks against sending the next packet."""
        return self._is_up.is_set()

    def mark_down(self, reason: str) -> None:
        """Send nothing more until a ping comes back; `reason` says why for as long as that takes."""
        if not self.is_up or self._is_closed.is_set():
            return
        self.reason = reason
        self._is_up.clear()
        self._thread = threading.Thread(target=self._retry, name="approxbit-link-watch", daemon=True)
        self._thread.start()

    def wait_until_up(self, timeout_s: float) -> bool:
        """Wait for the link; returns whether it is up. For tests, and for callers with nothing else to do."""
        return self._is_up.wait(timeout_s)

    def close(self) -> None:
        """Stop the pings."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()

    def _retry(self) -> None:
        wait_s = self._first_wait_s
        while not self._is_closed.wait(wait_s):
            try:
                self._ping()
            except LinkError:
                wait_s = min(2 * wait_s, self._longest_wait_s)
            else:
                self._is_up.set()
                return
