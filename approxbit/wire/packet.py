"""What an edge sends of a clip: its code, the clip itself, or compressed video; see `FORMAT.md`."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

import numpy as np

from approxbit.configuration import Configuration, Shape3
from approxbit.drawing import Drawing, page, table
from approxbit.errors import FingerprintError, WireError
from approxbit.wire.coding import Coding, check_payload, coding_of, decode_payload
from approxbit.wire.entropy import PriorTables
from approxbit.wire.frame import (
    FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_SEQUENCE,
    Cursor,
    Frame,
    Kind,
    Message,
    check_integer,
    check_range,
    problem,
    write_frame,
)
from approxbit.wire.picture import draw_bytes
from approxbit.wire.request import NOTHING_SAID, Request, check_binding
from approxbit.wire.sizes import (
    FIELDS,
    MAX_FINGERPRINT,
    MAX_NAME_BYTES,
    MAX_TOKENS,
    SPATIAL_ENCODER,
    check_code,
    check_name,
    check_size,
    read_configuration,
)
from approxbit.wire.window import WindowPlace, reference_of

MAX_VIDEO_PIXELS = 2**26
"""Of all frames of a compressed video together, so that a receiver knows what decoding it takes."""

IN_SESSION = 0x02
HAS_REQUEST = 0x04

HEADER_BYTES = FRAME_BYTES + FIELDS.size
"""Header of a packet that is readable without a session, 38 bytes, without the name."""


@dataclass(frozen=True)
class Packet(Message):
    """One clip on its way to the server. Every packet that exists is well formed.

    Usually made by `CodeFormat.packet`, `of_clip` or `of_video`. On the wire a packet has two forms:
    `to_bytes` writes the one that is readable by itself, a `Binding` the short one of a session. Both hold
    the same, but the short one has its `sequence` modulo 256.

    Attributes:
        configuration: Which code this is; None for a clip or a video.
        feature_size: Time, height and width of the feature at the offload point (not of the code's grid);
            of a clip or a video, frames, height and width.
        payload: The coded bits; of a clip, its uint8 `[time, height, width, 3]` in C order; or the video.
        num_tokens: Class tokens beside the grid; 0 without a code.
        fingerprint: Hash of the weights and the preprocessing that made the payload and must finish it, 64
            bits; 0 if they were never saved.
        sequence: Which clip of the sender this is, 32 bits; its answer carries the same number.
        coding: How the bits of a code are coded; `Coding.RAW` without a code.
        binding: Of the session that the code belongs to, 1 to 65535; None without a session or a code.
        place: Of an update, where it lies behind its earlier code, of the same binding; else None.
        request: What the server shall say.
        video_format: Of a video, its container and codec in FFmpeg's names, such as `mp4.h264`; else empty.

    Raises:
        TypeError: A number is not an integer, or the payload is not `bytes`.
        ValueError: A field is out of its bounds, or the fields contradict each other.
        WireError: The payload does not fit the other fields, or the coding is not known.
    """

    kinds = (Kind.CODE, Kind.CLIP, Kind.VIDEO)

    configuration: Configuration | None
    feature_size: Shape3
    payload: bytes
    num_tokens: int = 0
    fingerprint: int = 0
    sequence: int = 0
    coding: int = Coding.RAW
    binding: int | None = None
    place: WindowPlace | None = None
    request: Request = NOTHING_SAID
    video_format: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "feature_size", check_size(self.feature_size))
        for field, high in (
            ("num_tokens", MAX_TOKENS),
            ("fingerprint", MAX_FINGERPRINT),
            ("sequence", MAX_SEQUENCE),
        ):
            object.__setattr__(self, field, check_integer(field, getattr(self, field), 0, high))
        object.__setattr__(self, "coding", index(self.coding))
        object.__setattr__(self, "binding", check_binding(self.binding))
        if not isinstance(self.payload, bytes):
            raise TypeError(problem("payload", "bytes", type(self.payload).__name__))
        if self.kind == Kind.CODE:
            self._check_code()
        else:
            self._check_clip()

    def _check_code(self) -> None:
        assert self.configuration is not None
        if self.video_format:
            raise ValueError(problem("video_format", "none with a configuration", self.video_format))
        check_code(self.configuration, self.feature_size, self.num_tokens)
        coding = coding_of(self.coding)
        object.__setattr__(self, "coding", coding)
        if (coding == Coding.UPDATE) != (self.place is not None):
            expected = "that of an update" if coding == Coding.UPDATE else "none"
            raise ValueError(problem("place", f"{expected} with coding {coding:d}", self.place))
        if self.place is not None:
            if self.binding is None:
                raise ValueError(problem("binding", "that of the earlier code", None))
            times = self.configuration.grid_size(self.feature_size)[0]
            check_range("steps", self.place.steps, 0, times - 1)
        check_payload(coding, self.payload, self.codebook_size, self.num_positions)

    def _check_clip(self) -> None:
        absent = (self.num_tokens, self.coding, self.binding, self.place)
        if absent != (0, 0, None, None):
            expected = "0, 0, None and None without a code"
            raise ValueError(problem("num_tokens, coding, binding and place", expected, absent))
        time, height, width = self.feature_size
        if self.kind == Kind.VIDEO:
            check_range("name_bytes", len(self.video_format), 1, MAX_NAME_BYTES)
            check_name(self.video_format.encode("utf-8"))
            check_range("pixels of the video", time * height * width, 1, MAX_VIDEO_PIXELS)
            check_range("bytes of the video", len(self.payload), 1, MAX_PAYLOAD_BYTES)
            return
        num_bytes = 3 * time * height * width
        check_range("bytes of the clip", num_bytes, 3, MAX_PAYLOAD_BYTES)
        if len(self.payload) != num_bytes:
            size = "{} bytes for {} x {} x {} x 3".format(num_bytes, *self.feature_size)
            raise WireError(problem("payload", size, len(self.payload)))

    @classmethod
    def of_clip(
        cls, clip: np.ndarray, fingerprint: int = 0, sequence: int = 0, request: Request = NOTHING_SAID
    ) -> Packet:
        """The packet of a clip that the server shall answer alone.

        Args:
            clip: RGB, uint8 `[time, height, width, 3]`.
            fingerprint: Of the unsplit model.
            sequence: Number of the clip.
            request: What the server shall say.

        Raises:
            ValueError: `clip` has another type or shape, or a field is out of bounds.
        """
        if not isinstance(clip, np.ndarray) or clip.dtype != np.uint8 or clip.shape[3:] != (3,):
            found = "{} {}".format(getattr(clip, "dtype", type(clip).__name__), np.shape(clip))
            raise ValueError(problem("clip", "uint8 [time, height, width, 3]", found))
        time, height, width, _ = clip.shape
        return cls(None, (time, height, width), clip.tobytes(), 0, fingerprint, sequence, request=request)

    @classmethod
    def of_video(
        cls,
        video: bytes,
        video_format: str,
        size: Shape3,
        fingerprint: int = 0,
        sequence: int = 0,
        request: Request = NOTHING_SAID,
    ) -> Packet:
        """The packet of a clip as compressed video, that the server shall answer alone.

        Args:
            video: A file of its own, from its first byte to its last.
            video_format: Container and codec in FFmpeg's names, such as `mp4.h264`.
            size: Frames, height and width. A receiver MUST refuse what decodes to anything else.
            fingerprint: Of the unsplit model.
            sequence: Number of the clip.
            request: What the server shall say.

        Raises:
            ValueError: A field is out of bounds.
        """
        numbers = 0, fingerprint, sequence
        return cls(None, size, video, *numbers, request=request, video_format=video_format)

    @property
    def kind(self) -> Kind:
        """`Kind.CODE`, `Kind.CLIP` or `Kind.VIDEO`."""
        if self.configuration is not None:
            return Kind.CODE
        return Kind.VIDEO if self.video_format else Kind.CLIP

    @property
    def format_name(self) -> str:
        """What the payload is: a configuration such as `16-Enc-B5`, `clip`, or the format of a video."""
        return str(self.configuration) if self.configuration else self.video_format or "clip"

    @property
    def codebook_size(self) -> int:
        """Bits per position; 0 without a code."""
        return self.configuration.codebook_size if self.configuration else 0

    @property
    def num_positions(self) -> int:
        """Positions of the code: those of its grid, and one for each class token; 0 without a code."""
        if self.configuration is None:
            return 0
        return self.configuration.num_positions(self.feature_size, self.num_tokens)

    @property
    def earlier_sequence(self) -> int | None:
        """Of an update, the number of the earlier clip, modulo 256; else None."""
        return None if self.place is None else (self.sequence - self.place.back) % 256

    @property
    def header_bytes(self) -> int:
        """Bytes of the packet that are not payload, in the form that is readable by itself."""
        return FRAME_BYTES + len(self._head())

    def planes(self, prior: PriorTables | None = None, earlier: np.ndarray | None = None) -> np.ndarray:
        """The bits of the code, uint8 `[bit, position]`.

        Args:
            prior: The codec's tables; a raw packet needs none.
            earlier: Planes of the code that an update names; other packets take none.

        Raises:
            ValueError: The packet holds no code, or its coding needs other tables or another earlier code.
            WireError: The payload is not what the coding writes; never with raw coding.
        """
        if self.kind != Kind.CODE:
            raise ValueError("planes() needs a packet that holds a code, this one holds a clip: use clip()")
        reference = reference_of(self.place, earlier)
        coding, shape = coding_of(self.coding), (self.codebook_size, self.num_positions)
        return decode_payload(coding, self.payload, *shape, prior, reference)

    def clip(self) -> np.ndarray:
        """The clip, uint8 `[time, height, width, 3]`, read-only.

        Raises:
            ValueError: The packet holds a code or a video.
        """
        if self.kind != Kind.CLIP:
            raise ValueError(problem("kind", "a packet that holds a clip", self.kind.name))
        return np.frombuffer(self.payload, np.uint8).reshape(*self.feature_size, 3)

    def draw(self) -> Drawing:
        """Header and payload to scale, and the first bytes of both."""
        return draw_bytes([("header", self.to_bytes()[: self.header_bytes]), ("payload", self.payload)])

    def __repr__(self) -> str:
        what = self.configuration or self.format_name
        return f"<Packet {self.sequence}: {what}, {self.header_bytes} + {len(self.payload):,} bytes>"

    def _repr_html_(self) -> str:
        facts = {
            "what": str(self.configuration or self.format_name),
            "feature (time, height, width)": str(self.feature_size),
            "class tokens": str(self.num_tokens),
            "coding": str(self.coding),
            "fingerprint": f"{self.fingerprint:016x}",
            "sequence": str(self.sequence),
        }
        return page(repr(self)[1:-1], self.draw().svg(), table(["field", "value"], facts.items()))

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
        """The packet on the wire, readable by itself; the inverse of `from_bytes`."""
        name = self._name()
        flags = SPATIAL_ENCODER if self.configuration and self.configuration.spatial_encoder else 0
        flags |= 0 if self.binding is None else IN_SESSION
        flags |= HAS_REQUEST if self.request.to_bytes() else 0
        details = bytes([self.coding, flags, len(name)])
        return write_frame(self.kind, details, self.sequence, self._head() + self.payload)

    def _name(self) -> bytes:
        name = self.configuration.offload_point if self.configuration else self.video_format
        return name.encode("ascii")

    def _head(self) -> bytes:
        """The body without the payload."""
        numbers = self.fingerprint, *self.feature_size, self.num_tokens, self.codebook_size
        binding = b"" if self.binding is None else self.binding.to_bytes(2, "big")
        place = b"" if self.place is None else self.place.to_bytes()
        return FIELDS.pack(*numbers) + self._name() + binding + self.request.to_bytes() + place

    @classmethod
    def of_frame(cls, frame: Frame) -> Packet:
        """See `Message`."""
        coding, flags, name_bytes = frame.details
        cursor, is_code = Cursor(frame.body), frame.kind == Kind.CODE
        fingerprint, *size, num_tokens, codebook_size = cursor.unpack(FIELDS, "fields of the packet")
        check_range("flags", flags, 0, SPATIAL_ENCODER | IN_SESSION | HAS_REQUEST)
        check_range("name_bytes", name_bytes, 0 if frame.kind == Kind.CLIP else 1, MAX_NAME_BYTES)
        name = bytes(cursor.take(name_bytes, "name"))
        configuration, video_format = None, ""
        if is_code:
            configuration = read_configuration(name, bool(flags & SPATIAL_ENCODER), codebook_size)
        elif (flags & ~HAS_REQUEST, codebook_size) != (0, 0) or (name and frame.kind == Kind.CLIP):
            found = (flags, codebook_size, name_bytes)
            raise ValueError(problem("flags, codebook_size and name_bytes", "none of a code", found))
        else:
            video_format = check_name(name) if name else ""
        binding = int.from_bytes(cursor.take(2, "binding"), "big") if flags & IN_SESSION else None
        request = Request.read(cursor) if flags & HAS_REQUEST else NOTHING_SAID
        place = WindowPlace.read(cursor) if is_code and coding == Coding.UPDATE else None
        numbers = num_tokens, fingerprint, frame.sequence, coding, binding, place
        return cls(configuration, tuple(size), bytes(cursor.take_rest()), *numbers, request, video_format)
