"""What an answer may say: every content comes back from exactly its bytes, and nothing else is read."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import WireError
from approxbit.wire import AnswerKind, Logits, TensorAnswer, Text, Tokens, TopK, Wanted
from approxbit.wire.content import CONTENTS, content_kind, kind_of, read_content
from approxbit.wire.frame import Cursor

CONTROLS = [chr(number) for number in (*range(9), *range(11, 32), *range(127, 160))]


def come_back(content: Any) -> Any:
    kind = content_kind(content)
    received = read_content(kind, content.is_wide, content.to_bytes())
    assert received == content
    assert hash(received) == hash(content)
    assert received.to_bytes() == content.to_bytes()
    return received


def float16s(least: float, most: float) -> Any:
    return st.floats(least, most, width=16)


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_logits_come_back(values: list[float]) -> None:
    logits = np.array(values, np.float32)
    received = come_back(Logits(logits))
    assert received.values.tobytes() == logits.tobytes()
    assert received.values.dtype == np.float32
    assert not received.values.flags.writeable


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20, unique=True),
    st.lists(float16s(-65504, 0), min_size=20, max_size=20),
)
def test_the_likeliest_classes_come_back(classes: list[int], scores: list[float]) -> None:
    ordered = sorted(scores, reverse=True)[: len(classes)]
    received = come_back(TopK(tuple(classes), tuple(ordered)))
    assert received.classes == tuple(classes)
    assert received.scores == tuple(ordered)
    assert received.best == classes[0]
    assert len(received.to_bytes()) == len(classes) * (6 if max(classes) > 65535 else 4)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\t\n"), max_size=99))
def test_text_comes_back(value: str) -> None:
    assert come_back(Text(value)).value == value


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 65535), st.integers(0, 2**32 - 1)), max_size=20))
def test_tokens_come_back(ids: list[int]) -> None:
    assert come_back(Tokens(tuple(ids))).ids == tuple(ids)


@settings(deadline=None)
@given(
    st.sampled_from(["uint8", "int32", "int64", "float16", "float32"]),
    st.lists(st.integers(1, 4), max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_a_tensor_comes_back(dtype: str, shape: list[int], seed: int) -> None:
    values = (1000 * np.random.default_rng(seed).standard_normal(shape)).astype(np.int64).astype(dtype)
    received = come_back(TensorAnswer(np.asarray(values)))
    assert received.values.dtype == np.dtype(dtype)
    assert received.values.shape == tuple(shape)
    assert (received.values == values).all()
    assert not received.values.flags.writeable


def test_a_tensor_is_the_same_in_any_order_of_bytes_and_of_axes() -> None:
    values = np.arange(6, dtype=np.int32).reshape(2, 3)
    others = [
        values.astype(">i4"),
        np.asfortranarray(values),
        np.arange(12, dtype=np.int32).reshape(2, 6)[:, ::2] // 2,
    ]
    for other in others[:2]:
        assert TensorAnswer(other) == TensorAnswer(values)
    assert TensorAnswer(others[2]).to_bytes()[10:] == others[2].astype(">i4").tobytes()


def test_no_two_contents_of_the_same_bytes_are_equal() -> None:
    assert Text("") != Tokens(())
    assert Logits(np.zeros(1, np.float32)) != TensorAnswer(np.zeros(1, np.float32))
    assert Logits(np.zeros(1, np.float32)) != "logits"
    assert Logits(np.array([0.0], np.float32)) != Logits(np.array([-0.0], np.float32))


def test_the_worked_example_of_scores() -> None:
    logits = np.array([1.5, -2, 0.25], np.float32)
    total = sum(math.exp(each) for each in (1.5, -2, 0.25))
    likeliest = TopK.of_logits(logits, 2)
    assert likeliest.classes == (0, 2)
    expected = [math.log(math.exp(each) / total) for each in (1.5, 0.25)]
    assert likeliest.scores == pytest.approx(expected, abs=1e-3)
    assert likeliest.to_bytes().hex(" ") == "00 00 00 02 b4 67 be 1a"


def test_there_are_as_many_classes_as_were_asked_for_or_as_there_are() -> None:
    logits = np.arange(300, dtype=np.float32)
    assert TopK.of_logits(logits).classes == (299, 298, 297, 296, 295)
    assert len(TopK.of_logits(logits, 255).classes) == 255
    assert TopK.of_logits(logits[:2], 5).classes == (1, 0)
    with pytest.raises(ValueError, match="k: expected 1 to 255, found 256"):
        TopK.of_logits(logits, 256)


def test_of_equal_logits_the_lowest_index_comes_first() -> None:
    assert TopK.of_logits(np.array([0, 1, 1, 1], np.float32), 3).classes == (1, 2, 3)
    many = np.tile(np.array([0, 1], np.float32), 5000)
    assert TopK.of_logits(many, 100).classes == tuple(range(1, 200, 2))


def test_scores_saturate_and_are_never_minus_zero() -> None:
    far = TopK.of_logits(np.array([3e38, -3e38], np.float32), 2)
    assert far.scores == (0.0, -65504.0)
    near = TopK.of_logits(np.array([30, 0], np.float32), 1)  # whose score is less than half precision can say
    assert math.copysign(1, near.scores[0]) == 1
    come_back(far)
    come_back(near)


def test_the_answer_that_is_wanted_is_made_of_logits() -> None:
    logits = np.array([1, 3, 2], np.float32)
    assert Wanted().of_logits(logits) == TopK.of_logits(logits, 5)
    assert Wanted(AnswerKind.TOP_K, 1).of_logits(logits) == TopK((1,), TopK.of_logits(logits, 1).scores)
    assert Wanted(AnswerKind.LOGITS, 0).of_logits(logits) == Logits(logits)
    with pytest.raises(
        ValueError, match="wanted answer: expected LOGITS or TOP_K of a classifier, found TEXT"
    ):
        Wanted(AnswerKind.TEXT, 0).of_logits(logits)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [(0, 0, 0), (1, 1, 255), (2, 0, 16384), (3, 0, 16384), (4, 0, 0)],
)
def test_what_is_wanted_has_its_bounds(kind: int, least: int, most: int) -> None:
    for number in {least, most}:
        wanted = Wanted(AnswerKind(kind), number)
        assert Wanted.read(Cursor(wanted.to_bytes())) == wanted
        assert len(wanted.to_bytes()) == 3
    for number in (least - 1, most + 1):
        with pytest.raises(ValueError, match=f"most: expected {least} to {most}, found {number}"):
            Wanted(AnswerKind(kind), number)


def test_there_is_no_other_kind() -> None:
    with pytest.raises(ValueError, match="kind of the answer: expected 0 to 4, found 5"):
        kind_of(5)
    with pytest.raises(TypeError, match=r"content: expected one of Logits, TopK, .* found str"):
        content_kind("yes")  # type: ignore[arg-type]
    assert {content_kind(each) for each in (Text(""), Tokens(()))} == {AnswerKind.TEXT, AnswerKind.TOKENS}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), r"logits: expected float32 \[class\], found float64 \(3,\)"),
        (np.zeros((1, 3), np.float32), r"logits: expected float32 \[class\], found float32 \(1, 3\)"),
        ([1.0], r"logits: expected float32 \[class\], found list \(1,\)"),
        (np.zeros(0, np.float32), "number of logits: expected 1 to 65536, found 0"),
        (np.zeros(65537, np.float32), "number of logits: expected 1 to 65536, found 65537"),
        (np.array([0, np.inf], np.float32), "logits: expected finite numbers, found inf at class 1"),
        (np.array([np.nan], np.float32), "logits: expected finite numbers, found nan at class 0"),
    ],
)
def test_logits_that_could_not_be_read_cannot_be_made(values: Any, message: str) -> None:
    for make in (Logits, TopK.of_logits):
        with pytest.raises(ValueError, match=message):
            make(values)


@pytest.mark.parametrize(
    ("classes", "scores", "message"),
    [
        ((), (), "number of classes: expected 1 to 255, found 0"),
        (tuple(range(256)), (0.0,) * 256, "number of classes: expected 1 to 255, found 256"),
        ((2**32,), (0.0,), "class: expected 0 to 4294967295, found 4294967296"),
        ((1, 1), (0.0, 0.0), r"classes: expected different ones, found \(1, 1\)"),
        ((1, 2), (0.0,), "scores: expected one for each of 2 classes, found 1"),
        ((1,), (0.5,), "scores: expected finite, 0 at most, and not rising"),
        ((1, 2), (-2.0, -1.0), "scores: expected finite, 0 at most, and not rising"),
        ((1,), (-math.inf,), "scores: expected finite"),
        ((1,), (math.nan,), "scores: expected finite"),
        ((1,), (math.inf,), "scores: expected finite"),
    ],
)
def test_classes_that_could_not_be_read_cannot_be_made(classes: Any, scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TopK(classes, scores)


@pytest.mark.parametrize("character", CONTROLS)
def test_text_has_no_control_characters(character: str) -> None:
    with pytest.raises(ValueError, match="text: expected no control characters"):
        Text("a" + character)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Text("ä" * 32769), "bytes of the text: expected 0 to 65536, found 65538"),
        (lambda: Text("\ud800"), "surrogates not allowed"),
        (lambda: Tokens((0,) * 16385), "number of tokens: expected 0 to 16384, found 16385"),
        (lambda: Tokens((-1,)), "token: expected 0 to 4294967295, found -1"),
        (lambda: TensorAnswer([1]), "tensor: expected an array of one of uint8, int32, .* found list"),
        (lambda: TensorAnswer(np.zeros(1)), "tensor: expected an array of one of .* found float64"),
        (lambda: TensorAnswer(np.zeros(1, bool)), "tensor: expected an array of one of .* found bool"),
        (lambda: TensorAnswer(np.zeros((1,) * 9, "u1")), "axes of the tensor: expected 0 to 8, found 9"),
        (lambda: TensorAnswer(np.zeros(0, "u1")), "bytes of the tensor: expected 1 to 67108864, found 0"),
        (lambda: TensorAnswer(np.full(1, np.nan, "f2")), "tensor: expected finite numbers, found others"),
    ],
)
def test_other_contents_that_could_not_be_read_cannot_be_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_longest_contents_come_back() -> None:
    come_back(Text("a" * 65536))
    come_back(Tokens((65536,) * 16384))
    come_back(Logits(np.zeros(65536, np.float32)))
    come_back(TensorAnswer(np.zeros((1,) * 8, np.float16)))
    with pytest.raises(ValueError, match="bytes of the tensor: expected 1 to 67108864, found 67108865"):
        TensorAnswer(np.zeros(2**26 + 1, np.uint8))


def shape(*lengths: int) -> bytes:
    return struct.pack(f">{len(lengths)}I", *lengths)


@pytest.mark.parametrize(
    ("kind", "is_wide", "data", "message"),
    [
        (0, False, b"", "bytes of the logits: expected 4 for each of 1 to 65536, found 0"),
        (0, False, bytes(5), "bytes of the logits: expected 4 for each"),
        (0, False, bytes(4 * 65537), "bytes of the logits: expected 4 for each"),
        (0, True, bytes(4), "width of numbers: expected none with LOGITS, found 32 bits"),
        (1, False, b"", "bytes of the classes: expected 4 for each of 1 to 255, found 0"),
        (1, False, bytes(6), "bytes of the classes: expected 4 for each"),
        (1, False, bytes(4 * 256), "bytes of the classes: expected 4 for each"),
        (1, True, b"\0\0\xff\xff\0\0", "classes: expected 16 bits each where all fit, found 32 bits"),
        (1, False, b"\0\1\x80\0", "scores: expected no minus zero, found one"),
        (1, False, b"\0\1\x7e\0", "scores: expected finite"),
        (2, False, bytes(65537), "bytes of the text: expected at most 65536, found 65537"),
        (2, False, b"\xff", "text: expected UTF-8, found ff"),
        (2, False, b"\xed\xa0\x80", "text: expected UTF-8"),
        (2, True, b"", "width of numbers: expected none with TEXT"),
        (3, False, b"\0", "tokens: expected 2 bytes each, found 1 bytes"),
        (3, True, bytes(6), "tokens: expected 4 bytes each, found 6 bytes"),
        (3, True, bytes(4), "tokens: expected 16 bits each where all fit"),
        (3, True, b"", "tokens: expected 16 bits each where all fit"),
        (3, False, bytes(2 * 16384 + 2), "bytes of the tokens: expected at most 32768, found 32770"),
        (3, True, bytes(4 * 16384 + 4), "bytes of the tokens: expected at most 65536, found 65540"),
        (4, False, b"\0", "head of the tensor: expected 2 bytes, found 1"),
        (4, False, b"\5\0\0", "dtype of the tensor: expected 0 to 4, found 5"),
        (4, False, b"\0\x09" + shape(*[1] * 9) + b"\0", "axes of the tensor: expected 0 to 8, found 9"),
        (4, False, b"\0\1\0\0", "shape of the tensor: expected 4 bytes, found 2"),
        (4, False, b"\0\1" + shape(0), "bytes of the tensor: expected 1 to 67108864, found 0"),
        (4, False, b"\2\2" + shape(2**32 - 1, 2**32 - 1), "bytes of the tensor: expected 1 to 67108864"),
        (4, False, b"\0\1" + shape(2) + b"\0", r"tensor: expected 2 bytes for \[2\], found 1"),
        (4, False, b"\0\1" + shape(1) + b"\0\0", r"tensor: expected 1 bytes for \[1\], found 2"),
        (4, False, b"\3\0\xfc\0", "tensor: expected finite numbers"),
        (4, True, b"\0\0\0", "width of numbers: expected none with TENSOR"),
    ],
)
def test_malformed_content_is_refused(kind: int, is_wide: bool, data: bytes, message: str) -> None:
    with pytest.raises((ValueError, WireError), match=message):
        read_content(AnswerKind(kind), is_wide, memoryview(data))


def test_every_kind_has_its_content() -> None:
    assert set(CONTENTS) == set(AnswerKind)
