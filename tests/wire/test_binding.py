"""Short messages: everything that they do not say is what edge and server agreed on, or they are refused."""

from __future__ import annotations

import binascii
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import SessionError, WireError
from approxbit.wire import (
    SHORT_HEADER_BYTES,
    Answer,
    AnswerKind,
    Binding,
    CodeFormat,
    Coding,
    LateQuestion,
    Logits,
    Packet,
    Refusal,
    Request,
    Status,
    TensorAnswer,
    Text,
    Tokens,
    TopK,
    Wanted,
    WindowPlace,
    is_short,
    pack,
    read_reply,
    read_sent,
    wanted_of,
)
from approxbit.wire.binding import read_short
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import Reference

FORMAT = CodeFormat(Configuration.parse("3-Enc-B3"), (2, 3, 3), 1, 0x0123456789ABCDEF)
BINDING = Binding(257, FORMAT, Wanted(AnswerKind.LOGITS, 0), 0x5EED1234)
BINDINGS = {257: BINDING}
PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)
CODE = FORMAT.packet(PLANES, 7, 257)
REPLIES: list[Answer | Refusal] = [
    Answer(7, Logits(np.zeros(3, np.float32)), 1.5, 20.25),
    Answer(7, TopK((2, 0), (-0.5, -1.0))),
    Answer(7, TopK((70000,), (0.0,))),
    Answer(7, Text("left")),
    Answer(7, Tokens((5, 6))),
    Answer(7, Tokens((5, 70000))),
    Answer(7, TensorAnswer(np.ones((2, 1), np.float16))),
    Refusal(7, "busy", Status.BUSY, 1500),
    *(Refusal(7, "", status) for status in Status),
]


def sealed(binding: Binding, tag: int, body: bytes, sequence: int = 7) -> bytes:
    """A short message written by hand, with a right checksum whatever stands in it."""
    head = bytes([tag]) + binding.number.to_bytes(2, "big") + bytes([sequence])
    known = binding.nonce.to_bytes(4, "big") + binding.wanted.to_bytes() + binding.code_format.to_bytes()
    return head + binascii.crc_hqx(known + head + body, 0).to_bytes(2, "big") + body


def test_the_header_of_a_code_has_6_bytes() -> None:
    data = BINDING.write(CODE)
    assert len(data) == 6 + len(CODE.payload) == SHORT_HEADER_BYTES + 2
    assert data == sealed(BINDING, 0x80, CODE.payload)
    assert len(CODE.to_bytes()) == 42 + 2


def test_a_code_comes_back_whole() -> None:
    received = read_sent(BINDING.write(CODE), BINDINGS)
    assert received == CODE
    assert isinstance(received, Packet)
    np.testing.assert_array_equal(received.planes(), PLANES)


def test_the_sequence_crosses_modulo_256() -> None:
    assert read_sent(BINDING.write(replace(CODE, sequence=0x12345)), BINDINGS).sequence == 0x45
    late = LateQuestion(256, 1, Request(Text("?")), 257)
    assert read_sent(BINDING.write(late), BINDINGS) == replace(late, sequence=0)


@pytest.mark.parametrize(
    "request_",
    [
        Request(Text("what moves?")),
        Request(Tokens((70000,)), Wanted(AnswerKind.TEXT, 9)),
        Request(wanted=Wanted()),
    ],
)
def test_a_request_rides_in_a_code(request_: Request) -> None:
    asking = replace(CODE, request=request_)
    data = BINDING.write(asking)
    assert data == sealed(BINDING, 0x84, request_.to_bytes() + CODE.payload)
    assert read_sent(data, BINDINGS) == asking


