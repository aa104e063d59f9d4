"""What a server keeps of clips so that questions about them need no code: their visual tokens."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

BYTES_PER_CLIP = 1024
"""Counted for each clip beside its own bytes: a generous price of the objects around it."""


class Place(NamedTuple):
    """Which clip of a client's: what a question says of it.

    Attributes:
        binding: Of its code; 0 for a clip of no session.
        nonce: Of the session, so that a binding that was given away leads to nothing; 0 without one.
        sequence: Of its packet, modulo 256.
    """

    binding: int
    nonce: int
    sequence: int


class KeptClips:
    """Visual tokens of the clips that came last, client by client; safe to share between threads.

    A clip belongs to the client that sent it, a connection: nobody else can ask about it. Nothing is lost
    with a clip but time: a question about it is refused as `NEEDS_KEY`, and the edge sends the clip again.
    What came or was asked about longest ago goes first, of the same client if it has too much.

    Args:
        max_per_client: Clips of one client, at least 1.
        max_client_bytes: Of all clips of one client, with `BYTES_PER_CLIP` for each; 0 keeps none.
        max_clips: Of all clients, at least 1.
        max_bytes: Likewise; 0 keeps none.

    Raises:
        ValueError: A number is below its least.
    """

    def __init__(
        self,
        max_per_client: int = 8,
        max_client_bytes: int = 64 * 2**20,
        max_clips: int = 1024,
        max_bytes: int = 512 * 2**20,
    ):
        for name, value, least in (
            ("max_per_client", max_per_client, 1),
            ("max_client_bytes", max_client_bytes, 0),
            ("max_clips", max_clips, 1),
            ("max_bytes", max_bytes, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be {least} or more, found {value}")
        self._client_bounds = max_per_client, max_client_bytes
        self._bounds = max_clips, max_bytes
        self._clips: OrderedDict[tuple[str, Place], np.ndarray] = OrderedDict()
        self._of_client: dict[str, OrderedDict[Place, int]] = {}
        self._num_bytes = 0
        self._lock = threading.Lock()

    @property
    def num_clips(self) -> int:
        """How many are kept now, of all clients."""
        return len(self._clips)

    @property
    def num_bytes(self) -> int:
        """What they take, counted as for `max_bytes`."""
        return self._num_bytes

    def keep(self, client: str, place: Place, visual: np.ndarray) -> None:
        """Remember the visual tokens of a clip that was answered, if there is room for them at all."""
        size = visual.nbytes + BYTES_PER_CLIP
        with self._lock:
            self._forget(client, place)
            if size > min(self._client_bounds[1], self._bounds[1]):
                return
            self._clips[client, place] = visual.copy()  # not the batch that it may be a part of
            self._of_client.setdefault(client, OrderedDict())[place] = size
            self._num_bytes += size
            own = self._of_client[client]
            while _exceeds(self._client_bounds, len(own), sum(own.values())):
                self._forget(client, next(iter(own)))
            while _exceeds(self._bounds, len(self._clips), self._num_bytes):
                self._forget(*next(iter(self._clips)))

    def find(self, client: str, place: Place) -> np.ndarray | None:
        """The visual tokens of a client's clip, if they are still here."""
        with self._lock:
            visual = self._clips.get((client, place))
            if visual is not None:
                self._clips.move_to_end((client, place))
                self._of_client[client].move_to_end(place)
            return visual

    def forget(self, client: str, place: Place) -> None:
        """Keep a clip no longer: another one has come in its place."""
        with self._lock:
            self._forget(client, place)

    def _forget(self, client: str, place: Place) -> None:
        if self._clips.pop((client, place), None) is None:
            return
        own = self._of_client[client]
        self._num_bytes -= own.pop(place)
        if not own:
            del self._of_client[client]


def _exceeds(bounds: tuple[int, int], count: int, num_bytes: int) -> bool:
    return count > bounds[0] or num_bytes > bounds[1]
