"""What both sides of a link must agree on before one can read the other's codes; see `FORMAT.md`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Union

import numpy as np

from approxbit.configuration import Configuration, Shape3
from approxbit.wire.coding import Coding, encode_planes
from approxbit.wire.entropy import PriorTables, Reference
from approxbit.wire.frame import Cursor, check_integer, check_range, problem
from approxbit.wire.packet import Packet
from approxbit.wire.packing import check_planes, pack, packed_bytes, unpack
from approxbit.wire.request import NOTHING_SAID, Request
from approxbit.wire.sizes import (
    FIELDS,
    MAX_FINGERPRINT,
    MAX_NAME_BYTES,
    MAX_TOKENS,
    SPATIAL_ENCODER,
    check_code,
    check_size,
    read_configuration,
)
from approxbit.wire.window import PLACE_BYTES, WindowPlace

Planes = Union[np.ndarray, bytes]
"""A code as bit planes, 0 and 1, uint8 or bool `[bit, position]`, or as `pack` packs them."""


@dataclass(frozen=True)
class CodeFormat:
    """What both sides of the link must agree on before one can read the other's codes.

    Attributes:
        configuration: Offload point, spatial encoder and codebook size.
        feature_size: Time, height and width of the feature at the offload point.
        num_tokens: Class tokens that cross beside the grid.
        fingerprint: Hash of the codec's weights and the preprocessing, 64 bits; 0 if they were never saved.
        prior: Of the codec, for coding its codes; without one they cross packed. It never crosses itself: its
            bytes enter the fingerprint.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A field is out of its bounds, or the prior is one for codes of another size.
    """

    configuration: Configuration
    feature_size: Shape3
    num_tokens: int = 0
    fingerprint: int = 0
    prior: PriorTables | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "feature_size", check_size(self.feature_size))
        for field, high in (("num_tokens", MAX_TOKENS), ("fingerprint", MAX_FINGERPRINT)):
            object.__setattr__(self, field, check_integer(field, getattr(self, field), 0, high))
        check_code(self.configuration, self.feature_size, self.num_tokens)
        if self.prior is not None:
            self.prior.check_fit(self.configuration, self.feature_size, self.num_tokens)

    @property
    def num_positions(self) -> int:
        """Positions of a code: those of its grid, and one for each class token."""
        return self.configuration.num_positions(self.feature_size, self.num_tokens)

    @property
    def payload_bytes(self) -> int:
        """Bytes of a packed code.

        Example:
            >>> CodeFormat(Configuration.parse("64-Enc-B8"), (16, 14, 14)).payload_bytes
            3136
        """
        return packed_bytes(self.configuration.codebook_size, self.num_positions)

    def packet(
        self,
        code: Planes,
        sequence: int = 0,
        binding: int | None = None,
        place: WindowPlace | None = None,
        earlier: Planes | None = None,
        request: Request = NOTHING_SAID,
    ) -> Packet:
        """The packet of one clip's code: entropy coded if there is a prior, and never longer than packed.

        An update is made only where it is shorter than what needs no earlier code, its place included.

        Args:
            code: Planes, or packed.
            sequence: Number of the clip.
            binding: Of the session, if there is one.
            place: Behind an earlier code that the server has, under the same binding.
            earlier: That code; like `place`, it has no effect with a prior without tables of updates.
            request: What the server shall say.

        Raises:
            ValueError: The planes are not a code of this format, a field is out of bounds, or there is a
                place without an earlier code or a binding, or the other way round.
            WireError: The packed bytes are not a code of this format.
        """
        if (place is None) != (earlier is None):
            raise ValueError(problem("place and earlier", "both or none", (place, type(earlier).__name__)))
        coding, payload = self._encode(code)
        rest = self.num_tokens, self.fingerprint, sequence
        key = Packet(self.configuration, self.feature_size, payload, *rest, coding, binding, None, request)
        return key if place is None or earlier is None else self.update(key, code, place, earlier)

    def update(self, key: Packet, code: Planes, place: WindowPlace, earlier: Planes) -> Packet:
        """The packet of a code as an update, where that is shorter with its place; else the key packet.

        Args:
            key: The packet of the same code, with a binding.
            code: Planes, or packed.
            place: Behind an earlier code that the server has, under the same binding.
            earlier: That code.

        Raises:
            ValueError: The planes are not codes of this format, or the key packet has no binding.
            WireError: The packed bytes are not codes of this format.
        """
        if self.prior is None or self.prior.update is None:
            return key
        reference = Reference(self._planes(earlier), place.steps)
        coding, payload = encode_planes(self._planes(code), self.prior, reference)
        if coding != Coding.UPDATE or len(payload) + PLACE_BYTES >= len(key.payload):
            return key
        return replace(key, payload=payload, coding=coding, place=place)

    def is_of(self, packet: Packet) -> bool:
        """Whether a packet holds a code of this format, fingerprint included."""
        own = self.configuration, self.feature_size, self.num_tokens, self.fingerprint
        return own == (packet.configuration, packet.feature_size, packet.num_tokens, packet.fingerprint)

    def to_bytes(self) -> bytes:
        """The format in a hello, without the prior; the inverse of `read`."""
        configuration = self.configuration
        name = configuration.offload_point.encode("ascii")
        sizes = *self.feature_size, self.num_tokens, configuration.codebook_size
        flags = SPATIAL_ENCODER if configuration.spatial_encoder else 0
        return bytes([flags, len(name)]) + FIELDS.pack(self.fingerprint, *sizes) + name

    @classmethod
    def read(cls, cursor: Cursor) -> CodeFormat:
        """The format that comes next in a hello.

        Raises:
            ValueError: It is malformed.
            WireError: There are too few bytes.
        """
        flags, name_bytes = cursor.take(2, "code format")
        fingerprint, *size, num_tokens, codebook_size = cursor.unpack(FIELDS, "code format")
        check_range("flags", flags, 0, SPATIAL_ENCODER)
        check_range("name_bytes", name_bytes, 1, MAX_NAME_BYTES)
        name = bytes(cursor.take(name_bytes, "name"))
        return cls(read_configuration(name, bool(flags), codebook_size), tuple(size), num_tokens, fingerprint)

    def _encode(self, code: Planes) -> tuple[Coding, bytes]:
        if self.prior is None:
            return Coding.RAW, code if isinstance(code, bytes) else pack(self._planes(code))
        return encode_planes(self._planes(code), self.prior)

    def _planes(self, code: Planes) -> np.ndarray:
        shape = self.configuration.codebook_size, self.num_positions
        if isinstance(code, bytes):
            return unpack(code, *shape)
        check_planes(code)
        if code.shape != shape:
            raise ValueError(problem("planes", f"{shape} for {self.configuration}", code.shape))
        return code
