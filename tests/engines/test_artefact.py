"""The folder that travels to a device."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from approxbit.engines.artefact import (
    GraphCard,
    TensorCard,
    load_artefact,
    load_card,
    load_reference,
    save_card,
    save_reference,
)
from approxbit.errors import ArtefactError
from approxbit.files import sha256_of
from approxbit.training.prior import CodePrior
from approxbit.wire import PriorTables

MakeArtefact = Callable[..., Path]
TARGETS = sorted((Path(__file__).parents[2] / "export" / "targets").glob("*.json"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": "strong-fp16", "dynamic_batch": 4, "whole": True},
        {"precision": "fp32", "output_type": "int32"},
    ],
)
def test_what_was_saved_is_loaded(options: dict[str, Any], small_artefact: MakeArtefact) -> None:
    folder = small_artefact(**options)
    artefact = load_artefact(folder)
    again = folder.parent / "again"
    again.mkdir()
    save_card(artefact.card, again)
    assert load_card(again) == artefact.card
    assert (again / "card.json").read_text() == (folder / "card.json").read_text()
    reference = load_reference(artefact)
    save_reference(reference, again)
    found = load_reference(replace(artefact, folder=again)).arrays
    assert set(found) == set(reference.arrays)
    for name, array in found.items():
        np.testing.assert_array_equal(array, getattr(reference, name))
    assert len(reference) == 4


def with_prior(folder: Path) -> PriorTables:
    """Give an artefact's card a prior that has learned nothing yet."""
    card = load_card(folder)
    code = card.code_format
    size = code.configuration.grid_size(code.feature_size)
    prior = CodePrior(code.configuration.codebook_size, size, code.num_tokens).freeze()
    save_card(replace(card, code_format=replace(code, prior=prior)), folder)
    return prior


def test_the_prior_travels_in_a_file_of_its_own(small_artefact: MakeArtefact) -> None:
    folder = small_artefact()
    assert load_card(folder).code_format.prior is None
    assert not (folder / "prior.tables").exists()
    prior = with_prior(folder)
    assert load_card(folder).code_format.prior == prior
    assert (folder / "prior.tables").read_bytes() == prior.to_bytes()


def test_another_prior_than_the_cards_is_refused(small_artefact: MakeArtefact) -> None:
    folder = small_artefact()
    with_prior(folder)
    path = folder / "prior.tables"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtefactError, match=r"prior\.tables: expected the sha256 "):
        load_card(folder)
    path.unlink()
    with pytest.raises(ArtefactError, match=r"prior\.tables: cannot be read: No such file"):
        load_card(folder)


def test_the_card_says_what_a_runner_needs(small_artefact: MakeArtefact) -> None:
    artefact = load_artefact(small_artefact(dynamic_batch=4))
    card = artefact.card
    assert artefact.graph_path("edge").name == "edge.onnx"
    assert (card.precision, card.max_batch) == ("weak-fp16", 4)
    assert str(card.code_format.configuration) == "8-NoEnc-B5"
    assert card.code_format.fingerprint == 0x1234
    assert card.clip_format.mean == (0.5, 0.25, 0.125)
    assert card.clip_format.fingerprint == 0xABCD
    assert str(card.graphs["server"].inputs[0]) == "packed uint8 [batch, 8]"


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_every_shipped_target_can_stand_in_a_card(path: Path, small_artefact: MakeArtefact) -> None:
    target = json.loads(path.read_text())
    folder = small_artefact(output_type=target["output_type"], dynamic_batch=target["dynamic_batch"])
    card = replace(load_card(folder), target=target)
    save_card(card, folder)
    assert load_card(folder).target == target


def test_the_unsplit_model_has_a_card_as_the_halves_have(small_artefact: MakeArtefact) -> None:
    artefact = load_artefact(small_artefact(whole=True))
    assert artefact.card.has_whole
    assert artefact.graph_path("whole").name == "whole.onnx"
    assert [str(each) for each in artefact.graph_card("whole").inputs] == ["clip float32 [1, 3, 2, 2, 2]"]
    reference = load_reference(artefact)
    assert reference.whole_answer is not None
    assert reference.arrays_of("whole")["answer"] is reference.whole_answer
    assert reference.arrays_of("server")["answer"] is reference.answer


