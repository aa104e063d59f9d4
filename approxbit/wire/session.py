"""How a session opens: a hello says what codes may come, a welcome gives each a number; see `FORMAT.md`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from approxbit.errors import WireError
from approxbit.wire.binding import Binding
from approxbit.wire.code_format import CodeFormat
from approxbit.wire.content import DEFAULT_WANTED, Wanted
from approxbit.wire.frame import (
    MAX_SEQUENCE,
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
from approxbit.wire.refusal import Status
from approxbit.wire.request import MAX_BINDING

MAX_FORMATS = 255

_NOT_SERVED = (Status.WRONG_WEIGHTS, Status.UNSUPPORTED)


def _draw_nonce() -> int:
    return int.from_bytes(os.urandom(4), "big")


@dataclass(frozen=True)
class Hello(Message):
    """What an edge says before its first short message.

    Attributes:
        formats: Of the codes that it may send, 1 to 255 different ones. Their priors do not cross.
        wanted: Which answer, where a packet does not say.
        sequence: Its number, from the same counter as those of clips; the welcome carries it.
        nonce: 32 bits, drawn at random: it enters the checksum of every short message, so that none is read
            under a binding that was given to another edge since.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A field is out of its bounds, or a format is there twice.
    """

    kinds = (Kind.HELLO,)

    formats: tuple[CodeFormat, ...]
    wanted: Wanted = DEFAULT_WANTED
    sequence: int = 0
    nonce: int = field(default_factory=_draw_nonce)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(self.formats))
        object.__setattr__(self, "sequence", check_integer("sequence", self.sequence, 0, MAX_SEQUENCE))
        object.__setattr__(self, "nonce", check_integer("nonce", self.nonce, 0, 2**32 - 1))
        check_range("number of formats", len(self.formats), 1, MAX_FORMATS)
        entries = [each.to_bytes() for each in self.formats]
        if len(set(entries)) < len(entries):
            raise ValueError(problem("formats", "different ones", "one twice"))

    def bindings(self, welcome: Welcome) -> dict[int, Binding]:
        """The bindings of the formats that are served, by their numbers; the same on edge and server.

        Raises:
            WireError: The welcome is not the answer to this hello.
        """
        if welcome.sequence != self.sequence:
            raise WireError(problem("sequence", f"{self.sequence}, the hello's", welcome.sequence))
        if len(welcome.refused) != len(self.formats):
            found = len(welcome.refused)
            raise WireError(problem("formats of the welcome", f"{len(self.formats)}, the hello's", found))
        numbered = zip(range(welcome.binding, MAX_BINDING + 1), self.formats, welcome.refused)
        return {
            number: Binding(number, each, self.wanted, self.nonce)
            for number, each, status in numbered
            if status is None
        }

    def to_bytes(self) -> bytes:
        """The hello on the wire; the inverse of `from_bytes`."""
        details = bytes([len(self.formats), 0, 0])
        head = self.nonce.to_bytes(4, "big") + self.wanted.to_bytes()
        body = head + b"".join(each.to_bytes() for each in self.formats)
        return write_frame(Kind.HELLO, details, self.sequence, body)

    @classmethod
    def of_frame(cls, frame: Frame) -> Hello:
        """See `Message`."""
        expect_zeros(frame.details[1:])
        cursor = Cursor(frame.body)
        nonce = int.from_bytes(cursor.take(4, "nonce"), "big")
        wanted = Wanted.read(cursor)
        formats = tuple(CodeFormat.read(cursor) for _ in range(frame.details[0]))
        cursor.expect_end("last code format")
        return cls(formats, wanted, frame.sequence, nonce)


@dataclass(frozen=True)
class Welcome(Message):
    """What a server says to a hello, if it serves one of the formats at least; else it sends a refusal.

    Attributes:
        sequence: The hello's.
        binding: The number of the first format; those of the others follow it one by one, up to 65535.
        refused: For each format of the hello why it is not served, `WRONG_WEIGHTS` or `UNSUPPORTED`; None if
            it is.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A field is out of its bounds, or no format is served.
    """

    kinds = (Kind.WELCOME,)

    sequence: int
    binding: int
    refused: tuple[Status | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequence", check_integer("sequence", self.sequence, 0, MAX_SEQUENCE))
        check_range("number of formats", len(self.refused), 1, MAX_FORMATS)
        last = MAX_BINDING + 1 - len(self.refused)
        object.__setattr__(self, "binding", check_integer("binding", self.binding, 1, last))
        object.__setattr__(self, "refused", tuple(_checked_refusal(each) for each in self.refused))
        if None not in self.refused:
            raise ValueError(problem("served formats", "at least one", 0))

    def to_bytes(self) -> bytes:
        """The welcome on the wire; the inverse of `from_bytes`."""
        details = b"\0" + self.binding.to_bytes(2, "big")
        return write_frame(Kind.WELCOME, details, self.sequence, bytes(each or 0 for each in self.refused))

    @classmethod
    def of_frame(cls, frame: Frame) -> Welcome:
        """See `Message`."""
        expect_zeros(frame.details[:1])
        check_range("number of formats", len(frame.body), 1, MAX_FORMATS)
        refused = tuple(_checked_refusal(each or None) for each in frame.body)
        return cls(frame.sequence, int.from_bytes(frame.details[1:], "big"), refused)


def _checked_refusal(status: int | None) -> Status | None:
    if status is not None and status not in _NOT_SERVED:
        expected = "none, " + " or ".join(f"{each:d} ({each.name})" for each in _NOT_SERVED)
        raise ValueError(problem("status of a format", expected, status))
    return None if status is None else Status(status)
