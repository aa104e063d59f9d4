"""A short run of `benchmarks/wire_fuzz.py`, and proof that it would see what it looks for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.errors import WireError
from approxbit.wire import coding, frame, packet, packing
from approxbit.wire.entropy import coder


@pytest.fixture(scope="module")
def wire_fuzz() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "wire_fuzz.py"
    specification = importlib.util.spec_from_file_location("wire_fuzz", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up there
    specification.loader.exec_module(module)
    return module


def test_every_message_comes_back_as_it_was_sent_or_is_refused(wire_fuzz: ModuleType) -> None:
    report = wire_fuzz.fuzz(5000, seed=2)
    assert report.failures == []
    assert report.decoded.total() + report.refused.total() == 6250
    assert report.refused["untouched"] == 0
    assert report.decoded["untouched"] > 300
    # A coded payload may be short whatever it declares; that it took no memory to find out was measured.
    assert report.decoded["huge sizes, sealed"] < 30
    assert report.num_measured > 1000
    # Every check of a packet is reached, not only the first ones.
    reached = {"checksum", "kind", "coding", "flags", "name_bytes", "codebook_size", "positions", "payload"}
    reached |= {"padding", "reserved", "status", "logits", "time", "head checksum", "layers", "num_layers"}
    reached |= {"place", "steps", "back", "descriptor of the frame"}
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


def test_the_fuzz_sees_a_head_checksum_that_is_not_looked_at(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packet, "_checked_layers", lambda frame, rest, *others: rest[4:])
    assert "decoded to something else than was sent" in failures_of(wire_fuzz)


def test_the_fuzz_sees_another_exception(wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet, "WireError", KeyError)
    assert "KeyError" in failures_of(wire_fuzz)


def test_the_fuzz_sees_memory_taken_for_a_declared_size(
    wire_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting_check(field: str, value: int, low: int, high: int) -> None:
        if field == "positions":
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
