"""Graphs against the numbers of their model: hand-made graphs whose numbers are known."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from approxbit.engines.artefact_card import Tolerance
from approxbit.errors import GateError
from approxbit.exporting.gate import (
    AnswerAgreement,
    CodeAgreement,
    compare_codes,
    measure_agreement,
)
from approxbit.wire import pack

CLIPS = np.random.default_rng(1).standard_normal((3, 3, 2, 4, 4)).astype(np.float32)
REFERENCE = {
    "clip": CLIPS,
    "packed": np.stack(
        [np.frombuffer(pack((clip.reshape(1, -1) > 0).astype(np.uint8)), np.uint8) for clip in CLIPS]
    ),
    "margin": np.abs(CLIPS).reshape(3, -1),
}


@pytest.fixture
def edge(hand_made: Any, tmp_path: Path) -> Path:
    onnx.save(hand_made.edge(), tmp_path / "edge.onnx")
    return tmp_path / "edge.onnx"


def save_server(hand_made: Any, folder: Path, batch: int | str) -> Path:
    onnx.save(hand_made.server(batch=batch), folder / "server.onnx")
    return folder / "server.onnx"


def test_the_packing_tail_gives_the_bytes_of_the_wire(edge: Path) -> None:
    assert measure_agreement(edge, REFERENCE) == CodeAgreement(0.0, 0.0)


def test_a_flipped_bit_is_counted_with_its_margin(edge: Path) -> None:
    packed = REFERENCE["packed"].copy()
    packed[0, 0] ^= 0b10000001
    with pytest.raises(
        GateError, match=r"edge\.onnx is not the model it was exported from: a share of 0\.0069"
    ):
        measure_agreement(edge, {**REFERENCE, "packed": packed})
    found = measure_agreement(edge, {**REFERENCE, "packed": packed}, Tolerance(max_flipped_share=0.01))
    largest = np.abs(CLIPS[0].reshape(-1)[[0, 7]]).max()
    assert found == CodeAgreement(2 / (3 * 96), float(largest))
    assert found.as_dict() == {"flipped_share": 2 / 288, "largest_flipped_margin": float(largest)}
    assert "with logits up to" in str(found)


def test_the_reference_is_read_from_its_file(edge: Path, tmp_path: Path) -> None:
    half = {**REFERENCE, "margin": REFERENCE["margin"].astype(np.float16)}
    np.savez(tmp_path / "reference.npz", **half)
    assert measure_agreement(edge, tmp_path / "reference.npz") == CodeAgreement(0.0, 0.0)


@pytest.mark.parametrize("batch", [1, "batch", 2])
def test_answers_are_compared_in_the_batches_of_the_graph(
    batch: int | str, hand_made: Any, tmp_path: Path
) -> None:
    packed = np.arange(48, dtype=np.uint8).reshape(4, 12)
    answer = np.repeat(packed.astype(np.float32).sum(1, keepdims=True), 5, axis=1)
    path = save_server(hand_made, tmp_path, batch)
    assert measure_agreement(path, {"packed": packed, "answer": answer}) == AnswerAgreement(0.0, 498.0)


def test_the_answers_of_a_whole_graph_are_compared_with_those_to_clips(
    hand_made: Any, tmp_path: Path
) -> None:
    onnx.save(hand_made.whole(), tmp_path / "whole.onnx")
    reference = {"clip": CLIPS, "answer": 2 * CLIPS.reshape(3, -1)}
    found = measure_agreement(tmp_path / "whole.onnx", reference)
    assert found == AnswerAgreement(0.0, float(np.abs(reference["answer"]).max()))


def test_a_wrong_answer_is_refused(hand_made: Any, tmp_path: Path) -> None:
    path = save_server(hand_made, tmp_path, 1)
    packed, answer = np.ones((2, 12), np.uint8), np.full((2, 5), 12.5, np.float32)
    reference = {"packed": packed, "answer": answer}
    expected = r"answers of up to 12 differ by up to 0\.5; the limit is .*max_answer_error=0\.02"
    with pytest.raises(GateError, match=expected):
        measure_agreement(path, reference)
    found = measure_agreement(path, reference, Tolerance(max_answer_error=0.04))
    assert found.as_dict() == {"answer_error": 0.5, "largest_answer": 12.5}
    answer[0, 0] = np.nan
    with pytest.raises(GateError, match="differ by up to nan"):
        measure_agreement(path, reference, Tolerance(max_answer_error=0.04))


def test_answers_of_another_shape_are_refused(hand_made: Any, tmp_path: Path) -> None:
    path = save_server(hand_made, tmp_path, 1)
    reference = {"packed": np.ones((2, 12), np.uint8), "answer": np.ones((2, 6), np.float32)}
    with pytest.raises(GateError, match=r"must give answers of shape \(2, 6\), found \(2, 5\)"):
        measure_agreement(path, reference)


def test_a_batch_that_does_not_divide_the_reference_is_refused(hand_made: Any, tmp_path: Path) -> None:
    path = save_server(hand_made, tmp_path, 2)
    reference = {"packed": np.ones((3, 12), np.uint8), "answer": np.ones((3, 5), np.float32)}
    with pytest.raises(ValueError, match="takes batches of 2, found a reference of 3"):
        measure_agreement(path, reference)


def test_a_graph_that_onnx_runtime_refuses_is_refused(hand_made: Any, tmp_path: Path) -> None:
    node = helper.make_node("Magic", ["clip"], ["x"], domain="com.example")
    onnx.save(hand_made.edge([node]), tmp_path / "edge.onnx")
    with pytest.raises(GateError, match=r"ONNX Runtime refuses .*edge\.onnx: .*com\.example"):
        measure_agreement(tmp_path / "edge.onnx", REFERENCE)


def test_a_graph_of_no_role_is_refused(hand_made: Any, tmp_path: Path) -> None:
    model = hand_made.edge()
    model.graph.input[0].name = model.graph.node[0].input[0] = "video"
    onnx.save(model, tmp_path / "edge.onnx")
    with pytest.raises(GateError, match=r"must make packed of clip \(edge\), .* found packed of video"):
        measure_agreement(tmp_path / "edge.onnx", REFERENCE)


def test_a_reference_without_an_array_is_named(edge: Path) -> None:
    with pytest.raises(ValueError, match="the reference must hold clip, packed, margin; margin is missing"):
        measure_agreement(edge, {name: REFERENCE[name] for name in ("clip", "packed")})


def test_bits_that_fill_the_last_byte_must_be_zero() -> None:
    expected, margin = np.array([[0b10100000]], np.uint8), np.ones((1, 3), np.float32)
    assert compare_codes(np.array([[0b10000000]]), expected, margin) == CodeAgreement(1 / 3, 1.0)
    with pytest.raises(GateError, match="must fill the last byte with zero bits"):
        compare_codes(np.array([[0b10100001]]), expected, margin)


@pytest.mark.parametrize("found", [np.array([[256]]), np.array([[-1]]), np.array([[1, 2]])])
def test_what_holds_no_bytes_of_a_code_is_refused(found: np.ndarray) -> None:
    with pytest.raises(
        GateError, match=r"the edge graph must give bytes of shape \(1, 1\), found values from"
    ):
        compare_codes(found, np.array([[255]], np.uint8), np.ones((1, 8), np.float32))


def test_margins_of_another_code_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found packed of shape \(1, 1\) and margin of shape \(1, 9\)"):
        compare_codes(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), np.ones((1, 9), np.float32))


def test_a_missing_onnxruntime_names_the_extra(edge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "onnxruntime":
            raise ModuleNotFoundError(name=name)
        return load(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"needs onnxruntime: pip install 'approxbit\[export\]'"):
        measure_agreement(edge, REFERENCE)
