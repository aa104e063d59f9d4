"""The codes that a server keeps of streams of clips, so that the next ones can be coded against them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from approxbit.configuration import Configuration
from approxbit.wire.window import WindowPlace

CODES_PER_STREAM = 4
BYTES_PER_CODE = 512
"""Counted for each code beside its own bytes: a generous price of the objects around it."""


class StreamKey(NamedTuple):
    """Whose codes these are: a code serves only packets that have all three in common with its own."""

    binding: int
    configuration: Configuration
    fingerprint: int


class StreamCodes:
    """The last codes of the streams that were last heard of; safe to share between threads.

    A stream keeps its last `CODES_PER_STREAM` codes, in the order in which they came. When there is no room,
    the stream that has been silent for longest goes. Nothing is lost then but bytes: its next update is
    refused as `NEEDS_KEY`, and the edge sends a key packet.

    Args:
        max_bytes: Of all codes together, with `BYTES_PER_CODE` for each; 0 keeps none.

    Raises:
        ValueError: `max_bytes` is negative.
    """

    def __init__(self, max_bytes: int = 64 * 2**20):
        if max_bytes < 0:
            raise ValueError(f"max_bytes must be 0 or more, found {max_bytes}")
        self.max_bytes = max_bytes
        self._streams: OrderedDict[StreamKey, OrderedDict[int, bytes]] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """What is kept now, counted as for `max_bytes`."""
        return self._num_bytes

    def find(self, key: StreamKey, sequence: int, place: WindowPlace) -> bytes | None:
        """The packed code of clip `sequence` of a stream, if it is there and the one that the place means."""
        with self._lock:
            codes = self._streams.get(key)
            if codes is None:
                return None
            self._streams.move_to_end(key)
            packed = codes.get(sequence)
        return packed if packed is not None and place.means(packed) else None

    def keep(self, key: StreamKey, sequence: int, packed: bytes) -> None:
        """Remember the packed code of a clip that was answered."""
        with self._lock:
            codes = self._streams.setdefault(key, OrderedDict())
            self._streams.move_to_end(key)
            if sequence in codes:
                self._num_bytes -= _size(codes.pop(sequence))
            codes[sequence] = packed
            self._num_bytes += _size(packed)
            if len(codes) > CODES_PER_STREAM:
                self._num_bytes -= _size(codes.popitem(last=False)[1])
            while self._num_bytes > self.max_bytes:
                _, oldest = self._streams.popitem(last=False)
                self._num_bytes -= sum(map(_size, oldest.values()))


def _size(packed: bytes) -> int:
    return len(packed) + BYTES_PER_CODE
