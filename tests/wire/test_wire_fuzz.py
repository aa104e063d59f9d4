"""A short run of `benchmarks/wire_fuzz.py`, and proof that it would see what it looks for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.errors import WireError
from approxbit.wire import frame, packet, packing
from approxbit.wire.coding import RAW


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
    report = wire_fuzz.fuzz(5000, seed=1)
    assert report.failures == []
    assert report.decoded.total() + report.refused.total() == 6250
    assert report.refused["untouched"] == 0
    assert report.decoded["untouched"] > 300
    assert report.decoded["huge sizes, sealed"] == 0
    assert report.num_measured > 1000
    # Every check of a packet is reached, not only the first ones.
    reached = {"checksum", "kind", "coding", "flags", "name_bytes", "codebook_size", "positions", "payload"}
    assert reached | {"padding", "reserved", "status", "logits", "time"} <= set(report.reasons)


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
    monkeypatch.setattr(RAW, "check", lambda *arguments: None, raising=False)
    monkeypatch.setattr(packing, "check_packed", lambda *arguments: None)
    assert "the payload does not come back" in failures_of(wire_fuzz)


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
