"""Engines on disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from approxbit.engines.tensorrt.store import EngineKey, EngineRecord, EngineStore, read_record
from approxbit.errors import EngineError

KEY = EngineKey("edge", "ab" * 32, "Orin", "8.7", "10.3.0", {"precision": "fp32", "max_batch": 1})
PLAN = b"a serialised engine"


def record(key: EngineKey = KEY, accepted: bool = True, built: str = "2026-11-21T10:00:00") -> EngineRecord:
    return EngineRecord(key, hashlib.sha256(PLAN).hexdigest(), built, 1.5, accepted, {"check": {}})


def test_an_engine_comes_back_with_its_record(tmp_path: Path) -> None:
    store = EngineStore(tmp_path / "engines")
    assert store.load(KEY) is None
    path = store.save(PLAN, record())
    assert path == store.engine_path(KEY)
    assert store.load(KEY) == (PLAN, record())
    assert read_record(path.with_suffix(".json")) == record()


@pytest.mark.parametrize(
    "change",
    [
        {"graph": "server"},
        {"graph_digest": "cd" * 32},
        {"gpu": "Xavier"},
        {"compute_capability": "7.2"},
        {"tensorrt": "10.4.0"},
        {"options": {"precision": "weak-fp16", "max_batch": 1}},
    ],
)
def test_anything_that_decides_changes_the_name(change: dict[str, object], tmp_path: Path) -> None:
    other = replace(KEY, **change)  # type: ignore[arg-type]
    store = EngineStore(tmp_path)
    store.save(PLAN, record())
    assert store.engine_path(other) != store.engine_path(KEY)
    assert store.load(other) is None


def test_the_newest_accepted_engine_for_the_machine_is_found(tmp_path: Path) -> None:
    store = EngineStore(tmp_path)
    fp16 = replace(KEY, options={"precision": "weak-fp16"})
    refused = replace(KEY, options={"precision": "strong-fp16"})
    store.save(PLAN, record(built="2026-11-21T12:00:00"))
    store.save(PLAN, record(fp16, built="2026-11-21T13:00:00"))
    store.save(PLAN, record(refused, accepted=False, built="2026-11-21T14:00:00"))
    store.save(PLAN, record(replace(KEY, gpu="Xavier"), built="2026-11-21T15:00:00"))
    assert store.find(replace(KEY, options={})) == store.engine_path(fp16)


def test_a_refused_engine_has_another_name_and_is_not_loaded(tmp_path: Path) -> None:
    store = EngineStore(tmp_path)
    store.save(PLAN, record())
    assert store.save(PLAN, record(accepted=False)).suffix == ".rejected"
    assert not store.engine_path(KEY).exists()
    assert store.load(KEY) is None
    with pytest.raises(EngineError, match="holds no accepted edge engine"):
        store.find(KEY)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "approxbit-engine", "version": 2}', '{"format": 1}'])
def test_a_file_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "edge-1.json").write_text(text)
    with pytest.raises(EngineError, match=r"edge-1\.json: .*expected"):
        read_record(tmp_path / "edge-1.json")
