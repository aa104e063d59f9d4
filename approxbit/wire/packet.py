"""What an edge sends: a packet holds the code of one clip, or the clip itself; see `FORMAT.md`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from operator import index
from typing import Sequence

import numpy as np

from approxbit.configuration import Configuration, Shape3
from approxbit.errors import FingerprintError, WireError
from approxbit.wire.coding import Coding, Prior, check_payload, coding_of, decode_payload, encode_planes
from approxbit.wire.frame import (
    FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    BytesLike,
    Frame,
    Kind,
    check_range,
    expect_kind,
    problem,
    read_frame,
    read_head,
    write_frame,
)
from approxbit.wire.layers import Layers
from approxbit.wire.packing import check_planes, packed_bytes
from approxbit.wire.prior_sizes import MAX_CODEBOOK_SIZE
from approxbit.wire.stream import StreamPlace, reference_of

MAX_POSITIONS = 2**22
MAX_NAME_BYTES = 32

_FIELDS = struct.Struct(">Q3HHH")
_HEAD_CHECKSUM = struct.Struct(">I")
_SPATIAL_ENCODER = 0x01
_IN_STREAM = 0x02

HEADER_BYTES = FRAME_BYTES + _FIELDS.size
"""Header of a packet, 38 bytes, without the name of the offload point."""


@dataclass(frozen=True)
class Packet:
    """One clip on its way to the server. Every packet that exists is well formed.

    Usually made by `of_code` or `of_clip`; made directly when the payload is already there.

    Attributes:
        kind: `Kind.CODE` or `Kind.CLIP`.
        configuration: Which code this is; None for a clip.
        feature_size: Time, height and width of the feature at the offload point (not of the code's grid);
            of a clip, its own.
        payload: The coded bits; of a clip, its uint8 `[time, height, width, 3]` in C order.
        num_tokens: Class tokens beside the grid; 0 for a clip.
        fingerprint: Hash of the weights that made the payload and must finish it, 64 bits; 0 if they were
            never saved.
        sequence: Which clip of the session this is, 32 bits; its answer carries the same number.
        coding: How the payload is coded; of a clip, `Coding.RAW`.
        place: Where the code belongs in a stream, and which earlier one it was coded against; None for a code
            that belongs to no stream, and for a clip.

    Raises:
        TypeError: A number is not an integer, or the payload is not `bytes`.
        ValueError: A field is out of its bounds, or the fields contradict each other.
        WireError: The payload does not fit the other fields, or the coding is not known.
    """

    kind: Kind
    configuration: Configuration | None
    feature_size: Shape3
    payload: bytes
    num_tokens: int = 0
    fingerprint: int = 0
    sequence: int = 0
    coding: int = Coding.RAW
    place: StreamPlace | None = None

    def __post_init__(self):
        self._normalise()
        if self.kind not in (Kind.CODE, Kind.CLIP):
            raise ValueError(problem("kind", "Kind.CODE or Kind.CLIP", repr(self.kind)))
        if len(self.feature_size) != 3:
            raise ValueError(problem("feature_size", "(time, height, width)", self.feature_size))
        for field, extent in zip(("time", "height", "width"), self.feature_size):
            check_range(field, extent, 1, 0xFFFF)
        check_range("num_tokens", self.num_tokens, 0, 0xFFFF)
        check_range("fingerprint", self.fingerprint, 0, 2**64 - 1)
        check_range("sequence", self.sequence, 0, 2**32 - 1)
        if self.kind == Kind.CODE:
            self._check_code()
        else:
            self._check_clip()

    def _normalise(self) -> None:
        """Turn NumPy's integers into Python's, so that equal packets are equal; refuse what is no integer."""
        object.__setattr__(self, "feature_size", tuple(index(extent) for extent in self.feature_size))
        for field in ("num_tokens", "fingerprint", "sequence", "coding"):
            object.__setattr__(self, field, index(getattr(self, field)))
        if not isinstance(self.payload, bytes):
            raise TypeError(problem("payload", "bytes", type(self.payload).__name__))

    def _check_code(self) -> None:
        if self.configuration is None:
            raise ValueError(problem("configuration", "one such as '64-Enc-B8'", None))
        check_range("codebook_size", self.codebook_size, 1, MAX_CODEBOOK_SIZE)
        check_range("name_bytes", len(self.configuration.offload_point), 1, MAX_NAME_BYTES)
        check_range("positions", self.num_positions, 1, MAX_POSITIONS)
        raw_bytes = packed_bytes(self.codebook_size, self.num_positions)
        check_range("packed bytes", raw_bytes, 1, MAX_PAYLOAD_BYTES)
        object.__setattr__(self, "coding", coding_of(self.coding))
        self._check_place()
        check_payload(coding_of(self.coding), self.payload, self.codebook_size, self.num_positions)

    def _check_place(self) -> None:
        is_update = self.place is not None and not self.place.is_key
        if (self.coding == Coding.UPDATE) != is_update:
            expected = "of an update" if self.coding == Coding.UPDATE else "of a key packet, or none"
            raise ValueError(problem("place", f"one {expected} with coding {self.coding:d}", self.place))
        if self.place is not None and self.configuration is not None:
            times = self.configuration.grid_size(self.feature_size)[0]
            check_range("steps", self.place.steps, 0, times - 1)

    def _check_clip(self) -> None:
        absent = (self.configuration, self.num_tokens, self.coding, self.place)
        if absent != (None, 0, 0, None):
            expected = "None, 0, 0 and None in a clip"
            raise ValueError(problem("configuration, num_tokens, coding and place", expected, absent))
        time, height, width = self.feature_size
        num_bytes = 3 * time * height * width
        check_range("bytes of the clip", num_bytes, 3, MAX_PAYLOAD_BYTES)
        if len(self.payload) != num_bytes:
            size = "{} bytes for {} x {} x {} x 3".format(num_bytes, *self.feature_size)
            raise WireError(problem("payload", size, len(self.payload)))

    @classmethod
    def of_code(
        cls,
        configuration: Configuration,
        feature_size: Shape3,
        planes: np.ndarray,
        num_tokens: int = 0,
        fingerprint: int = 0,
        sequence: int = 0,
        prior: Prior | None = None,
        cuts: Sequence[int] = (),
        place: StreamPlace | None = None,
        earlier: np.ndarray | None = None,
    ) -> Packet:
        """The packet of one clip's code. Where coding saves nothing, the code is packed raw.

        Args:
            configuration: Offload point, spatial encoder and codebook size.
            feature_size: Time, height and width of the feature, as they were before the spatial encoder.
            planes: 0 and 1, uint8 or bool `[bit, position]`, as `pack` takes them.
            num_tokens: How many of the positions, the last ones, are class tokens.
            fingerprint: Of the codec's weights.
            sequence: Number of the clip.
            prior: The codec's tables or dictionary, for coding.
            cuts: After how many bits each layer ends, the last at all bits; by default, there are no layers.
            place: In a stream; that of an update becomes that of a key packet where the update saves nothing.
            earlier: Planes of the earlier code that the place of an update names.

        Raises:
            ValueError: `planes` is not a code of this configuration and size; the prior, the cuts or the
                earlier code do not fit it; the place is that of an update without the earlier code, or the
                other way round; or a field is out of bounds.
        """
        check_planes(planes)
        shape = (configuration.codebook_size, configuration.num_positions(feature_size, num_tokens))
        if planes.shape != shape:
            raise ValueError(problem("planes", f"{shape} for {configuration}", planes.shape))
        coding, payload = encode_planes(planes, prior, cuts, reference_of(place, earlier))
        if place is not None and coding != Coding.UPDATE:
            place = place.as_key()
        rest = (num_tokens, fingerprint, sequence, coding, place)
        return cls(Kind.CODE, configuration, feature_size, payload, *rest)

    @classmethod
    def of_clip(cls, clip: np.ndarray, fingerprint: int = 0, sequence: int = 0) -> Packet:
        """The packet of a clip that the server shall answer alone.

        Args:
            clip: RGB, uint8 `[time, height, width, 3]`.
            fingerprint: Of the unsplit model.
            sequence: Number of the clip.

        Raises:
            ValueError: `clip` has another type or shape, or a field is out of bounds.
        """
        if not isinstance(clip, np.ndarray) or clip.dtype != np.uint8 or clip.shape[3:] != (3,):
            found = "{} {}".format(getattr(clip, "dtype", type(clip).__name__), np.shape(clip))
            raise ValueError(problem("clip", "uint8 [time, height, width, 3]", found))
        time, height, width, _ = clip.shape
        return cls(
            Kind.CLIP, None, (time, height, width), clip.tobytes(), fingerprint=fingerprint, sequence=sequence
        )

    @property
    def codebook_size(self) -> int:
        """Bits per position; 0 for a clip."""
        return self.configuration.codebook_size if self.configuration else 0

    @property
    def num_positions(self) -> int:
        """Positions of the code: those of its grid, and one for each class token; 0 for a clip."""
        if self.configuration is None:
            return 0
        return self.configuration.num_positions(self.feature_size, self.num_tokens)

    @property
    def num_bits(self) -> int:
        """Leading bits of the codebook that the payload holds: all, but for a layered packet that was cut."""
        if self.coding != Coding.LAYERED:
            return self.codebook_size
        return self._layers().cuts[-1]

    @property
    def header_bytes(self) -> int:
        """Bytes of the packet that are not payload."""
        return len(self._head())

    @property
    def earlier_sequence(self) -> int | None:
        """Number of the earlier clip whose code this one was coded against; None if it needs none."""
        if self.place is None or self.place.is_key:
            return None
        return (self.sequence - self.place.back) % 2**32

    def planes(self, prior: Prior | None = None, earlier: np.ndarray | None = None) -> np.ndarray:
        """The bits of the code, uint8 `[bit, position]`; of a layered packet, those of its layers.

        Args:
            prior: The codec's tables or dictionary; a raw packet needs none.
            earlier: Planes of the code that an update names; other packets take none.

        Raises:
            ValueError: The packet holds a clip, or its coding needs other tables or another earlier code.
            WireError: The payload is not what the coding writes; never with raw coding.
        """
        if self.kind != Kind.CODE:
            raise ValueError("planes() needs a packet that holds a code, this one holds a clip: use clip()")
        reference = reference_of(self.place, earlier)
        coding, shape = coding_of(self.coding), (self.codebook_size, self.num_positions)
        return decode_payload(coding, self.payload, *shape, prior, reference)

    def keep_layers(self, num_layers: int) -> Packet:
        """The packet with its first layers alone, as it may be sent when there is no time for all.

        Raises:
            ValueError: The packet is not layered, or has not so many layers.
        """
        if self.coding != Coding.LAYERED:
            raise ValueError(problem("coding", "a layered packet", coding_of(self.coding).name))
        return replace(self, payload=self._layers().keep(num_layers).to_bytes())

    def clip(self) -> np.ndarray:
        """The clip, uint8 `[time, height, width, 3]`, read-only.

        Raises:
            ValueError: The packet holds a code.
        """
        if self.kind != Kind.CLIP:
            raise ValueError("clip() needs a packet that holds a clip, this one holds a code: use planes()")
        return np.frombuffer(self.payload, np.uint8).reshape(*self.feature_size, 3)

    def check_fingerprint(self, expected: int) -> None:
        """Let only packets pass that were made by the receiver's own weights.

        Raises:
            FingerprintError: They were made by others.
        """
        if self.fingerprint != expected:
            values = (f"{expected:#018x}", f"{self.fingerprint:#018x}")
            raise FingerprintError(
                problem("fingerprint", *values) + ": load the same weights on both sides of the link"
            )

    def to_bytes(self) -> bytes:
        """The packet on the wire; the inverse of `from_bytes`."""
        head = self._head()
        return write_frame(self.kind, self._details(), self.sequence, head[FRAME_BYTES:] + self.payload)

    @classmethod
    def from_bytes(cls, data: BytesLike) -> Packet:
        """Read a packet; the inverse of `to_bytes`. The checks and their order are those of `FORMAT.md`.

        Raises:
            TypeError: `data` is not bytes.
            WireError: `data` is anything but the bytes of one packet.
        """
        frame = read_frame(data)
        kind = expect_kind(frame, Kind.CODE, Kind.CLIP)
        try:
            return cls._of_frame(kind, frame)
        except ValueError as error:
            raise WireError(str(error)) from error

    @classmethod
    def from_prefix(cls, data: BytesLike) -> Packet:
        """The packet of as many layers as arrived whole, of the bytes of a layered packet that end anywhere.

        The head checksum and that of each layer stand in for the frame's, which needs all bytes.

        Raises:
            TypeError: `data` is not bytes.
            WireError: `data` does not begin a layered packet, or ends before its first layer does.
        """
        frame = read_head(data)
        expect_kind(frame, Kind.CODE)
        if coding_of(frame.details[0]) != Coding.LAYERED:
            raise WireError(problem("coding", "2: only a layered packet can be cut", frame.details[0]))
        try:
            return cls._of_frame(Kind.CODE, frame, is_whole=False)
        except ValueError as error:
            raise WireError(str(error)) from error

    @classmethod
    def _of_frame(cls, kind: Kind, frame: Frame, is_whole: bool = True) -> Packet:
        coding, flags, name_bytes = frame.details
        if len(frame.body) < _FIELDS.size:
            raise ValueError(problem("body_bytes", f"at least {_FIELDS.size}", len(frame.body)))
        fingerprint, time, height, width, num_tokens, codebook_size = _FIELDS.unpack_from(frame.body)
        check_range("flags", flags, 0, _SPATIAL_ENCODER | _IN_STREAM)
        rest = frame.body[_FIELDS.size :]
        check_range("name_bytes", name_bytes, 0, min(MAX_NAME_BYTES, len(rest)))
        name, payload = bytes(rest[:name_bytes]), bytes(rest[name_bytes:])
        configuration = _read_configuration(kind, name, flags, codebook_size)
        size, place = (time, height, width), None
        if flags & _IN_STREAM:
            place, place_bytes = StreamPlace.from_prefix(payload, is_key=coding != Coding.UPDATE)
            payload = payload[place_bytes:]
        if kind == Kind.CODE and coding == Coding.LAYERED:
            payload = _checked_layers(frame, payload, codebook_size, is_whole)
        numbers = (num_tokens, fingerprint, frame.sequence, coding)
        return cls(kind, configuration, size, payload, *numbers, place)

    def _layers(self) -> Layers:
        return Layers.from_bytes(self.payload, self.codebook_size)

    def _details(self) -> bytes:
        name = self.configuration.offload_point if self.configuration else ""
        flags = _SPATIAL_ENCODER if self.configuration and self.configuration.spatial_encoder else 0
        flags |= 0 if self.place is None else _IN_STREAM
        return bytes([self.coding, flags, len(name)])

    def _head(self) -> bytes:
        """All bytes before the payload; those of the frame that depend on the payload are 0."""
        name = self.configuration.offload_point.encode("ascii") if self.configuration else b""
        fields = _FIELDS.pack(self.fingerprint, *self.feature_size, self.num_tokens, self.codebook_size)
        body = fields + name + (b"" if self.place is None else self.place.to_bytes())
        if self.coding == Coding.LAYERED:
            body += _head_checksum(self._details(), self.sequence, body, self._layers().directory())
        return bytes(FRAME_BYTES) + body


def _head_checksum(details: bytes, sequence: int, fields: BytesLike, directory: bytes) -> bytes:
    """CRC-32 of what must be right before the layers of a packet that was cut mean anything."""
    covered = b"".join((details, sequence.to_bytes(4, "big"), bytes(fields), directory))
    return _HEAD_CHECKSUM.pack(zlib.crc32(covered))


def _checked_layers(frame: Frame, rest: bytes, codebook_size: int, is_whole: bool) -> bytes:
    """The payload behind a head checksum that is right; what is not whole and intact is left out of it."""
    found, payload = rest[: _HEAD_CHECKSUM.size], rest[_HEAD_CHECKSUM.size :]
    layers, directory, _missing_bytes = Layers.from_prefix(payload, codebook_size)
    fields = frame.body[: len(frame.body) - len(rest)]
    expected = _head_checksum(frame.details, frame.sequence, fields, directory)
    if found != expected:
        raise WireError(problem("head checksum", expected.hex(), found.hex()))
    return payload if is_whole else layers.to_bytes()


def _read_configuration(kind: Kind, name: bytes, flags: int, codebook_size: int) -> Configuration | None:
    if kind == Kind.CLIP:
        found = (flags, len(name), codebook_size)
        if found != (0, 0, 0):
            raise ValueError(problem("flags, name_bytes and codebook_size", "0 in a clip", found))
        return None
    check_range("codebook_size", codebook_size, 1, MAX_CODEBOOK_SIZE)
    try:
        return Configuration(name.decode("ascii"), bool(flags & _SPATIAL_ENCODER), codebook_size)
    except ValueError as error:
        expected = "letters, digits, '_' and '.', the last not at the beginning"
        raise ValueError(problem("name of the offload point", expected, name)) from error
