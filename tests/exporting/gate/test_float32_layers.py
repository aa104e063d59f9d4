"""Which nodes a weakly typed builder must keep in FP32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from approxbit.exporting.gate import check_graph, find_float32_layers, load_target

CONSTANTS = {"two": np.array(2, np.float32), "epsilon": np.array(1e-6, np.float32)}


def node(operator: str, inputs: str, name: str, **attributes: Any) -> onnx.NodeProto:
    """A node that makes a value of its own name."""
    return helper.make_node(operator, inputs.split(), [name], name, **attributes)


MEAN = node("ReduceMean", "clip", "mean", axes=[-1])
DIFFERENCE = node("Sub", "clip mean", "difference")
VARIANCE = node("ReduceMean", "square", "variance", axes=[-1])
SHIFTED = node("Add", "variance epsilon", "shifted")
ROOT = node("Sqrt", "shifted", "root")
LAYER_NORM = (
    MEAN,
    DIFFERENCE,
    node("Pow", "difference two", "square"),
    VARIANCE,
    SHIFTED,
    ROOT,
    node("Div", "difference root", "x"),
)
INVERSE_NORM = (
    MEAN,
    DIFFERENCE,
    node("Mul", "difference difference", "square"),
    VARIANCE,
    SHIFTED,
    ROOT,
    node("Reciprocal", "root", "inverse"),
    node("Mul", "difference inverse", "x"),
)
RMS_NORM = (node("Pow", "clip two", "square"), VARIANCE, SHIFTED, ROOT, node("Div", "clip root", "x"))


@pytest.mark.parametrize("nodes", [LAYER_NORM, INVERSE_NORM, RMS_NORM])
def test_every_part_of_a_normalisation_is_found(nodes: tuple[onnx.NodeProto, ...], hand_made: Any) -> None:
    found = find_float32_layers(hand_made.edge(nodes, CONSTANTS))
    assert found == tuple(each.name for each in nodes)


def test_softmax_is_found(hand_made: Any, tmp_path: Path) -> None:
    nodes = (node("Softmax", "clip", "soft"), node("LogSoftmax", "soft", "x"))
    onnx.save(hand_made.edge(nodes), tmp_path / "edge.onnx")
    assert find_float32_layers(tmp_path / "edge.onnx") == ("soft", "x")


def test_a_mean_and_a_root_of_another_kind_are_not_found(hand_made: Any) -> None:
    pool = (MEAN, node("Sqrt", "mean", "root"), node("Div", "clip root", "x"))
    assert find_float32_layers(hand_made.edge(pool)) == ()


def test_a_native_layer_norm_is_not_found(hand_made: Any) -> None:
    nodes = (node("LayerNormalization", "clip gain", "x"),)
    assert find_float32_layers(hand_made.edge(nodes, {"gain": np.ones(4, np.float32)}, 17)) == ()


def test_the_decomposition_of_a_mixed_graph_must_read_float32(hand_made: Any) -> None:
    half = helper.make_node("Cast", ["clip"], ["half"], "to_half", to=TensorProto.FLOAT16)
    moved = [onnx.NodeProto.FromString(each.SerializeToString()) for each in RMS_NORM]
    for each in moved:
        each.input[:] = ["half" if name == "clip" else name for name in each.input]
        each.output[:] = ["half_x" if name == "x" else name for name in each.output]
    back = helper.make_node("Cast", ["half_x"], ["x"], "back", to=TensorProto.FLOAT)
    constants = {name: value.astype(np.float16) for name, value in CONSTANTS.items()}
    report = check_graph(hand_made.edge([half, *moved, back], constants, 17), load_target("orin-jp6"))
    named = [each.node for each in report.violations if each.rule == "float32_islands"]
    assert named == ["square", "variance", "shifted", "root", "x"]
