"""What the benchmark of the gate keeps, and what it says of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "gate_results.py"


@pytest.fixture(scope="module")
def results() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gate_results_under_test", PATH)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up there
    specification.loader.exec_module(module)
    return module


def items(results: ModuleType) -> list[object]:
    """The two mixed graphs of one configuration; the second is refused by TensorRT-RTX."""
    targets = ["orin-jp7", "server"]
    fine: dict[str, list[str]] = {name: [] for name in targets}
    flips = {"flipped_share": 0.0004, "largest_flipped_margin": 0.01}
    error = {"answer_error": 0.01, "largest_answer": 2.0}
    edge, server = "edge dynamo 18 mixed", "server dynamo 18 mixed open"
    return [
        results.Item("a/8-Enc-B2", "edge", edge, targets, fine, flips, None, 9, 1.5, {"seconds": 2.0}),
        results.Item("a/8-Enc-B2", "server", server, targets, fine, error, None, 9, 1.5, {"error": "no"}),
    ]


def test_what_is_kept_is_what_is_resumed(results: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "new" / "gate.json"
    kept = results.Results.open(path, resume=True)
    for item in items(results):
        kept.add(item)
    again = results.Results.open(path, resume=True)
    assert again.items == kept.items
    assert again.has("a/8-Enc-B2", "edge dynamo 18 mixed", ["server"], needs_rtx=True)
    assert not again.has("a/8-Enc-B2", "edge dynamo 18 mixed", ["server", "orin-jp6"], needs_rtx=False)
    assert not again.has("a/8-Enc-B2", "edge dynamo 18 float32", ["server"], needs_rtx=False)
    assert results.Results.open(path, resume=False).items == {}


def test_a_refusal_of_rtx_counts_for_the_target_of_its_generation_only(results: ModuleType) -> None:
    edge, server = items(results)
    assert (edge.passes("server"), edge.passes("orin-jp7")) == (True, True)
    assert (server.passes("server"), server.passes("orin-jp7")) == (False, True)
    assert server.problems("server") == ["no"]
    assert "FAILS server" in server.line()
    failed = results.Item("a/8-Enc-B2", "edge", "edge", ["server"], error="ExportError: it fails")
    assert failed.problems("server") == ["ExportError: it fails"]


def test_a_row_says_what_passed_and_the_largest_differences(results: ModuleType, tmp_path: Path) -> None:
    kept = results.Results.open(tmp_path / "gate.json", resume=False)
    for item in items(results):
        kept.add(item)
    row = results.row_of(kept, "a/8-Enc-B2")
    assert row == ["`a/8-Enc-B2`", "1 of 2, not server", "", "", "0.0004", "0.005", "refused"]
    assert not kept.all_pass
    assert "| " + " | ".join(row) + " |" in results.markdown(kept)


def test_the_guide_has_a_place_for_the_table(results: ModuleType) -> None:
    text = results.README.read_text()
    assert text.index(results.BEGIN) < text.index(results.END)