@pytest.mark.parametrize("number_of_steps", [0, 1])
def test_an_update_and_a_coded_code_come_back(number_of_steps: int, make_prior) -> None:
    prior = make_prior(num_reference=7)
    known = CodeFormat(Configuration("B3", False, 4), (2, 3, 3), 0, 5, prior)
    binding, ones = Binding(9, known), np.ones((4, 18), np.uint8)
    key = known.packet(ones, 6, 9)
    assert binding.write(key) == sealed(binding, 0x88, key.payload, 6)
    assert read_sent(binding.write(key), {9: binding}) == key
    coding, payload = encode_planes(ones, prior, Reference(ones, number_of_steps))
    place = WindowPlace.after(pack(ones), 1, number_of_steps)
    update = replace(key, payload=payload, coding=coding, place=place, sequence=7)
    data = binding.write(update)
    assert data == sealed(binding, 0x90, place.to_bytes() + payload)
    received = read_sent(data, {9: binding})
    assert received == update
    assert isinstance(received, Packet)
    assert (received.coding, received.earlier_sequence) == (Coding.UPDATE, 6)
    np.testing.assert_array_equal(received.planes(prior, ones), ones)


@pytest.mark.parametrize("reply", REPLIES)
def test_every_reply_comes_back_and_is_shorter(reply: Answer | Refusal) -> None:
    data = BINDING.write(reply)
    assert read_reply(data, BINDINGS) == reply
    assert read_reply(reply.to_bytes(), BINDINGS) == reply
    assert len(data) == len(reply.to_bytes()) - 14


def test_five_classes_take_30_bytes() -> None:
    answer = Answer(7, TopK.of_logits(np.arange(240, dtype=np.float32)), 1.5, 20.25)
    assert len(BINDING.write(answer)) == 30
    assert len(BINDING.write(Answer(7, Logits(np.zeros(240, np.float32))))) == 970


@pytest.mark.parametrize("message", [CODE, *REPLIES, LateQuestion(8, 1, Request(Text("why?")), 257)])
def test_every_flipped_bit_is_noticed(message: Any) -> None:
    data = BINDING.write(message)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(WireError):
            (read_reply if isinstance(message, Answer | Refusal) else read_sent)(bytes(damaged), BINDINGS)


@pytest.mark.parametrize(
    "other",
    [
        replace(BINDING, nonce=0x5EED1235),
        replace(BINDING, wanted=Wanted()),
        replace(BINDING, code_format=replace(FORMAT, fingerprint=FORMAT.fingerprint ^ 1)),
        replace(BINDING, code_format=replace(FORMAT, feature_size=(2, 3, 4))),
        replace(BINDING, code_format=replace(FORMAT, configuration=Configuration.parse("3-Enc-B4"))),
    ],
)
def test_a_message_of_another_session_is_not_read_under_a_binding(other: Binding) -> None:
    for message in (CODE, REPLIES[0]):
        with pytest.raises(SessionError, match=r"checksum: expected [0-9a-f]{4}, found [0-9a-f]{4}"):
            read_short(BINDING.write(message), {257: other})


