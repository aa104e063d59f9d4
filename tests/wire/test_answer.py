from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import WireError
from approxbit.wire import Answer, Kind, Logits, TensorAnswer, Text, Tokens, TopK, read_reply
from approxbit.wire.frame import write_frame

LOGITS = np.array([1.5, -2.0, 0.25], np.float32)
CONTENTS = [
    Logits(LOGITS),
    TopK((2, 0), (-0.5, -1.0)),
    TopK((70000,), (0.0,)),
    Text("left"),
    Text(""),
    Tokens((5, 6)),
    Tokens((5, 2**32 - 1)),
    TensorAnswer(np.ones((2, 1), np.float16)),
]
TIMES = bytes.fromhex("3e00 4d10")


def forged(times: bytes = TIMES, content: bytes = b"left", details: bytes = b"\2\0\0") -> bytes:
    return write_frame(Kind.ANSWER, details, 7, times + content)


@pytest.mark.parametrize("content", CONTENTS)
def test_every_content_comes_back(content: Any) -> None:
    answer = Answer(2**32 - 1, content, 1.5, 20.25)
    received = read_reply(answer.to_bytes())
    assert received == answer == Answer.from_bytes(answer.to_bytes())
    assert isinstance(received, Answer)
    assert hash(received) == hash(answer)
    assert (received.content, received.decode_ms, received.server_ms) == (content, 1.5, 20.25)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1e308).map(abs), st.floats(0, 70000).map(abs))
def test_times_cross_in_half_precision(sequence: int, decode_ms: float, server_ms: float) -> None:
    answer = Answer(sequence, Text("yes"), decode_ms, server_ms)
    assert read_reply(answer.to_bytes()) == answer
    assert answer.decode_ms == pytest.approx(min(decode_ms, 65504), rel=1 / 2048, abs=3e-8)
    assert answer.server_ms == pytest.approx(min(server_ms, 65504), rel=1 / 2048, abs=3e-8)


def test_a_time_may_be_infinite_and_says_the_longest() -> None:
    assert Answer(7, Text(""), math.inf).decode_ms == 65504
    assert Answer(7, Text(""), 65519.9).decode_ms == 65504


def test_the_numbers_of_an_answer_are_pythons_own() -> None:
    answer = Answer(np.int64(7), Text(""), np.float32(1), np.float64(2))  # type: ignore[arg-type]
    assert {type(each) for each in (answer.sequence, answer.decode_ms)} == {int, float}
    assert answer == Answer(7, Text(""), 1, 2)


def test_forged_is_what_to_bytes_writes() -> None:
    assert forged() == Answer(7, Text("left"), 1.5, 20.25).to_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged(details=b"\2\2\0"), "width of numbers: expected 0 to 1, found 2"),
        (forged(details=b"\2\0\1"), "reserved: expected 00, found 01"),
        (forged(b"\0\0\0", b""), "times: expected 4 bytes, found 3"),
        (forged(b"\x7c\0\0\0"), "decode_ms: expected finite milliseconds, found inf"),
        (forged(b"\0\0\x7c\0"), "server_ms: expected finite milliseconds, found inf"),
        (forged(b"\x7e\0\0\0"), "decode_ms: expected milliseconds of 0 or more, found nan"),
        (forged(b"\0\0\xbc\0"), "server_ms: expected milliseconds of 0 or more, found -1.0"),
        (forged(b"\x80\0\0\0"), "decode_ms: expected milliseconds of 0 or more, found -0.0"),
        (forged(details=b"\5\0\0"), "kind of the answer: expected 0 to 4, found 5"),
        (forged(details=b"\2\1\0"), "width of numbers: expected none with TEXT, found 32 bits"),
        (forged(content=b"\xff"), "text: expected UTF-8"),
        (write_frame(Kind.CODE, bytes(3), 7, b""), r"kind: expected 7 \(ANSWER\), found 3"),
    ],
)
def test_a_malformed_answer_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        Answer.from_bytes(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, Text("")), "sequence: expected 0 to 4294967295, found -1"),
        ((0, Text(""), -1.0), "decode_ms: expected milliseconds of 0 or more, found -1.0"),
        ((0, Text(""), -0.0), "decode_ms: expected milliseconds of 0 or more, found -0.0"),
        ((0, Text(""), 0.0, math.nan), "server_ms: expected milliseconds of 0 or more, found nan"),
    ],
)
def test_an_answer_that_could_not_be_read_cannot_be_made(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answer(*arguments)


def test_an_answer_has_content() -> None:
    with pytest.raises(
        TypeError, match="content: expected one of Logits, TopK, Text, Tokens, TensorAnswer, found"
    ):
        Answer(0, LOGITS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        Answer(1.0, Text(""))  # type: ignore[arg-type]
