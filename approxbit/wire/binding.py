"""The short messages of a session, whose header has 6 bytes; see `FORMAT.md`.

tag (1) | binding (2) | sequence modulo 256 (1) | checksum (2) | body
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Mapping, Union

from approxbit.errors import SessionError, WireError
from approxbit.wire.answer import Answer
from approxbit.wire.code_format import CodeFormat
from approxbit.wire.coding import Coding
from approxbit.wire.content import DEFAULT_WANTED, Wanted, content_kind
from approxbit.wire.frame import BytesLike, Cursor, check_integer, check_range, problem, view_of
from approxbit.wire.packet import HAS_REQUEST, Packet
from approxbit.wire.refusal import Refusal
from approxbit.wire.request import MAX_BINDING, NOTHING_SAID, LateQuestion, Request
from approxbit.wire.window import WindowPlace

SHORT_HEADER_BYTES = 6
SHORT = 0x80
"""The highest bit of the first byte: set in short messages, and not in the magic of the others."""

_CODE, _QUESTION, _ANSWER, _REFUSAL = 0x00, 0x20, 0x40, 0x60
_KIND_MASK, _REST_MASK = 0x60, 0x1F
_CODING_SHIFT, _RESERVED_OF_CODE = 3, 0x03
_KIND_SHIFT, _IS_WIDE, _RESERVED_OF_ANSWER = 2, 0x02, 0x01
_HEAD, _CHECKSUM = struct.Struct(">BHB"), struct.Struct(">H")

ShortMessage = Union[Packet, LateQuestion, Answer, Refusal]


@dataclass(frozen=True)
class Binding:
    """What both sides of a session know of one of its code formats, so that a message need not say it.

    Attributes:
        number: 1 to 65535.
        code_format: Of all codes under the binding.
        wanted: Which answer, where a packet does not say.
        nonce: The hello's, 32 bits.

    Raises:
        TypeError: A number is not an integer.
        ValueError: A number is out of its bounds.
    """

    number: int
    code_format: CodeFormat
    wanted: Wanted = DEFAULT_WANTED
    nonce: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", check_integer("binding", self.number, 1, MAX_BINDING))
        object.__setattr__(self, "nonce", check_integer("nonce", self.nonce, 0, 2**32 - 1))

    @cached_property
    def seal(self) -> int:
        """Where the checksum of every short message begins: the CRC-16 of what it takes for granted."""
        known = self.nonce.to_bytes(4, "big") + self.wanted.to_bytes() + self.code_format.to_bytes()
        return binascii.crc_hqx(known, 0)

    def write(self, message: ShortMessage) -> bytes:
        """A code, a late question, an answer or a refusal as a short message; `read_short` reads it.

        Raises:
            ValueError: The message is of another binding or format, or holds a clip.
        """
        if isinstance(message, Packet):
            tag, body = self._code(message)
        elif isinstance(message, LateQuestion):
            self._check_number(message.binding)
            tag, body = _QUESTION, message.body()
        elif isinstance(message, Answer):
            kind = content_kind(message.content) << _KIND_SHIFT
            tag, body = _ANSWER | kind | (_IS_WIDE if message.content.is_wide else 0), message.body()
        else:
            tag, body = _REFUSAL | message.status, message.body()
        head = _HEAD.pack(SHORT | tag, self.number, message.sequence % 256)
        return head + self.checksum(head, body) + body

    def read(self, tag: int, sequence: int, body: BytesLike) -> ShortMessage:
        """The message of a header and a body whose checksum is right.

        Raises:
            ValueError: It is malformed.
            WireError: The same.
        """
        kind, rest = tag & _KIND_MASK, tag & _REST_MASK
        if kind == _CODE:
            return self._read_code(rest, sequence, Cursor(body))
        if kind == _QUESTION:
            check_range("reserved bits of the tag", rest, 0, 0)
            return LateQuestion.of_body(sequence, body, self.number)
        if kind == _ANSWER:
            check_range("reserved bits of the tag", rest & _RESERVED_OF_ANSWER, 0, 0)
            return Answer.of_body(sequence, rest >> _KIND_SHIFT, bool(rest & _IS_WIDE), body)
        return Refusal.of_body(sequence, rest, body)

    def check(self, head: BytesLike, checksum: BytesLike, body: BytesLike) -> None:
        """Let only messages pass that were written under this very binding.

        Raises:
            SessionError: The checksum is another.
        """
        expected = self.checksum(head, body)
        if checksum != expected:
            raise SessionError(problem("checksum", expected.hex(), bytes(checksum).hex()))

    def checksum(self, head: BytesLike, body: BytesLike) -> bytes:
        """The two bytes between the first four of a message and its body."""
        return _CHECKSUM.pack(binascii.crc_hqx(body, binascii.crc_hqx(head, self.seal)))

    def _check_number(self, number: object) -> None:
        if number != self.number:
            raise ValueError(problem("binding", self.number, number))

    def _code(self, packet: Packet) -> tuple[int, bytes]:
        self._check_number(packet.binding)
        if not self.code_format.is_of(packet):
            expected = f"the format of the binding, {self.code_format.configuration}"
            raise ValueError(problem("packet", expected, packet.configuration))
        request = packet.request.to_bytes()
        place = b"" if packet.place is None else packet.place.to_bytes()
        tag = _CODE | packet.coding << _CODING_SHIFT | (HAS_REQUEST if request else 0)
        return tag, request + place + packet.payload

    def _read_code(self, rest: int, sequence: int, cursor: Cursor) -> Packet:
        check_range("reserved bits of the tag", rest & _RESERVED_OF_CODE, 0, 0)
        coding, known = rest >> _CODING_SHIFT, self.code_format
        request = Request.read(cursor) if rest & HAS_REQUEST else NOTHING_SAID
        place = WindowPlace.read(cursor) if coding == Coding.UPDATE else None
        return Packet(
            known.configuration,
            known.feature_size,
            bytes(cursor.take_rest()),
            known.num_tokens,
            known.fingerprint,
            sequence,
            coding,
            self.number,
            place,
            request,
        )


def is_short(data: BytesLike) -> bool:
    """Whether some bytes begin like a short message.

    Example:
        >>> is_short(b"AXB"), is_short(bytes([128]))
        (False, True)
    """
    view = view_of(data)
    return len(view) > 0 and view[0] >= SHORT


def read_short(data: BytesLike, bindings: Mapping[int, Binding]) -> ShortMessage:
    """Read a short message; the inverse of `Binding.write`.

    Args:
        data: Bytes that begin like one.
        bindings: Of the sessions that the receiver knows, by their numbers.

    Raises:
        TypeError: `data` is not bytes.
        SessionError: The message is of no binding that is known, or damaged: the two look the same.
        WireError: It is malformed.
    """
    cursor = Cursor(data)
    head = cursor.take(_HEAD.size, "short header")
    checksum = cursor.take(_CHECKSUM.size, "short header")
    tag, number, sequence = _HEAD.unpack(head)
    binding = bindings.get(number)
    if binding is None:
        raise SessionError(problem("binding", "one of a session that is open", number))
    body = cursor.take_rest()
    binding.check(head, checksum, body)
    try:
        return binding.read(tag & ~SHORT, sequence, body)
    except ValueError as error:
        raise WireError(str(error)) from error
