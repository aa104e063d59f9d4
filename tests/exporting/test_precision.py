"""Products in FLOAT16, sums in FLOAT, the boundary as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from approxbit.engines.artefact import load_artefact
from approxbit.errors import ExportError
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import load_target
from approxbit.exporting.precision import to_mixed_precision

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.mark.parametrize("name", ["movinet", "mvitv2"])
def test_a_mixed_model_passes_the_gate_and_agrees(name: str, small: ModuleType, tmp_path: Path) -> None:
    # The graphs of a strongly typed server, by the exporter that takes a tenth of the time.
    target = replace(load_target("server"), exporter="torchscript", opset=17, dynamic_batch=None)
    model = small.make_model(small.BACKBONES[name](), "5-NoEnc-B2")
    card = load_artefact(export_model(model, target, tmp_path, "small/5-NoEnc-B2")).card
    assert card.gate["edge"]["agreement"]["flipped_share"] <= 0.005
    assert 0 < card.gate["server"]["agreement"]["answer_error"] < 0.05
    assert card.graphs["edge"].float32_layers == ()
    weights = onnx.load(str(tmp_path / "edge.onnx")).graph.initializer
    assert {tensor.data_type for tensor in weights if len(tensor.dims) >= 4} == {HALF}


def make_model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_products_are_half_and_islands_are_not() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Softmax", ["product"], ["weights"]),
        helper.make_node("ReduceMean", ["weights"], ["mean"], axes=[3]),
        helper.make_node("MatMul", ["weights", "w"], ["y"]),
    ]
    mixed = to_mixed_precision(make_model(nodes, w=np.eye(2)))
    types = types_of(mixed)
    assert (types["x"], types["product"], types["weights"], types["mean"], types["y"]) == (
        FLOAT,
        HALF,
        FLOAT,
        FLOAT,
        FLOAT,
    )
    # x, the product, the weights, the answer: one cast each, and none between Softmax and ReduceMean.
    assert operators(mixed).count("Cast") == 4
    assert [tensor.data_type for tensor in mixed.graph.initializer] == [HALF]


def test_a_float32_graph_is_left_as_it_was() -> None:
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], w=np.eye(2))
    before = model.SerializeToString()
    to_mixed_precision(model)
    assert model.SerializeToString() == before


def test_constants_that_both_kinds_read_exist_twice() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Pow", ["x", "w"], ["power"]),
        helper.make_node("Add", ["product", "power"], ["y"]),
    ]
    mixed = to_mixed_precision(make_model(nodes, w=np.ones((2, 2))))
    assert {tensor.data_type for tensor in mixed.graph.initializer} == {FLOAT, HALF}
    types_of(mixed)


def test_scales_of_a_resize_stay_float() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Resize", ["product", "", "scales"], ["y"], mode="linear"),
    ]
    mixed = to_mixed_precision(make_model(nodes, w=np.eye(2), scales=np.array([1, 1, 2, 2])))
    found = run(mixed, np.array([[[[1, 2], [3, 4]]]], np.float32))
    assert found.shape == (1, 1, 4, 4)


def test_constant_nodes_are_constants_too() -> None:
    value = numpy_helper.from_array(np.full(1, 0.5, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["half"], value=value),
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Mul", ["product", "half"], ["y"]),
    ]
    mixed = to_mixed_precision(make_model(nodes, w=np.eye(2)))
    assert "Constant" not in operators(mixed)
    assert run(mixed, np.ones((1, 1, 2, 2), np.float32)).tolist() == [[[[0.5, 0.5], [0.5, 0.5]]]]


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_a_constant_that_half_cannot_hold_is_refused(value: float) -> None:
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], w=np.full((2, 2), value))
    with pytest.raises(ExportError, match="a constant of a mixed graph must be at most 65504, found"):
        to_mixed_precision(model)


def test_whatever_gives_the_answer_gives_float() -> None:
    for node in list_of_last_nodes():
        mixed = to_mixed_precision(
            make_model([helper.make_node("MatMul", ["x", "w"], ["product"]), node], w=np.eye(2))
        )
        assert types_of(mixed)["y"] == FLOAT
        assert run(mixed, np.ones((1, 1, 2, 2), np.float32)).dtype == np.float32


def list_of_last_nodes() -> Iterator[onnx.NodeProto]:
    yield helper.make_node("MatMul", ["product", "w"], ["y"])
    yield helper.make_node("Softmax", ["product"], ["y"])
    yield helper.make_node("Relu", ["product"], ["y"])


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result
