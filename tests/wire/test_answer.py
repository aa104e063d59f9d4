from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import FingerprintError, WireError
from approxbit.wire import Answer, Kind, Packet, Refusal, Status, read_reply
from approxbit.wire.answer import MAX_CLASSES
from approxbit.wire.frame import write_frame

LOGITS = np.array([1.5, -2.0, 0.25], np.float32)
TIMES = struct.pack(">dd", 1.5, 20.25)
FLOATS = struct.pack(">3f", 1.5, -2.0, 0.25)


def forged_answer(times: bytes = TIMES, floats: bytes = FLOATS, details: bytes = bytes(3)) -> bytes:
    return write_frame(Kind.ANSWER, details, 7, times + floats)


def forged_refusal(reason: bytes = b"busy", details: bytes = b"\x04\0\0") -> bytes:
    return write_frame(Kind.REFUSAL, details, 7, reason)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    st.floats(0, 1e308).map(abs),
    st.floats(0, 1e-300).map(abs),
)
def test_every_answer_comes_back(
    sequence: int, logits: list[float], decode_ms: float, server_ms: float
) -> None:
    answer = Answer(sequence, np.array(logits, np.float32), decode_ms, server_ms)
    received = read_reply(answer.to_bytes())
    assert isinstance(received, Answer)
    assert received == answer == Answer.from_bytes(answer.to_bytes())
    assert hash(received) == hash(answer)
    assert (received.sequence, received.decode_ms, received.server_ms) == (sequence, decode_ms, server_ms)
    assert received.logits.tobytes() == answer.logits.tobytes() == np.array(logits, np.float32).tobytes()
    assert received.logits.dtype == np.float32


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128),
    st.sampled_from(Status),
)
def test_every_refusal_comes_back(sequence: int, reason: str, status: Status) -> None:
    refusal = Refusal(sequence, reason, status)
    assert read_reply(refusal.to_bytes()) == refusal == Refusal.from_bytes(refusal.to_bytes())


def test_the_most_classes_and_the_longest_reason_come_back() -> None:
    answer = Answer(0, np.ones(MAX_CLASSES, np.float32))
    assert read_reply(answer.to_bytes()) == answer
    refusal = Refusal(0, "ä" * 256)
    assert read_reply(refusal.to_bytes()) == refusal


def test_an_answer_keeps_its_own_logits() -> None:
    logits = LOGITS.copy()
    answer = Answer(7, logits)
    logits[0] = 0
    assert answer.logits[0] == 1.5
    with pytest.raises(ValueError, match="read-only"):
        answer.logits[0] = 0


def test_answers_that_differ_are_not_equal() -> None:
    answer = Answer(7, LOGITS, 1.5, 20.25)
    others = (Answer(8, LOGITS, 1.5, 20.25), Answer(7, -LOGITS, 1.5, 20.25), Answer(7, LOGITS, 1.5), None)
    assert all(answer != other for other in others)


def test_forged_is_what_to_bytes_writes() -> None:
    assert forged_answer() == Answer(7, LOGITS, 1.5, 20.25).to_bytes()
    assert forged_refusal() == Refusal(7, "busy", Status.BUSY).to_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged_answer(details=b"\0\0\1"), "reserved: expected 000000, found 000001"),
        (forged_answer(floats=b""), "body_bytes: expected 16 and 4 for each of 1 to 65536 classes, found 16"),
        (forged_answer(times=b"", floats=b""), "body_bytes: expected 16 and 4 for each .*, found 0"),
        (forged_answer(floats=FLOATS + b"\0"), "body_bytes: expected 16 and 4 for each .*, found 29"),
        (forged_answer(floats=bytes(4 * 65537)), "body_bytes: expected 16 and 4 for each .*, found 262164"),
        (forged_answer(struct.pack(">dd", math.nan, 0)), "decode_ms: expected finite .*, found nan"),
        (forged_answer(struct.pack(">dd", -0.0, 0)), "decode_ms: expected finite .*, found -0.0"),
        (forged_answer(struct.pack(">dd", 0, math.inf)), "server_ms: expected finite .*, found inf"),
        (forged_answer(floats=struct.pack(">2f", 0, math.nan)),
         "logits: expected finite numbers, found nan at class 1"),
        (forged_answer(floats=struct.pack(">f", -math.inf)),
         "logits: expected finite numbers, found -inf at class 0"),
        (forged_refusal(details=b"\1\0\1"), "reserved: expected 0000, found 0001"),
        (forged_refusal(b""), "body_bytes: expected 1 to 512, found 0"),
        (forged_refusal(b"a" * 513), "body_bytes: expected 1 to 512, found 513"),
        (forged_refusal(b"\xc0\x80"), "reason: expected UTF-8, found c080"),
        (forged_refusal(details=bytes(3)), "status: expected 1 to 6, found 0"),
        (forged_refusal(details=b"\7\0\0"), "status: expected 1 to 6, found 7"),
        (forged_refusal(b"\x1b[2J"), r"reason: expected no control characters, found '\\x1b\[2J'"),
        (forged_refusal("\x9b2J".encode()), "reason: expected no control characters"),
        (b"", "message: expected at least 20 bytes, found 0"),
    ],
)  # fmt: skip
def test_a_malformed_reply_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read_reply(data)


