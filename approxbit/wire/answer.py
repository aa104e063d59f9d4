"""What a server says about one clip; see `FORMAT.md`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.content import Content, content_kind, kind_of, read_content
from approxbit.wire.frame import (
    MAX_SEQUENCE,
    BytesLike,
    Cursor,
    Frame,
    Kind,
    Message,
    check_integer,
    check_range,
    expect_zeros,
    problem,
    write_frame,
)

LONGEST_MS = 65504.0
"""What a time says that is as long or longer: the largest number of half precision."""


@dataclass(frozen=True)
class Answer(Message):
    """What the server half says about one clip. Every answer that exists is well formed.

    Attributes:
        sequence: The packet's; in a session, modulo 256.
        content: Logits, the likeliest classes, text, tokens or a tensor.
        decode_ms: What the server spent on unpacking and decoding the code. Kept as it crosses, in half
            precision: to about 1 part in 2000, and never above 65504.
        server_ms: The same of the server half.

    Raises:
        TypeError: `sequence` is not an integer, or the content none.
        ValueError: A field is not as described.
    """

    kinds = (Kind.ANSWER,)

    sequence: int
    content: Content
    decode_ms: float = 0.0
    server_ms: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequence", check_integer("sequence", self.sequence, 0, MAX_SEQUENCE))
        content_kind(self.content)
        for field in ("decode_ms", "server_ms"):
            value = float(getattr(self, field))
            # Minus zero equals zero, and would give equal answers two byte strings.
            if not value >= 0 or np.signbit(value):
                raise ValueError(problem(field, "milliseconds of 0 or more", value))
            object.__setattr__(self, field, float(np.float16(min(value, LONGEST_MS))))

    def body(self) -> bytes:
        """What the message holds in either form."""
        return np.array([self.decode_ms, self.server_ms], ">f2").tobytes() + self.content.to_bytes()

    @classmethod
    def of_body(cls, sequence: int, kind: int, is_wide: bool, body: BytesLike) -> Answer:
        """Read what the message holds in either form; the inverse of `body`.

        Args:
            sequence: From its header.
            kind: Of its content.
            is_wide: Whether the numbers of the content have 32 bits each.
            body: All that follows the header.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        cursor = Cursor(body)
        decode_ms, server_ms = np.frombuffer(cursor.take(4, "times"), ">f2").tolist()
        for field, value in (("decode_ms", decode_ms), ("server_ms", server_ms)):
            if value > LONGEST_MS:
                raise WireError(problem(field, "finite milliseconds", value))
        return cls(sequence, read_content(kind_of(kind), is_wide, cursor.take_rest()), decode_ms, server_ms)

    def to_bytes(self) -> bytes:
        """The answer on the wire, readable without a session; the inverse of `from_bytes`."""
        details = bytes([content_kind(self.content), self.content.is_wide, 0])
        return write_frame(Kind.ANSWER, details, self.sequence, self.body())

    @classmethod
    def of_frame(cls, frame: Frame) -> Answer:
        """See `Message`."""
        kind, is_wide, _ = frame.details
        check_range("width of numbers", is_wide, 0, 1)
        expect_zeros(frame.details[2:])
        return cls.of_body(frame.sequence, kind, bool(is_wide), frame.body)
