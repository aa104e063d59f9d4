"""The frame that every message shares; see `FORMAT.md`.

magic (3) | version (1) | checksum (4) | body_bytes (4) | kind (1) | details (3) | sequence (4) | body
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple, Union

from approxbit.errors import WireError

BytesLike = Union[bytes, bytearray, memoryview]

MAGIC = b"AXB"
VERSION = 1
FRAME_BYTES = 20
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
MAX_BODY_BYTES = MAX_PAYLOAD_BYTES + 1024
"""Longest body of any message: the longest payload, and room for what stands before it."""

_PREFIX = MAGIC + bytes([VERSION])
_CHECKSUM = struct.Struct(">I")
_REST = struct.Struct(">IB3sI")
_DECLARED = struct.Struct(">II")
_REST_AT = len(_PREFIX) + _CHECKSUM.size


class Kind(IntEnum):
    """What a message is."""

    CODE = 1
    CLIP = 2
    ANSWER = 3
    REFUSAL = 4


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


def write_frame(kind: Kind, details: bytes, sequence: int, body: bytes) -> bytes:
    """The bytes of a message; the inverse of `read_frame`.

    Example:
        >>> write_frame(Kind.ANSWER, b"...", 7, b"body").hex(" ", 4)
        '41584201 00f86481 00000004 032e2e2e 00000007 626f6479'
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
    frame, view = read_head(data), _view(data)
    (declared, body_bytes) = _DECLARED.unpack_from(view, len(_PREFIX))
    if body_bytes > MAX_BODY_BYTES:
        raise WireError(problem("body_bytes", f"at most {MAX_BODY_BYTES}", body_bytes))
    if body_bytes != len(frame.body):
        found = f"{len(frame.body)} bytes after the frame"
        raise WireError(problem("body_bytes", f"the declared {body_bytes}", found))
    checksum = _checksum(view[_REST_AT:])
    if declared != checksum:
        raise WireError(problem("checksum", f"{checksum:08x}", f"{declared:08x}"))
    return frame


def read_head(data: BytesLike) -> Frame:
    """The frame of a message of which the end may be missing, with nothing verified but magic and version.

    Raises:
        TypeError: `data` is not bytes.
        WireError: There are fewer bytes than a frame has, or they are not a frame's.
    """
    view = _view(data)
    if len(view) < FRAME_BYTES:
        raise WireError(problem("message", f"at least {FRAME_BYTES} bytes", len(view)))
    if view[: len(MAGIC)] != MAGIC:
        raise WireError(problem("magic", MAGIC.hex(), view[: len(MAGIC)].hex()))
    if view[len(MAGIC)] != VERSION:
        raise WireError(problem("version", VERSION, view[len(MAGIC)]))
    _, kind, details, sequence = _REST.unpack_from(view, _REST_AT)
    return Frame(kind, details, sequence, view[FRAME_BYTES:])


def expect_kind(frame: Frame, *kinds: Kind) -> Kind:
    """The kind of a frame, if it is one of `kinds`.

    Raises:
        WireError: It is another one.
    """
    if frame.kind not in kinds:
        expected = " or ".join(f"{kind:d} ({kind.name})" for kind in kinds)
        raise WireError(problem("kind", expected, frame.kind))
    return Kind(frame.kind)


def _checksum(rest: BytesLike) -> int:
    """CRC-32 of a message without the four bytes of the checksum itself."""
    return zlib.crc32(rest, zlib.crc32(_PREFIX))


def _view(data: BytesLike) -> memoryview:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(problem("message", "bytes", type(data).__name__))
    return memoryview(data).cast("B")