def test_each_reads_only_its_own_kind() -> None:
    packet = Packet.of_clip(np.zeros((1, 1, 1, 3), np.uint8)).to_bytes()
    with pytest.raises(WireError, match=r"kind: expected 3 \(ANSWER\), found 4"):
        Answer.from_bytes(forged_refusal())
    with pytest.raises(WireError, match=r"kind: expected 4 \(REFUSAL\), found 3"):
        Refusal.from_bytes(forged_answer())
    with pytest.raises(WireError, match=r"kind: expected 3 \(ANSWER\) or 4 \(REFUSAL\), found 2"):
        read_reply(packet)
    with pytest.raises(WireError, match=r"kind: expected 1 \(CODE\) or 2 \(CLIP\), found 3"):
        Packet.from_bytes(forged_answer())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, LOGITS), "sequence: expected 0 to 4294967295, found -1"),
        ((0, LOGITS.astype(np.float64)), r"logits: expected float32 \[class\], found float64 \(3,\)"),
        ((0, LOGITS[None]), r"logits: expected float32 \[class\], found float32 \(1, 3\)"),
        ((0, [1.0]), r"logits: expected float32 \[class\], found list \(1,\)"),
        ((0, LOGITS[:0]), "number of logits: expected 1 to 65536, found 0"),
        ((0, LOGITS * np.float32("inf")), "logits: expected finite numbers, found inf at class 0"),
        ((0, LOGITS, -1.0), "decode_ms: expected finite milliseconds of 0 or more, found -1.0"),
        ((0, LOGITS, 0.0, math.nan), "server_ms: expected finite milliseconds of 0 or more, found nan"),
    ],
)
def test_an_answer_that_could_not_be_read_cannot_be_made(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answer(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2**32, "busy"), "sequence: expected 0 to 4294967295, found 4294967296"),
        ((0, ""), "bytes of the reason: expected 1 to 512, found 0"),
        ((0, "ä" * 257), "bytes of the reason: expected 1 to 512, found 514"),
        ((0, "two\nlines"), "reason: expected no control characters"),
        ((0, "\ud800"), "surrogates not allowed"),
        ((0, "busy", 7), "status: expected 1 to 6, found 7"),
    ],
)
def test_a_refusal_that_could_not_be_read_cannot_be_made(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Refusal(*arguments)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (WireError("payload: expected 2 bytes"), Status.MALFORMED, "payload: expected 2 bytes"),
        (FingerprintError("fingerprint: ..."), Status.WRONG_WEIGHTS, "fingerprint: ..."),
        (RuntimeError("two\nlines\x1b"), Status.FAILED, "two lines"),
        (RuntimeError(), Status.FAILED, "RuntimeError"),
        (RuntimeError("\ud800"), Status.FAILED, "?"),
        (RuntimeError("x" + "ä" * 400), Status.FAILED, "x" + "ä" * 255),
    ],
)
def test_any_error_becomes_a_refusal(error: Exception, status: Status, reason: str) -> None:
    refusal = Refusal.of_error(7, error)
    assert refusal == Refusal(7, reason, status)
    assert read_reply(refusal.to_bytes()) == refusal
