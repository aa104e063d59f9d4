"""What a server sends back: an answer, or a refusal with its reason; see `FORMAT.md`."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from operator import index

import numpy as np

from approxbit.errors import FingerprintError, WireError
from approxbit.wire.frame import (
    BytesLike,
    Frame,
    Kind,
    check_range,
    expect_kind,
    problem,
    read_frame,
    write_frame,
)

MAX_CLASSES = 65536
MAX_REASON_BYTES = 512

_TIMES = struct.Struct(">dd")
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f]")


class Status(IntEnum):
    """Why a packet was refused."""

    MALFORMED = 1
    """The bytes are not a well-formed packet; the sequence number may be unknown, and 0."""
    WRONG_WEIGHTS = 2
    """The packet's fingerprint is not that of the server's weights."""
    UNSUPPORTED = 3
    """The packet is well formed, but the server does not serve its configuration, size or kind."""
    BUSY = 4
    """The server has too much to do; the same packet may be sent again."""
    FAILED = 5
    """The server tried and failed."""
    NEEDS_KEY = 6
    """The server has not, or not any more, the earlier code that the packet was coded against."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the server half says about one clip. Every answer that exists is well formed.

    Attributes:
        sequence: The packet's.
        logits: float32 `[class]`, finite; kept as a read-only copy.
        decode_ms: What the server spent on unpacking and decoding the code.
        server_ms: What it spent in the server half.

    Raises:
        TypeError: `sequence` is not an integer.
        ValueError: Another field is not as described.
    """

    sequence: int
    logits: np.ndarray
    decode_ms: float = 0.0
    server_ms: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "sequence", index(self.sequence))
        check_range("sequence", self.sequence, 0, 2**32 - 1)
        for field in ("decode_ms", "server_ms"):
            value = float(getattr(self, field))
            object.__setattr__(self, field, value)
            # Minus zero equals zero, and would give equal answers two byte strings.
            if not 0 <= value < math.inf or math.copysign(1, value) < 0:
                raise ValueError(problem(field, "finite milliseconds of 0 or more", value))
        object.__setattr__(self, "logits", _checked_logits(self.logits))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The answer on the wire; the inverse of `from_bytes`."""
        body = _TIMES.pack(self.decode_ms, self.server_ms) + self.logits.astype(">f4").tobytes()
        return write_frame(Kind.ANSWER, bytes(3), self.sequence, body)

    @classmethod
    def from_bytes(cls, data: BytesLike) -> Answer:
        """Read an answer; the inverse of `to_bytes`.

        Raises:
            TypeError: `data` is not bytes.
            WireError: `data` is anything but the bytes of one answer.
        """
        frame = read_frame(data)
        expect_kind(frame, Kind.ANSWER)
        return cls._of_frame(frame)

    @classmethod
    def _of_frame(cls, frame: Frame) -> Answer:
        if frame.details != bytes(3):
            raise WireError(problem("reserved", "000000", frame.details.hex()))
        num_bytes = len(frame.body) - _TIMES.size
        if num_bytes % 4 or not 4 <= num_bytes <= 4 * MAX_CLASSES:
            expected = f"{_TIMES.size} and 4 for each of 1 to {MAX_CLASSES} classes"
            raise WireError(problem("body_bytes", expected, len(frame.body)))
        decode_ms, server_ms = _TIMES.unpack_from(frame.body)
        logits = np.frombuffer(frame.body, ">f4", offset=_TIMES.size).astype(np.float32)
        try:
            return cls(frame.sequence, logits, decode_ms, server_ms)
        except ValueError as error:
            raise WireError(str(error)) from error


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer to a packet.

    Attributes:
        sequence: The packet's, or 0 if it could not be read.
        reason: One line for people: 1 to 512 bytes of UTF-8 without control characters.
        status: The same for programs.

    Raises:
        TypeError: `sequence` is not an integer.
        ValueError: A field is not as described.
    """

    sequence: int
    reason: str
    status: Status = Status.FAILED

    def __post_init__(self):
        object.__setattr__(self, "sequence", index(self.sequence))
        check_range("sequence", self.sequence, 0, 2**32 - 1)
        object.__setattr__(self, "status", _checked_status(self.status))
        # A reason is shown in terminals, where control characters could do anything.
        if _CONTROL_CHARACTERS.search(self.reason):
            raise ValueError(problem("reason", "no control characters", ascii(self.reason)))
        check_range("bytes of the reason", len(self.reason.encode("utf-8")), 1, MAX_REASON_BYTES)

    @classmethod
    def of_error(cls, sequence: int, error: Exception) -> Refusal:
        """The refusal that tells of an exception; its message is made to fit.

        `FingerprintError` becomes `WRONG_WEIGHTS`, any other `WireError` `MALFORMED`, and the rest `FAILED`.

        Example:
            >>> Refusal.of_error(7, WireError("payload: expected 2 bytes, found 3")).status
            <Status.MALFORMED: 1>
        """
        status = Status.FAILED
        if isinstance(error, WireError):
            status = Status.WRONG_WEIGHTS if isinstance(error, FingerprintError) else Status.MALFORMED
        text = _CONTROL_CHARACTERS.sub(" ", str(error)).strip() or type(error).__name__
        short = text.encode("utf-8", "replace")[:MAX_REASON_BYTES]
        return cls(sequence, short.decode("utf-8", "ignore"), status)

    def to_bytes(self) -> bytes:
        """The refusal on the wire; the inverse of `from_bytes`."""
        details = bytes([self.status, 0, 0])
        return write_frame(Kind.REFUSAL, details, self.sequence, self.reason.encode("utf-8"))

    @classmethod
    def from_bytes(cls, data: BytesLike) -> Refusal:
        """Read a refusal; the inverse of `to_bytes`.

        Raises:
            TypeError: `data` is not bytes.
            WireError: `data` is anything but the bytes of one refusal.
        """
        frame = read_frame(data)
        expect_kind(frame, Kind.REFUSAL)
        return cls._of_frame(frame)

    @classmethod
    def _of_frame(cls, frame: Frame) -> Refusal:
        if frame.details[1:] != bytes(2):
            raise WireError(problem("reserved", "0000", frame.details[1:].hex()))
        if not 1 <= len(frame.body) <= MAX_REASON_BYTES:
            raise WireError(problem("body_bytes", f"1 to {MAX_REASON_BYTES}", len(frame.body)))
        try:
            reason = bytes(frame.body).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(problem("reason", "UTF-8", bytes(frame.body[:16]).hex())) from error
        try:
            return cls(frame.sequence, reason, _checked_status(frame.details[0]))
        except ValueError as error:
            raise WireError(str(error)) from error


def read_reply(data: BytesLike) -> Answer | Refusal:
    """What a server sent back, whichever of the two it is; `to_bytes` of the result gives `data` again.

    Raises:
        TypeError: `data` is not bytes.
        WireError: `data` is neither an answer nor a refusal.
    """
    frame = read_frame(data)
    if expect_kind(frame, Kind.ANSWER, Kind.REFUSAL) == Kind.ANSWER:
        return Answer._of_frame(frame)
    return Refusal._of_frame(frame)


def _checked_status(number: int) -> Status:
    check_range("status", number, min(Status), max(Status))
    return Status(number)


def _checked_logits(logits: np.ndarray) -> np.ndarray:
    if not isinstance(logits, np.ndarray) or logits.dtype != np.float32 or logits.ndim != 1:
        found = "{} {}".format(getattr(logits, "dtype", type(logits).__name__), np.shape(logits))
        raise ValueError(problem("logits", "float32 [class]", found))
    check_range("number of logits", len(logits), 1, MAX_CLASSES)
    if not np.isfinite(logits).all():
        place = int(np.flatnonzero(~np.isfinite(logits))[0])
        found = f"{logits[place]} at class {place}"
        raise ValueError(problem("logits", "finite numbers", found))
    copy = np.array(logits, np.float32)
    copy.flags.writeable = False
    return copy
