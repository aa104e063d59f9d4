"""What the benchmark of the gate keeps, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import gate_results as results


def items() -> list[object]:
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


def test_what_is_kept_is_what_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "gate.json"
    kept = results.Results.open(path, resume=True)
    for item in items():
        kept.add(item)
    again = results.Results.open(path, resume=True)
    assert again.items == kept.items
    assert again.has("a/8-Enc-B2", "edge dynamo 18 mixed", ["server"], needs_rtx=True)
    assert not again.has("a/8-Enc-B2", "edge dynamo 18 mixed", ["server", "orin-jp6"], needs_rtx=False)
    assert not again.has("a/8-Enc-B2", "edge dynamo 18 float32", ["server"], needs_rtx=False)
    assert results.Results.open(path, resume=False).items == {}


def test_a_refusal_of_rtx_counts_for_the_target_of_its_generation_only() -> None:
    edge, server = items()
    assert (edge.passes("server"), edge.passes("orin-jp7")) == (True, True)
    assert (server.passes("server"), server.passes("orin-jp7")) == (False, True)
    assert server.problems("server") == ["no"]
    assert "FAILS server" in server.line()
    failed = results.Item("a/8-Enc-B2", "edge", "edge", ["server"], error="ExportError: it fails")
    assert failed.problems("server") == ["ExportError: it fails"]


def test_a_row_says_what_passed_and_the_largest_differences(tmp_path: Path) -> None:
    kept = results.Results.open(tmp_path / "gate.json", resume=False)
    for item in items():
        kept.add(item)
    row = results.row_of(kept, "a/8-Enc-B2")
    assert row == ["`a/8-Enc-B2`", "1 of 2, not server", "", "", "0.0004", "0.005", "refused"]
    assert not kept.all_pass
    assert "| " + " | ".join(row) + " |" in results.markdown(kept)


def test_the_guide_has_a_place_for_the_table() -> None:
    text = results.README.read_text()
    assert text.index(results.BEGIN) < text.index(results.END)