def test_an_unknown_binding_is_a_session_that_is_gone() -> None:
    with pytest.raises(SessionError, match="binding: expected one of a session that is open, found 257"):
        read_sent(BINDING.write(CODE))
    assert Refusal.of_error(7, SessionError("binding")).status == Status.NO_SESSION


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\1\1\7\0", "short header: expected 2 bytes, found 1"),
        (b"\x80\1\1", "short header: expected 4 bytes, found 3"),
        (sealed(BINDING, 0x81, CODE.payload), "reserved bits of the tag: expected 0 to 0, found 1"),
        (sealed(BINDING, 0x82, CODE.payload), "reserved bits of the tag: expected 0 to 0, found 2"),
        (sealed(BINDING, 0x98, CODE.payload), "coding: expected 0 to 2, found 3"),
        (sealed(BINDING, 0x80, CODE.payload + b"\0"), "payload: expected 2 bytes for 3 x 5 bits, found 3"),
        (sealed(BINDING, 0x80, b"\xb2\x79"), "padding: expected 1 zero bits at the end, found 1"),
        (sealed(BINDING, 0x84, b""), "request: expected 1 bytes, found 0"),
        (sealed(BINDING, 0x88, b"\1\1"), "payload: expected at most 1 bytes, found 2 bytes in coding 1"),
        (sealed(BINDING, 0x90, b"\1\0\0"), "place of the window: expected 4 bytes, found 3"),
        (sealed(BINDING, 0x90, b"\0\0\0\0"), "back: expected 1 to 255, found 0"),
        (sealed(BINDING, 0x90, b"\1\1\0\0"), "steps: expected 0 to 0, found 1"),
        (sealed(BINDING, 0xA1, b"\1\1\0\1?"), "reserved bits of the tag: expected 0 to 0, found 1"),
        (sealed(BINDING, 0xB0, b"\1\1\0\1?"), "reserved bits of the tag: expected 0 to 0, found 16"),
        (sealed(BINDING, 0xA0, b"\1\1\0\1??"), "question: expected the end of the message behind it"),
        (sealed(BINDING, 0xC0, bytes(8)), "kind of the short message: expected Packet .* found Answer"),
        (sealed(BINDING, 0xE4, bytes(2)), "kind of the short message: expected Packet .* found Refusal"),
    ],
)  # fmt: skip
def test_a_malformed_short_message_of_an_edge_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read_sent(data, BINDINGS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (sealed(BINDING, 0xC1, bytes(8)), "reserved bits of the tag: expected 0 to 0, found 1"),
        (sealed(BINDING, 0xC2, bytes(8)), "width of numbers: expected none with LOGITS, found 32 bits"),
        (sealed(BINDING, 0xD4, bytes(8)), "kind of the answer: expected 0 to 4, found 5"),
        (sealed(BINDING, 0xC0, bytes(3)), "times: expected 4 bytes, found 3"),
        (sealed(BINDING, 0xE0, bytes(2)), "status: expected 1 to 7, found 0"),
        (sealed(BINDING, 0xFF, bytes(2)), "status: expected 1 to 7, found 31"),
        (BINDING.write(CODE), "kind of the short message: expected Answer or Refusal, found Packet"),
    ],
)
def test_a_malformed_short_reply_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read_reply(data, BINDINGS)


def test_only_what_belongs_to_a_binding_is_written_under_it() -> None:
    with pytest.raises(ValueError, match="binding: expected 257, found 258"):
        BINDING.write(replace(CODE, binding=258))
    with pytest.raises(ValueError, match="binding: expected 257, found None"):
        BINDING.write(LateQuestion(7, 1, Request(Text("?"))))
    with pytest.raises(
        ValueError, match="packet: expected the format of the binding, 3-Enc-B3, found 3-Enc-B3"
    ):
        BINDING.write(replace(CODE, fingerprint=5))
    clip = Packet.of_clip(np.zeros((1, 1, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="binding: expected 257, found None"):
        BINDING.write(clip)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, FORMAT), "binding: expected 1 to 65535, found 0"),
        ((65536, FORMAT), "binding: expected 1 to 65535, found 65536"),
        ((1, FORMAT, Wanted(), -1), "nonce: expected 0 to 4294967295, found -1"),
    ],
)
def test_a_binding_has_its_bounds(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Binding(*arguments)


def test_the_first_bit_tells_short_messages_from_framed_ones() -> None:
    assert is_short(BINDING.write(CODE))
    assert not is_short(CODE.to_bytes())
    assert not is_short(b"")


def test_what_is_wanted_is_said_by_the_packet_or_the_session_or_nobody() -> None:
    own = Wanted(AnswerKind.TEXT, 0)
    assert wanted_of(replace(CODE, request=Request(wanted=own)), BINDINGS) == own
    assert wanted_of(CODE, BINDINGS) == BINDING.wanted
    assert wanted_of(LateQuestion(8, 1, Request(Text("?")), 257), BINDINGS) == BINDING.wanted
    assert wanted_of(CODE) == wanted_of(replace(CODE, binding=None), BINDINGS) == Wanted(AnswerKind.TOP_K, 5)


@pytest.mark.parametrize(
    ("read", "data"), [(read_sent, REPLIES[0].to_bytes()), (read_reply, CODE.to_bytes())]
)
def test_each_side_reads_only_what_the_other_sends(read: Any, data: bytes) -> None:
    with pytest.raises(WireError, match="kind: expected"):
        read(data)
    with pytest.raises(TypeError, match="message: expected bytes, found str"):
        read("AXB")
