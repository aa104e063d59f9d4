"""Why a server does not answer; see `FORMAT.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from approxbit.errors import FingerprintError, SessionError, WireError
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

MAX_REASON_BYTES = 512
RETRY_STEP_MS = 10
MAX_RETRY_MS = RETRY_STEP_MS * (2**16 - 1)

_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f]")


class Status(IntEnum):
    """Why a message was refused."""

    MALFORMED = 1
    """The bytes are not a well-formed message; the sequence number may be unknown, and 0."""
    WRONG_WEIGHTS = 2
    """The fingerprint is not that of the server's weights and preprocessing."""
    UNSUPPORTED = 3
    """The message is well formed, but the server does not serve its configuration, size, kind or request."""
    BUSY = 4
    """The server has too much to do; the same packet may be sent again."""
    FAILED = 5
    """The server tried and failed."""
    NEEDS_KEY = 6
    """The server has not, or not any more, the earlier code that an update or a question refers to."""
    NO_SESSION = 7
    """The message is short, and of no session that the server knows."""


@dataclass(frozen=True)
class Refusal(Message):
    """Why there is no answer.

    Attributes:
        sequence: The packet's, or 0 if it could not be read; in a session, modulo 256.
        reason: One line for people: at most 512 bytes of UTF-8 without control characters; may be empty.
        status: The same for programs.
        retry_after_ms: When the same packet may be sent again, up to 655350; 0 if the server does not say.
            Kept as it crosses, rounded up to 10 ms.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A field is not as described.
    """

    kinds = (Kind.REFUSAL,)

    sequence: int
    reason: str = ""
    status: Status = Status.FAILED
    retry_after_ms: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequence", check_integer("sequence", self.sequence, 0, MAX_SEQUENCE))
        object.__setattr__(self, "status", status_of(self.status))
        retry_ms = check_integer("retry_after_ms", self.retry_after_ms, 0, MAX_RETRY_MS)
        object.__setattr__(self, "retry_after_ms", -(-retry_ms // RETRY_STEP_MS) * RETRY_STEP_MS)
        # A reason is shown in terminals, where control characters could do anything.
        if _CONTROL_CHARACTERS.search(self.reason):
            raise ValueError(problem("reason", "no control characters", ascii(self.reason)))
        check_range("bytes of the reason", len(self.reason.encode("utf-8")), 0, MAX_REASON_BYTES)

    @classmethod
    def of_error(cls, sequence: int, error: Exception) -> Refusal:
        """The refusal that tells of an exception; its message is made to fit.

        `FingerprintError` becomes `WRONG_WEIGHTS`, `SessionError` `NO_SESSION`, any other `WireError`
        `MALFORMED`, and the rest `FAILED`.

        Example:
            >>> Refusal.of_error(7, WireError("payload: expected 2 bytes, found 3")).status
            <Status.MALFORMED: 1>
        """
        status = Status.FAILED
        for kind, each in _STATUSES:
            if isinstance(error, kind):
                status = each
        text = _CONTROL_CHARACTERS.sub(" ", str(error)).strip() or type(error).__name__
        short = text.encode("utf-8", "replace")[:MAX_REASON_BYTES]
        return cls(sequence, short.decode("utf-8", "ignore"), status)

    def body(self) -> bytes:
        """What the message holds in either form, behind the status."""
        return (self.retry_after_ms // RETRY_STEP_MS).to_bytes(2, "big") + self.reason.encode("utf-8")

    @classmethod
    def of_body(cls, sequence: int, status: int, body: BytesLike) -> Refusal:
        """Read what the message holds in either form; the inverse of `body`.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        cursor = Cursor(body)
        retry_ms = RETRY_STEP_MS * int.from_bytes(cursor.take(2, "retry_after"), "big")
        check_range("bytes of the reason", cursor.num_left, 0, MAX_REASON_BYTES)
        reason = bytes(cursor.take_rest())
        try:
            text = reason.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(problem("reason", "UTF-8", reason[:16].hex())) from error
        return cls(sequence, text, status_of(status), retry_ms)

    def to_bytes(self) -> bytes:
        """The refusal on the wire, readable without a session; the inverse of `from_bytes`."""
        return write_frame(Kind.REFUSAL, bytes([self.status, 0, 0]), self.sequence, self.body())

    @classmethod
    def of_frame(cls, frame: Frame) -> Refusal:
        """See `Message`."""
        expect_zeros(frame.details[1:])
        return cls.of_body(frame.sequence, frame.details[0], frame.body)


_STATUSES = (
    (WireError, Status.MALFORMED),
    (FingerprintError, Status.WRONG_WEIGHTS),
    (SessionError, Status.NO_SESSION),
)


def status_of(number: int) -> Status:
    """The status of a number.

    Raises:
        ValueError: There is none.
    """
    check_range("status", number, min(Status), max(Status))
    return Status(number)
