from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import FingerprintError, SessionError, WireError
from approxbit.wire import Kind, Refusal, Status, read_reply
from approxbit.wire.frame import write_frame


def forged(reason: bytes = b"busy", details: bytes = b"\x04\0\0", retry_after: bytes = b"\0\x96") -> bytes:
    return write_frame(Kind.REFUSAL, details, 7, retry_after + reason)


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=128),
    st.sampled_from(Status),
    st.integers(0, 65535),
)
def test_every_refusal_comes_back(sequence: int, reason: str, status: Status, steps: int) -> None:
    refusal = Refusal(sequence, reason, status, 10 * steps)
    assert read_reply(refusal.to_bytes()) == refusal == Refusal.from_bytes(refusal.to_bytes())
    assert (refusal.status, refusal.retry_after_ms) == (status, 10 * steps)


def test_forged_is_what_to_bytes_writes() -> None:
    assert forged() == Refusal(7, "busy", Status.BUSY, 1500).to_bytes()


@pytest.mark.parametrize(("asked", "kept"), [(0, 0), (1, 10), (10, 10), (11, 20), (655341, 655350)])
def test_the_time_to_wait_is_rounded_up(asked: int, kept: int) -> None:
    assert Refusal(7, retry_after_ms=asked).retry_after_ms == kept


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged(details=b"\x04\0\1"), "reserved: expected 0000, found 0001"),
        (forged(details=b"\x04\1\0"), "reserved: expected 0000, found 0100"),
        (forged(b"", retry_after=b"\0"), "retry_after: expected 2 bytes, found 1"),
        (forged(b"a" * 513), "bytes of the reason: expected 0 to 512, found 513"),
        (forged(b"\xff"), "reason: expected UTF-8, found ff"),
        (forged(details=b"\0\0\0"), "status: expected 1 to 7, found 0"),
        (forged(details=b"\x08\0\0"), "status: expected 1 to 7, found 8"),
        (forged(b"a\x1bb"), "reason: expected no control characters"),
        (forged("a\x9bb".encode()), "reason: expected no control characters"),
        (write_frame(Kind.ANSWER, bytes(3), 7, b""), r"kind: expected 8 \(REFUSAL\), found 7"),
    ],
)
def test_a_malformed_refusal_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        Refusal.from_bytes(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2**32, "busy"), "sequence: expected 0 to 4294967295, found 4294967296"),
        ((0, "ä" * 257), "bytes of the reason: expected 0 to 512, found 514"),
        ((0, "two\nlines"), "reason: expected no control characters"),
        ((0, "\ud800"), "surrogates not allowed"),
        ((0, "busy", 8), "status: expected 1 to 7, found 8"),
        ((0, "busy", Status.BUSY, -1), "retry_after_ms: expected 0 to 655350, found -1"),
        ((0, "busy", Status.BUSY, 655351), "retry_after_ms: expected 0 to 655350, found 655351"),
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
        (SessionError("binding: ..."), Status.NO_SESSION, "binding: ..."),
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
