"""The earlier code that an update was coded against; see `FORMAT.md`.

back (1) | steps (1) | checksum of the earlier code (2)
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

import numpy as np

from approxbit.wire.entropy import Reference
from approxbit.wire.frame import Cursor, check_integer, problem

MAX_BACK = 255
MAX_STEPS = 255

_PLACE = struct.Struct(">BBH")
PLACE_BYTES = _PLACE.size


@dataclass(frozen=True)
class WindowPlace:
    """Where a window lies behind an earlier one of the same video, whose code the receiver has kept.

    Attributes:
        back: By how many sequence numbers the earlier code lies before this one, 1 to 255.
        steps: By how many time steps of the code's grid the window moved on since, 0 to 255.
        checksum: CRC-16 of the earlier code as it is packed.

    Raises:
        TypeError: A field is not an integer.
        ValueError: A field is out of its bounds.
    """

    back: int
    steps: int
    checksum: int

    def __post_init__(self) -> None:
        for field, name, low, high in (
            ("back", "back", 1, MAX_BACK),
            ("steps", "steps", 0, MAX_STEPS),
            ("checksum", "checksum of the earlier code", 0, 2**16 - 1),
        ):
            object.__setattr__(self, field, check_integer(name, getattr(self, field), low, high))

    @classmethod
    def after(cls, earlier: bytes, back: int, steps: int) -> WindowPlace:
        """The place of an update.

        Args:
            earlier: The earlier code, packed.
            back: By how many sequence numbers it lies before this one.
            steps: By how many time steps the window moved on.
        """
        return cls(back, steps, _checksum(earlier))

    def means(self, earlier: bytes) -> bool:
        """Whether a packed code is the one that this place names."""
        return _checksum(earlier) == self.checksum

    def to_bytes(self) -> bytes:
        """What stands before the payload of an update; the inverse of `read`.

        Example:
            >>> WindowPlace(1, 2, 0xABCD).to_bytes().hex()
            '0102abcd'
        """
        return _PLACE.pack(self.back, self.steps, self.checksum)

    @classmethod
    def read(cls, cursor: Cursor) -> WindowPlace:
        """The place that comes next in a message.

        Raises:
            ValueError: A field is out of its bounds.
            WireError: There are too few bytes.
        """
        return cls(*cursor.unpack(_PLACE, "place of the window"))


def reference_of(place: WindowPlace | None, earlier: np.ndarray | None) -> Reference | None:
    """What the earlier code says of the one at this place.

    Raises:
        ValueError: An earlier code is there and the place names none, or the other way round.
    """
    if (place is None) != (earlier is None):
        expected = "none without a place" if place is None else "the planes that the place names"
        raise ValueError(problem("earlier", expected, type(earlier).__name__))
    return None if place is None or earlier is None else Reference(earlier, place.steps)


def _checksum(packed: bytes) -> int:
    return binascii.crc_hqx(packed, 0)
