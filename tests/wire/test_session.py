"""A session opens with a hello and its welcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import AnswerKind, CodeFormat, Hello, Kind, Status, Wanted, Welcome, read_reply, read_sent
from approxbit.wire.frame import write_frame

FIRST = CodeFormat(Configuration.parse("3-Enc-B3"), (2, 3, 3), 1, 0x0123456789ABCDEF)
SECOND = CodeFormat(Configuration.parse("2-NoEnc-B3"), (2, 2, 3), 0, 0x0123456789ABCDEF)
HELLO = Hello((FIRST, SECOND), Wanted(AnswerKind.LOGITS, 0), 6, 0x5EED1234)
HEAD = bytes.fromhex("5eed1234 000000")


def forged_hello(body: bytes, count: int = 1, reserved: bytes = b"\0\0") -> bytes:
    return write_frame(Kind.HELLO, bytes([count]) + reserved, 6, body)


def forged_welcome(body: bytes = b"\0", details: bytes = b"\0\0\1") -> bytes:
    return write_frame(Kind.WELCOME, details, 6, body)


def test_a_hello_comes_back() -> None:
    received = read_sent(HELLO.to_bytes())
    assert received == HELLO == Hello.from_bytes(HELLO.to_bytes())
    assert len(HELLO.to_bytes()) == 20 + 7 + 2 * 22
    assert forged_hello(HEAD + FIRST.to_bytes() + SECOND.to_bytes(), 2) == HELLO.to_bytes()


def test_a_hello_of_the_most_formats_comes_back() -> None:
    formats = [replace(FIRST, fingerprint=number) for number in range(255)]
    assert Hello.from_bytes(Hello(formats).to_bytes()).formats == tuple(formats)  # type: ignore[arg-type]


def test_every_hello_has_a_nonce_of_its_own() -> None:
    assert len({Hello((FIRST,)).nonce for _ in range(9)}) == 9


@pytest.mark.parametrize("refused", [(None,), (None, Status.WRONG_WEIGHTS), (Status.UNSUPPORTED, None, None)])
def test_a_welcome_comes_back(refused: tuple[Status | None, ...]) -> None:
    welcome = Welcome(2**32 - 1, 65536 - len(refused), refused)
    received = read_reply(welcome.to_bytes())
    assert received == welcome == Welcome.from_bytes(welcome.to_bytes())


def test_the_formats_that_are_served_have_consecutive_bindings(make_prior) -> None:
    own = replace(FIRST, prior=make_prior(3, (1, 2, 2), 1))
    third = replace(SECOND, fingerprint=3)
    hello = replace(HELLO, formats=(own, SECOND, third))
    bindings = hello.bindings(Welcome(6, 65533, (None, Status.WRONG_WEIGHTS, None)))
    assert [*bindings] == [65533, 65535]
    assert (bindings[65533].code_format, bindings[65535].code_format) == (own, third)
    assert {(each.wanted, each.nonce) for each in bindings.values()} == {(hello.wanted, hello.nonce)}
    assert bindings[65533].code_format.prior == own.prior


def test_a_welcome_to_another_hello_opens_nothing() -> None:
    with pytest.raises(WireError, match="sequence: expected 6, the hello's, found 7"):
        HELLO.bindings(Welcome(7, 1, (None, None)))
    with pytest.raises(WireError, match="formats of the welcome: expected 2, the hello's, found 1"):
        HELLO.bindings(Welcome(6, 1, (None,)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged_hello(HEAD, reserved=b"\0\1"), "reserved: expected 0000, found 0001"),
        (forged_hello(HEAD[:3]), "nonce: expected 4 bytes, found 3"),
        (forged_hello(HEAD[:6]), "wanted answer: expected 3 bytes, found 2"),
        (forged_hello(HEAD[:4] + b"\1\0\0"), "most: expected 1 to 255, found 0"),
        (forged_hello(HEAD, 0), "number of formats: expected 1 to 255, found 0"),
        (forged_hello(HEAD, 255), "code format: expected 2 bytes, found 0"),
        (forged_hello(HEAD + FIRST.to_bytes()[:-1]), "name: expected 2 bytes, found 1"),
        (forged_hello(HEAD + FIRST.to_bytes() + b"\0"),
         "last code format: expected the end of the message behind it, found 1 bytes"),
        (forged_hello(HEAD + 2 * FIRST.to_bytes(), 2), "formats: expected different ones, found one twice"),
        (forged_welcome(details=b"\1\0\1"), "reserved: expected 00, found 01"),
        (forged_welcome(b""), "number of formats: expected 1 to 255, found 0"),
        (forged_welcome(bytes(256)), "number of formats: expected 1 to 255, found 256"),
        (forged_welcome(b"\0\1"), r"status of a format: expected none, 2 \(WRONG_WEIGHTS\) or 3 .*, found 1"),
        (forged_welcome(details=bytes(3)), "binding: expected 1 to 65535, found 0"),
        (forged_welcome(b"\0\0", b"\0\xff\xff"), "binding: expected 1 to 65534, found 65535"),
        (forged_welcome(b"\2\3"), "served formats: expected at least one, found 0"),
    ],
)  # fmt: skip
def test_a_malformed_opening_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        (Hello if data[12] == Kind.HELLO else Welcome).from_bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hello(()), "number of formats: expected 1 to 255, found 0"),
        (lambda: Hello((FIRST, SECOND, FIRST)), "formats: expected different ones, found one twice"),
        (lambda: Hello((FIRST,), sequence=-1), "sequence: expected 0 to 4294967295, found -1"),
        (lambda: Hello((FIRST,), nonce=2**32), "nonce: expected 0 to 4294967295, found 4294967296"),
        (lambda: Welcome(0, 0, (None,)), "binding: expected 1 to 65535, found 0"),
        (lambda: Welcome(0, 1, ()), "number of formats: expected 1 to 255, found 0"),
        (lambda: Welcome(0, 1, (Status.BUSY,)), "status of a format: expected none, .* found 4"),
        (lambda: Welcome(0, 1, (Status.UNSUPPORTED,)), "served formats: expected at least one, found 0"),
    ],
)
def test_an_opening_that_could_not_be_read_cannot_be_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_prior_makes_no_other_format(make_prior) -> None:
    """It does not cross: the fingerprint tells two priors of one codec apart."""
    own = replace(FIRST, prior=make_prior(3, (1, 2, 2), 1))
    with pytest.raises(ValueError, match="formats: expected different ones"):
        Hello((FIRST, own))
    assert Hello((own,), nonce=1).to_bytes() == Hello((FIRST,), nonce=1).to_bytes()


def test_numbers_of_numpy_make_equal_openings() -> None:
    welcome = Welcome(np.int64(6), np.uint16(9), (None, None))  # type: ignore[arg-type]
    assert welcome == Welcome(6, 9, (None, None))
    assert type(welcome.binding) is int