def test_what_has_no_graph_of_the_unsplit_model_says_so(small_artefact: MakeArtefact) -> None:
    artefact = load_artefact(small_artefact())
    assert not artefact.card.has_whole
    with pytest.raises(ArtefactError, match=r"holds no whole\.onnx: export it with whole=True"):
        artefact.graph_path("whole")
    with pytest.raises(ValueError, match="the reference must hold whole_answer"):
        load_reference(artefact).arrays_of("whole")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (TensorCard("clip", "float32", (1, 3, 2, 2, 1)),)}, "graphs.whole.inputs: expected clip"),
        ({"outputs": (TensorCard("answer", "float32", (1, 6)),)}, "graphs.whole.outputs: expected answer"),
        ({"outputs": (TensorCard("answer", "float32", (None, 5)),)}, "graphs.whole.outputs: expected answer"),
    ],
)
def test_a_whole_graph_that_does_not_fit_the_halves_is_refused(
    change: dict[str, Any], message: str, small_artefact: MakeArtefact
) -> None:
    card = load_card(small_artefact(whole=True))
    with pytest.raises(ArtefactError, match=message):
        replace(card, graphs={**card.graphs, "whole": replace(card.graphs["whole"], **change)})


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), np.float32), r"whole_answer: expected float32 \[4, 5\], found float32 \[4, 6\]"),
        (None, "expected the arrays clip, packed, margin, answer, whole_answer"),
    ],
)
def test_the_answers_of_the_unsplit_model_must_fit_too(
    array: np.ndarray | None, message: str, small_artefact: MakeArtefact
) -> None:
    artefact = load_artefact(small_artefact(whole=True))
    arrays = load_reference(artefact).arrays
    del arrays["whole_answer"]
    more = {} if array is None else {"whole_answer": array}
    np.savez(artefact.folder / "reference.npz", **arrays, **more)
    with pytest.raises(ArtefactError, match=message):
        load_reference(artefact)


def remove(*keys: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


def put(value: Any, *keys: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("onnx", "format"), "format: expected 'approxbit-export', found 'onnx'"),
        (put(1, "version"), "version: expected 3, found 1"),
        (put(True, "version"), "version: expected 3, found True"),
        (remove("graphs"), "expected the keys name, .*; missing: 'graphs'; unknown: none"),
        (put(1, "more"), "unknown: 'more'"),
        (put(1, "graphs", "edge", "more"), "graphs.edge: .*unknown: 'more'"),
        (put({}, "graphs"), r"graphs: expected edge, server and perhaps whole, found \[\]"),
        (put([], "graphs"), r"graphs: expected a JSON object, found \[\]"),
        (put("12", "fingerprint"), r"fingerprint: expected text of the form \[0-9a-f\]\{16\}"),
        (put("today", "date"), "date: expected text of the form"),
        (put(3, "name"), "name: expected text, found 3"),
        (put(0, "clip_format", "size"), "clip_format.size: expected a whole number of at least 1"),
        (put([1, 2], "clip_format", "mean"), "clip_format.mean: expected a list of 3"),
        (
            put([2, 0, 2], "code_format", "feature_size"),
            "feature_size: expected whole numbers of at least 1",
        ),
        (put("8-B5", "code_format", "configuration"), "expected a configuration such as"),
        (put("all", "tolerance", "max_answer_error"), "max_answer_error: expected a number, found 'all'"),
        (put(2, "tolerance", "max_flipped_share"), "tolerance: expected a share from 0 to 1"),
        (put([1], "label_names"), r"label_names\[0\]: expected text"),
        (put("a", "label_names"), "label_names: expected a list, found 'a'"),
        (put("../edge.onnx", "graphs", "edge", "file"), "graphs.edge.file: expected the name of a file"),
        (
            put({"a/b": "0" * 64}, "graphs", "edge", "external_data"),
            "external_data: expected the name of a file",
        ),
        (put([1, -1], "graphs", "edge", "outputs", 0, "shape"), r"outputs\[0\].shape: expected sizes"),
        (put("int8", "graphs", "edge", "outputs", 0, "dtype"), "expected packed uint8 .* found packed int8"),
        (put([], "graphs", "server", "outputs"), "graphs.server.outputs: expected answer .* found nothing"),
        (put([1, 9], "graphs", "server", "inputs", 0, "shape"), r"expected packed uint8 \[1, 8\]"),
        (put("fp8", "target", "precision"), "target.precision: expected one of fp32, weak-fp16"),
        (
            remove("target", "output_type"),
            "target.output_type: expected one of uint8, int32, found nothing",
        ),
        (put(0, "target", "dynamic_batch"), "target.dynamic_batch: expected at least 1, or null, found 0"),
    ],
)
def test_a_card_that_is_not_well_formed_says_where(
    change: Callable[[Any], None], message: str, small_artefact: MakeArtefact
) -> None:
    path = small_artefact() / "card.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ArtefactError, match=message) as caught:
        load_card(path.parent)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"format": NaN}'])
