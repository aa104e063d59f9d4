"""A short run of `benchmarks/wire/wire_fuzz.py`, and proof that it would see what it looks for."""

from __future__ import annotations

from types import ModuleType

import pytest

from approxbit.errors import WireError
from approxbit.wire import coding, frame, packet, packing
from approxbit.wire.binding import Binding
from approxbit.wire.entropy import coder


def test_every_message_comes_back_as_it_was_sent_or_is_refused(wire_fuzz: ModuleType) -> None:
    report = wire_fuzz.fuzz(6000, seed=2)
    assert report.failures == []
    assert report.decoded.total() + report.refused.total() == 6000
    assert report.refused["untouched"] == 0
    assert report.decoded["untouched"] > 300
    # A coded payload may be short whatever it declares; that it took no memory to find out was measured.
    assert report.decoded["huge sizes, sealed"] < 30
    assert report.num_measured > 1000
    assert report.num_decoded_twice > 60
    # Every kind of message is read, and every check of a packet is reached, not only the first ones.
    kinds = {"Packet", "LateQuestion", "Answer", "Refusal"}
    assert set(report.kinds) == kinds | {f"{kind}, short" for kind in kinds} | {"Hello", "Welcome"}
    reached = {"checksum", "kind", "coding", "flags", "name_bytes", "codebook_size", "positions", "payload"}
    reached |= {
        "padding",
        "reserved",
        "status",
        "time",
        "steps",
        "back",
        "binding",
        "short header",
        "request",
    }
    reached |= {
        "question",
        "place of the window",
        "reserved bits of the tag",
        "code format",
        "text",
        "tokens",
    }
    assert reached <= set(report.reasons)


def test_the_same_seed_gives_the_same_run(wire_fuzz: ModuleType) -> None:
    assert wire_fuzz.fuzz(200, seed=3).reasons == wire_fuzz.fuzz(200, seed=3).reasons


def failures_of(wire_fuzz: ModuleType) -> str:
    return "\n".join(wire_fuzz.fuzz(1500, seed=2).failures)


def test_the_fuzz_sees_a_checksum_that_is_not_looked_at(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_checksum", lambda rest: 0)
    assert "bits flipped: the damage was not seen" in failures_of(wire_fuzz)


def test_the_fuzz_sees_padding_that_is_not_looked_at(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coding, "check_packed", lambda *arguments: None)
    monkeypatch.setattr(packing, "check_packed", lambda *arguments: None)
    assert "the payload does not come back" in failures_of(wire_fuzz)


def test_the_fuzz_sees_a_coded_payload_that_no_encoder_writes(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coder, "_check_end", lambda *arguments: None)
    assert "the payload does not come back" in failures_of(wire_fuzz)


def test_the_fuzz_sees_a_short_checksum_that_is_not_looked_at(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Binding, "checksum", lambda *arguments: b"\0\0")
    failures = failures_of(wire_fuzz)
    assert "bits flipped: the damage was not seen" in failures
    assert "were missed" in failures


def test_the_fuzz_sees_a_field_that_the_second_implementation_finds_elsewhere(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = wire_fuzz.fields_of
    monkeypatch.setattr(wire_fuzz, "fields_of", lambda message: {**found(message), "sequence": 0})
    assert "untouched: the second implementation finds" in failures_of(wire_fuzz)


def test_the_fuzz_sees_bits_that_the_second_implementation_decodes_otherwise(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_fuzz, "decode", lambda *arguments: "0")
    assert "untouched: the second implementation decodes other bits" in failures_of(wire_fuzz)


def test_the_fuzz_sees_another_exception(wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet, "WireError", KeyError)
    assert "KeyError" in failures_of(wire_fuzz)


def test_the_fuzz_sees_memory_taken_for_a_declared_size(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting_check(field: str, value: int, low: int, high: int) -> None:
        if field == "bytes of the clip":
            bytes(min(value, 2**24))
        elif not low <= value <= high:
            raise ValueError(f"{field}: {value}")

    monkeypatch.setattr(packet, "check_range", trusting_check)
    assert "bytes allocated for" in failures_of(wire_fuzz)


def test_the_fuzz_sees_a_good_message_that_is_refused(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: bytes) -> None:
        raise WireError("no")

    monkeypatch.setattr(wire_fuzz, "receive", refuse)
    assert "untouched: refused as it was sent: no" in failures_of(wire_fuzz)
