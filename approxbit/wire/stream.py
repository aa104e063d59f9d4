"""Which stream of clips a code belongs to, and which earlier code it was coded against; see `FORMAT.md`.

stream (4) | in an update: back (1) | steps (1) | checksum of the earlier code (2)
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, fields
from operator import index

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.entropy import Reference
from approxbit.wire.frame import BytesLike, check_range, problem

MAX_BACK = 255
MAX_STEPS = 255

_STREAM = struct.Struct(">I")
_EARLIER = struct.Struct(">BBH")


@dataclass(frozen=True)
class StreamPlace:
    """The place of a code in a stream of clips that overlap.

    Attributes:
        stream: Which stream, 32 bits that the edge draws at random.
        back: By how many sequence numbers the earlier code lies before this one, 1 to 255; 0 in a key
            packet, which needs none.
        steps: By how many time steps of the code's grid the clip moved on since the earlier one, 0 to 255.
        checksum: CRC-16 of the earlier code as it is packed.

    Raises:
        TypeError: A field is not an integer.
        ValueError: A field is out of its bounds, or a key packet has steps or a checksum.
    """

    stream: int
    back: int = 0
    steps: int = 0
    checksum: int = 0

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, index(getattr(self, field.name)))
        check_range("stream", self.stream, 0, 2**32 - 1)
        check_range("back", self.back, 0, MAX_BACK)
        check_range("steps", self.steps, 0, MAX_STEPS)
        check_range("checksum of the earlier code", self.checksum, 0, 2**16 - 1)
        if self.is_key and (self.steps or self.checksum):
            found = (self.steps, self.checksum)
            raise ValueError(problem("steps and checksum", "0 and 0 in a key packet", found))

    @classmethod
    def after(cls, stream: int, earlier: bytes, back: int, steps: int) -> StreamPlace:
        """The place of an update.

        Args:
            stream: Which stream.
            earlier: The earlier code, packed.
            back: By how many sequence numbers it lies before this one.
            steps: By how many time steps the clip moved on.
        """
        check_range("back", back, 1, MAX_BACK)
        return cls(stream, back, steps, _checksum(earlier))

    @property
    def is_key(self) -> bool:
        """Whether the code is readable without an earlier one."""
        return self.back == 0

    def as_key(self) -> StreamPlace:
        """The same stream, without an earlier code."""
        return StreamPlace(self.stream)

    def means(self, earlier: bytes) -> bool:
        """Whether a packed code is the one that this place names."""
        return not self.is_key and _checksum(earlier) == self.checksum

    def to_bytes(self) -> bytes:
        """The section of the header; the inverse of `from_prefix`.

        Example:
            >>> StreamPlace(7).to_bytes().hex(), StreamPlace(7, 1, 2, 0xABCD).to_bytes().hex()
            ('00000007', '000000070102abcd')
        """
        head = _STREAM.pack(self.stream)
        return head if self.is_key else head + _EARLIER.pack(self.back, self.steps, self.checksum)

    @classmethod
    def from_prefix(cls, data: BytesLike, is_key: bool) -> tuple[StreamPlace, int]:
        """The section that some bytes begin with, and its length.

        Raises:
            WireError: There are too few bytes, or an update says that it is none.
        """
        num_bytes = _STREAM.size + (0 if is_key else _EARLIER.size)
        if len(data) < num_bytes:
            raise WireError(problem("place in the stream", f"{num_bytes} bytes", len(data)))
        (stream,) = _STREAM.unpack_from(data)
        if is_key:
            return cls(stream), num_bytes
        back, steps, checksum = _EARLIER.unpack_from(data, _STREAM.size)
        try:
            check_range("back", back, 1, MAX_BACK)
        except ValueError as error:
            raise WireError(str(error)) from error
        return cls(stream, back, steps, checksum), num_bytes


def reference_of(place: StreamPlace | None, earlier: np.ndarray | None) -> Reference | None:
    """What the earlier code says of the one at this place.

    Raises:
        ValueError: An earlier code is there and the place names none, or the other way round.
    """
    if (place is None or place.is_key) != (earlier is None):
        expected = "none with this place" if place is None or place.is_key else "the planes it names"
        raise ValueError(problem("earlier", expected, type(earlier).__name__))
    if place is None or earlier is None:
        return None
    return Reference(earlier, place.steps)


def _checksum(packed: bytes) -> int:
    return binascii.crc_hqx(packed, 0)
