"""What a server shall say of a clip: which answer is wanted, and to which question; see `FORMAT.md`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Union

from approxbit.wire.content import Wanted
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
from approxbit.wire.text import Text, Tokens
from approxbit.wire.window import MAX_BACK

MAX_QUESTION_BYTES = 4096
MAX_BINDING = 2**16 - 1

Question = Union[Text, Tokens]

_NUM_BYTES = struct.Struct(">H")
_TEXT, _TOKENS, _WIDE_TOKENS = 1, 2, 3
_QUESTION_MASK, _HAS_WANTED = 3, 4


@dataclass(frozen=True)
class Request:
    """What the server shall say.

    Attributes:
        question: Text, or tokens of the server's model; None for what the model says by itself.
        wanted: Which answer; None for the one that the session's hello names, and without a session for the
            five likeliest classes.

    Raises:
        TypeError: The question is neither.
        ValueError: It has no byte, or more than 4096.
    """

    question: Question | None = None
    wanted: Wanted | None = None

    def __post_init__(self) -> None:
        if self.question is None:
            return
        if not isinstance(self.question, (Text, Tokens)):
            raise TypeError(problem("question", "Text or Tokens", type(self.question).__name__))
        check_range("bytes of the question", len(self.question.to_bytes()), 1, MAX_QUESTION_BYTES)

    def to_bytes(self) -> bytes:
        """The section of a message; the inverse of `read`. Empty where nothing is said.

        Example:
            >>> Request(Text("why?")).to_bytes().hex()
            '0100047768793f'
        """
        what = 0 if self.wanted is None else _HAS_WANTED
        section = b"" if self.wanted is None else self.wanted.to_bytes()
        if self.question is not None:
            content = self.question.to_bytes()
            what |= _TEXT if isinstance(self.question, Text) else _TOKENS + self.question.is_wide
            section += _NUM_BYTES.pack(len(content)) + content
        return bytes([what]) + section if what else b""

    @classmethod
    def read(cls, cursor: Cursor) -> Request:
        """The section that comes next in a message that says that there is one.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        (what,) = cursor.take(1, "request")
        check_range("request", what, 1, _HAS_WANTED | _QUESTION_MASK)
        wanted = Wanted.read(cursor) if what & _HAS_WANTED else None
        return cls(_read_question(what & _QUESTION_MASK, cursor), wanted)


def _read_question(kind: int, cursor: Cursor) -> Question | None:
    if not kind:
        return None
    (num_bytes,) = cursor.unpack(_NUM_BYTES, "question")
    check_range("bytes of the question", num_bytes, 1, MAX_QUESTION_BYTES)
    content = cursor.take(num_bytes, "question")
    if kind == _TEXT:
        return Text.from_bytes(content)
    return Tokens.from_bytes(content, kind == _WIDE_TOKENS)


NOTHING_SAID = Request()


@dataclass(frozen=True)
class LateQuestion(Message):
    """A question about a clip whose code was sent before.

    Attributes:
        sequence: Its own number, from the same counter as those of clips; the answer carries it.
        back: By how many numbers the clip lies before it, 1 to 255.
        request: With a question.
        binding: That of the earlier code, 1 to 65535; None for a packet that had none, where the link tells
            by itself whose packets are whose.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A field is out of its bounds, or there is no question.
    """

    kinds = (Kind.QUESTION,)

    sequence: int
    back: int
    request: Request
    binding: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequence", check_integer("sequence", self.sequence, 0, MAX_SEQUENCE))
        object.__setattr__(self, "back", check_integer("back", self.back, 1, MAX_BACK))
        object.__setattr__(self, "binding", check_binding(self.binding))
        if self.request.question is None:
            raise ValueError(problem("question", "Text or Tokens", None))

    @property
    def earlier_sequence(self) -> int:
        """Number of the clip that the question is about, modulo 256."""
        return (self.sequence - self.back) % 256

    def body(self) -> bytes:
        """What the message holds in either form."""
        return bytes([self.back]) + self.request.to_bytes()

    @classmethod
    def of_body(cls, sequence: int, body: BytesLike, binding: int | None) -> LateQuestion:
        """Read what the message holds in either form; the inverse of `body`.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        cursor = Cursor(body)
        (back,) = cursor.take(1, "back")
        request = Request.read(cursor)
        cursor.expect_end("question")
        return cls(sequence, back, request, binding)

    def to_bytes(self) -> bytes:
        """The question on the wire, readable without a session; the inverse of `from_bytes`."""
        details = b"\0" + (self.binding or 0).to_bytes(2, "big")
        return write_frame(Kind.QUESTION, details, self.sequence, self.body())

    @classmethod
    def of_frame(cls, frame: Frame) -> LateQuestion:
        """See `Message`."""
        expect_zeros(frame.details[:1])
        binding = int.from_bytes(frame.details[1:], "big") or None
        return cls.of_body(frame.sequence, frame.body, binding)


def check_binding(number: int | None) -> int | None:
    """The number of a binding as Python's own integer, or None.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is out of bounds.
    """
    return None if number is None else check_integer("binding", number, 1, MAX_BINDING)