def test_a_card_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ArtefactError, match="expected JSON"):
        load_card(tmp_path)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"card.json: cannot be read: No such file"):
        load_card(tmp_path)


def test_a_graph_must_be_the_file_of_the_card(small_artefact: MakeArtefact) -> None:
    folder = small_artefact()
    graph = folder / "server.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match=r"server.onnx: expected the sha256 \w+, found"):
        load_artefact(folder)
    graph.unlink()
    with pytest.raises(ArtefactError, match=r"server.onnx: cannot be read"):
        load_artefact(folder)


def test_weights_beside_a_graph_are_checked_too(small_artefact: MakeArtefact) -> None:
    folder = small_artefact()
    weights = folder / "edge.onnx.data"
    weights.write_bytes(b"weights")
    card = load_card(folder)
    edge = replace(card.graphs["edge"], external_data={"edge.onnx.data": sha256_of(weights.read_bytes())})
    save_card(replace(card, graphs={**card.graphs, "edge": edge}), folder)
    assert load_artefact(folder).card.graphs["edge"].digest not in (
        edge.sha256,
        sha256_of(weights.read_bytes()),
    )
    weights.write_bytes(b"other weights")
    with pytest.raises(ArtefactError, match=r"edge\.onnx\.data: expected the sha256"):
        load_artefact(folder)


def test_the_digest_of_a_single_file_is_its_own() -> None:
    graph = GraphCard("a.onnx", "ab" * 32, 16, 8, (TensorCard("clip", "float32", (1,)),), ())
    assert graph.digest == "ab" * 32


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("clip", np.zeros((4, 3, 2, 2, 2)), r"clip: expected float32 \[n, 3, 2, 2, 2\], found float64"),
        ("clip", np.zeros((0, 3, 2, 2, 2), np.float32), r"clip: expected .* found float32 \[0, 3, 2, 2, 2\]"),
        ("clip", np.float32(0), r"clip: expected .* found float32 \[\]"),
        ("packed", np.zeros((3, 8), np.uint8), r"packed: expected uint8 \[4, 8\], found uint8 \[3, 8\]"),
        ("margin", np.zeros((4, 60), np.float16), r"margin: expected float16 \[4, 64\]"),
        ("answer", np.zeros((4, 6), np.float32), r"answer: expected float32 \[4, 5\]"),
        ("answer", None, "expected the arrays clip, packed, margin, answer"),
    ],
)
def test_a_reference_that_does_not_fit_the_card_is_refused(
    name: str, array: np.ndarray | None, message: str, small_artefact: MakeArtefact
) -> None:
    artefact = load_artefact(small_artefact())
    arrays = load_reference(artefact).arrays
    arrays.pop(name)
    given = arrays if array is None else {**arrays, name: array}
    np.savez(artefact.folder / "reference.npz", **given)
    with pytest.raises(ArtefactError, match=message):
        load_reference(artefact)


def test_a_broken_or_missing_reference_is_named(small_artefact: MakeArtefact) -> None:
    artefact = load_artefact(small_artefact())
    path = artefact.folder / "reference.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtefactError, match=r"reference\.npz: expected the arrays"):
        load_reference(artefact)
    path.unlink()
    with pytest.raises(ArtefactError, match=r"reference\.npz: cannot be read"):
        load_reference(artefact)


def test_a_card_that_cannot_be_written_leaves_the_old_one(
    small_artefact: MakeArtefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_artefact()
    before = sorted(os.listdir(folder))
    card = load_card(folder)

    def fail(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_card(replace(card, name="other"), folder)
    assert sorted(os.listdir(folder)) == before
    assert load_card(folder) == card
