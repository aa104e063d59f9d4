"""Which answer is wanted, and to which question: in a packet, or after it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import WireError
from approxbit.wire import AnswerKind, Kind, LateQuestion, Request, Text, Tokens, Wanted, read_sent
from approxbit.wire.frame import Cursor, write_frame

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40).map(Text)
IDS = st.lists(st.one_of(st.integers(0, 65535), st.integers(0, 2**32 - 1)), min_size=1, max_size=9)
QUESTIONS = st.one_of(TEXTS, IDS.map(tuple).map(Tokens))
WANTED = st.sampled_from([Wanted(), Wanted(AnswerKind.TOKENS, 16384), Wanted(AnswerKind.TENSOR, 0)])


@settings(deadline=None)
@given(st.builds(Request, st.none() | QUESTIONS, st.none() | WANTED))
def test_every_request_comes_back(request: Request) -> None:
    data = request.to_bytes()
    if not data:
        assert request == Request()
        return
    cursor = Cursor(data + b"rest")
    assert Request.read(cursor) == request
    assert cursor.take_rest() == b"rest"


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 255),
    QUESTIONS,
    st.none() | WANTED,
    st.none() | st.integers(1, 65535),
)
def test_every_late_question_comes_back(
    sequence: int, back: int, question: Any, wanted: Any, binding: int | None
) -> None:
    late = LateQuestion(sequence, back, Request(question, wanted), binding)
    assert read_sent(late.to_bytes()) == late == LateQuestion.from_bytes(late.to_bytes())
    assert late.earlier_sequence == (sequence - back) % 256


def test_a_request_that_says_nothing_takes_no_byte() -> None:
    assert Request().to_bytes() == b""
    assert (
        Request(wanted=Wanted()).to_bytes() == b"\4\1\0\5"
    )  # what would be wanted anyway, said all the same


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (b"", "request: expected 1 bytes, found 0"),
        (b"\0", "request: expected 1 to 7, found 0"),
        (b"\x08", "request: expected 1 to 7, found 8"),
        (b"\4\1\0", "wanted answer: expected 3 bytes, found 2"),
        (b"\4\5\0\0", "kind of the answer: expected 0 to 4, found 5"),
        (b"\4\1\1\0", "most: expected 1 to 255, found 256"),
        (b"\1\0", "question: expected 2 bytes, found 1"),
        (b"\1\0\0", "bytes of the question: expected 1 to 4096, found 0"),
        (b"\1\x10\1" + b"?" * 4097, "bytes of the question: expected 1 to 4096, found 4097"),
        (b"\1\x10\0" + b"?" * 4095, "question: expected 4096 bytes, found 4095"),
        (b"\1\0\1\x80", "text: expected UTF-8"),
        (b"\1\0\1\0", "text: expected no control characters"),
        (b"\2\0\3\0\0\0", "tokens: expected 2 bytes each, found 3 bytes"),
        (b"\3\0\4\0\0\0\1", "tokens: expected 16 bits each where all fit"),
    ],
)
def test_a_malformed_request_is_refused(section: bytes, message: str) -> None:
    with pytest.raises((ValueError, WireError), match=message):
        Request.read(Cursor(section))


def test_a_question_has_its_bounds() -> None:
    assert len(Request(Text("ä" * 2048)).to_bytes()) == 1 + 2 + 4096
    for question in (Text("ä" * 2048 + "b"), Tokens((65536,) * 1025)):
        with pytest.raises(ValueError, match="bytes of the question: expected 1 to 4096, found"):
            Request(question)
    for question in (Text(""), Tokens(())):
        with pytest.raises(ValueError, match="bytes of the question: expected 1 to 4096, found 0"):
            Request(question)
    with pytest.raises(TypeError, match="question: expected Text or Tokens, found str"):
        Request("why?")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, Request(Text("?"))), "sequence: expected 0 to 4294967295, found -1"),
        ((0, 0, Request(Text("?"))), "back: expected 1 to 255, found 0"),
        ((0, 1, Request(Text("?")), 0), "binding: expected 1 to 65535, found 0"),
        ((0, 1, Request(wanted=Wanted())), "question: expected Text or Tokens, found None"),
    ],
)
def test_a_late_question_that_could_not_be_read_cannot_be_made(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LateQuestion(*arguments)


@pytest.mark.parametrize(
    ("details", "body", "message"),
    [
        (b"\1\0\1", b"\1\1\0\1?", "reserved: expected 00, found 01"),
        (b"\0\0\1", b"", "back: expected 1 bytes, found 0"),
        (b"\0\0\1", b"\1", "request: expected 1 bytes, found 0"),
        (b"\0\0\1", b"\1\1\0\1??", "question: expected the end of the message behind it, found 1 bytes"),
        (b"\0\0\1", b"\0\1\0\1?", "back: expected 1 to 255, found 0"),
        (b"\0\0\1", b"\1\4\1\0\5", "question: expected Text or Tokens, found None"),
    ],
)
def test_a_malformed_late_question_is_refused(details: bytes, body: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        LateQuestion.from_bytes(write_frame(Kind.QUESTION, details, 7, body))
