"""The frame that every message shares; see `FORMAT.md`.

magic (3) | version (1) | checksum (4) | body_bytes (4) | kind (1) | details (3) | sequence (4) | body
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from operator import index
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, TypeVar, Union

from approxbit.errors import WireError

BytesLike = Union[bytes, bytearray, memoryview]
_Read = TypeVar("_Read")
_Message = TypeVar("_Message", bound="Message")

MAGIC = b"AXB"
VERSION = 1
FRAME_BYTES = 20
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
MAX_BODY_BYTES = MAX_PAYLOAD_BYTES + 8192
"""Longest body of any message: the longest payload, and room for what stands before it."""

MAX_SEQUENCE = 2**32 - 1

_PREFIX = MAGIC + bytes([VERSION])
_CHECKSUM = struct.Struct(">I")
_REST = struct.Struct(">IB3sI")
_REST_AT = len(_PREFIX) + _CHECKSUM.size


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    WELCOME = 2
    CODE = 3
    CLIP = 4
    VIDEO = 5
    QUESTION = 6
    ANSWER = 7
    REFUSAL = 8


class Frame(NamedTuple):
    """An intact message whose kind has not been looked at.

    Attributes:
        kind: One of `Kind`, or a number that nobody knows.
        details: Three bytes whose meaning depends on the kind.
        sequence: Which clip of the session this is about, 0 to 2^32 - 1.
        body: All that follows; a view of the received bytes, not a copy.
    """

    kind: int
    details: bytes
    sequence: int
    body: memoryview


def problem(field: str, expected: object, found: object) -> str:
    """What is wrong with a field, in the words of every message of this room."""
    return f"{field}: expected {expected}, found {found}"


def check_range(field: str, value: int, low: int, high: int) -> None:
    """Let only integers from `low` to `high` pass.

    Raises:
        ValueError: `value` lies outside.
    """
    if not low <= value <= high:
        raise ValueError(problem(field, f"{low} to {high}", value))


def check_integer(field: str, value: int, low: int, high: int) -> int:
    """A number of any integer type, NumPy's too, as Python's own, so that equal messages are equal.

    Raises:
        TypeError: `value` is not an integer.
        ValueError: `value` lies outside of `low` to `high`.
    """
    number = index(value)
    check_range(field, number, low, high)
    return number


class Cursor:
    """Reads a body from its beginning to its end.

    Args:
        body: Any bytes.
    """

    def __init__(self, body: BytesLike):
        self._rest = view_of(body)

    @property
    def num_left(self) -> int:
        """Bytes that have not been taken."""
        return len(self._rest)

    def take(self, num_bytes: int, field: str) -> memoryview:
        """The next bytes, not copied.

        Raises:
            WireError: There are fewer.
        """
        if num_bytes > len(self._rest):
            raise WireError(problem(field, f"{num_bytes} bytes", len(self._rest)))
        taken, self._rest = self._rest[:num_bytes], self._rest[num_bytes:]
        return taken

    def unpack(self, layout: struct.Struct, field: str) -> tuple[Any, ...]:
        """The numbers that come next.

        Raises:
            WireError: There are too few bytes.
        """
        return layout.unpack(self.take(layout.size, field))

    def expect_end(self, field: str) -> None:
        """Let nothing follow what was read last.

        Raises:
            WireError: Something does.
        """
        if self._rest:
            raise WireError(problem(field, "the end of the message behind it", f"{self.num_left} bytes"))

    def take_rest(self) -> memoryview:
        """All that is left, not copied."""
        return self.take(self.num_left, "body")


def write_frame(kind: Kind, details: bytes, sequence: int, body: bytes) -> bytes:
    """The bytes of a message; the inverse of `read_frame`.

    Example:
        >>> write_frame(Kind.ANSWER, b"...", 7, b"body").hex(" ", 4)
        '41584201 03fe5ffe 00000004 072e2e2e 00000007 626f6479'
    """
    rest = _REST.pack(len(body), kind, details, sequence) + body
    return _PREFIX + _CHECKSUM.pack(_checksum(rest)) + rest


def read_frame(data: BytesLike) -> Frame:
    """The frame of a message, with magic, version, length and checksum verified in this order.

    Nothing is allocated here but a few numbers, whatever length the message declares.

    Raises:
        TypeError: `data` is not bytes.
        WireError: The message is not intact.
    """
    view = view_of(data)
    if len(view) < FRAME_BYTES:
        raise WireError(problem("message", f"at least {FRAME_BYTES} bytes", len(view)))
    if view[: len(MAGIC)] != MAGIC:
        raise WireError(problem("magic", MAGIC.hex(), view[: len(MAGIC)].hex()))
    if view[len(MAGIC)] != VERSION:
        raise WireError(problem("version", VERSION, view[len(MAGIC)]))
    (declared,) = _CHECKSUM.unpack_from(view, len(_PREFIX))
    body_bytes, kind, details, sequence = _REST.unpack_from(view, _REST_AT)
    body = view[FRAME_BYTES:]
    if body_bytes > MAX_BODY_BYTES:
        raise WireError(problem("body_bytes", f"at most {MAX_BODY_BYTES}", body_bytes))
    if body_bytes != len(body):
        raise WireError(
            problem("body_bytes", f"the declared {body_bytes}", f"{len(body)} bytes after the frame")
        )
    checksum = _checksum(view[_REST_AT:])
    if declared != checksum:
        raise WireError(problem("checksum", f"{checksum:08x}", f"{declared:08x}"))
    return Frame(kind, details, sequence, body)


def parse(data: BytesLike, readers: Mapping[Kind, Callable[[Frame], _Read]]) -> _Read:
    """Read a message of one of the kinds that there are readers for.

    Raises:
        TypeError: `data` is not bytes.
        WireError: The message is not intact, of another kind, or its reader found it malformed.
    """
    frame = read_frame(data)
    if frame.kind not in tuple(readers):
        expected = " or ".join(f"{kind:d} ({kind.name})" for kind in readers)
        raise WireError(problem("kind", expected, frame.kind))
    try:
        return readers[Kind(frame.kind)](frame)
    except ValueError as error:
        raise WireError(str(error)) from error


class Message:
    """What every framed message has in common.

    Attributes:
        kinds: Which of them a class of messages reads.
    """

    kinds: ClassVar[tuple[Kind, ...]]

    @classmethod
    def of_frame(cls: type[_Message], frame: Frame) -> _Message:
        """Read a message whose frame was read.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        raise NotImplementedError

    @classmethod
    def from_bytes(cls: type[_Message], data: BytesLike) -> _Message:
        """Read a message; the inverse of `to_bytes`. The checks and their order are those of `FORMAT.md`.

        Raises:
            TypeError: `data` is not bytes.
            WireError: `data` is anything but the bytes of one message of the class.
        """
        return parse(data, dict.fromkeys(cls.kinds, cls.of_frame))


def expect_zeros(reserved: BytesLike) -> None:
    """Let only reserved bytes pass that are 0.

    Raises:
        WireError: One is not.
    """
    if any(reserved):
        raise WireError(problem("reserved", bytes(len(reserved)).hex(), bytes(reserved).hex()))


def _checksum(rest: BytesLike) -> int:
    """CRC-32 of a message without the four bytes of the checksum itself."""
    return zlib.crc32(rest, zlib.crc32(_PREFIX))


def view_of(data: BytesLike) -> memoryview:
    """Any bytes, not copied.

    Raises:
        TypeError: `data` is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(problem("message", "bytes", type(data).__name__))
    return memoryview(data).cast("B")
