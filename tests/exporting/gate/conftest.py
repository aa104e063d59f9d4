"""Small graphs made by hand: what the gate is to judge, without an exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

CLIP_SHAPE = (1, 3, 2, 4, 4)
PAYLOAD_BYTES = 12
NUM_CLASSES = 5
Constants = Mapping[str, np.ndarray]


class HandMade:
    """Builds graphs around a few nodes."""

    @staticmethod
    def edge(
        nodes: Sequence[onnx.NodeProto] = (),
        constants: Constants | None = None,
        opset: int = 16,
        ir: int = 8,
        last: str = "x",
    ) -> onnx.ModelProto:
        """clip -> `nodes` -> `last` (of the clip's shape) -> packing tail -> packed."""
        given = {
            "zero": np.zeros((), np.float32),
            "eights": np.array([1, PAYLOAD_BYTES, 8]),
            "weights": np.array([128, 64, 32, 16, 8, 4, 2, 1], np.float32),
            "last_axis": np.array([-1]),
            **(constants or {}),
        }
        tail = [
            helper.make_node("Greater", [last if nodes else "clip", "zero"], ["positive"], "greater"),
            helper.make_node("Cast", ["positive"], ["bits"], "to_float", to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["bits", "eights"], ["grouped"], "group"),
            helper.make_node("Mul", ["grouped", "weights"], ["weighted"], "weigh"),
            helper.make_node("ReduceSum", ["weighted", "last_axis"], ["bytes"], "sum", keepdims=0),
            helper.make_node("Cast", ["bytes"], ["packed"], "to_bytes", to=TensorProto.UINT8),
        ]
        clip = helper.make_tensor_value_info("clip", TensorProto.FLOAT, CLIP_SHAPE)
        packed = helper.make_tensor_value_info("packed", TensorProto.UINT8, (1, PAYLOAD_BYTES))
        return HandMade.model([*nodes, *tail], [clip], [packed], given, opset, ir)

    @staticmethod
    def server(
        nodes: Sequence[onnx.NodeProto] = (), constants: Constants | None = None, batch: int | str = 1
    ) -> onnx.ModelProto:
        """packed -> float -> `nodes` (from `bytes` to `x`) -> answer."""
        given = {"matrix": np.ones((PAYLOAD_BYTES, NUM_CLASSES), np.float32), **(constants or {})}
        last = "x" if nodes else "bytes"
        all_nodes = [
            helper.make_node("Cast", ["packed"], ["bytes"], "to_float", to=TensorProto.FLOAT),
            *nodes,
            helper.make_node("MatMul", [last, "matrix"], ["answer"], "classify"),
        ]
        packed = helper.make_tensor_value_info("packed", TensorProto.UINT8, (batch, PAYLOAD_BYTES))
        answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, (batch, NUM_CLASSES))
        return HandMade.model(all_nodes, [packed], [answer], given)

    @staticmethod
    def whole() -> onnx.ModelProto:
        """clip -> twice its values -> answer."""
        nodes = [
            helper.make_node("Flatten", ["clip"], ["values"], "flatten"),
            helper.make_node("Add", ["values", "values"], ["answer"], "double"),
        ]
        clip = helper.make_tensor_value_info("clip", TensorProto.FLOAT, CLIP_SHAPE)
        answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, int(np.prod(CLIP_SHAPE))))
        return HandMade.model(nodes, [clip], [answer], {})

    @staticmethod
    def model(
        nodes: Sequence[onnx.NodeProto],
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        constants: Constants,
        opset: int = 16,
        ir: int = 8,
    ) -> onnx.ModelProto:
        initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
        graph = helper.make_graph(nodes, "made_by_hand", inputs, outputs, initializers)
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=ir)


@pytest.fixture(scope="session")
def hand_made() -> type[HandMade]:
    """Builds graphs around a few nodes."""
    return HandMade
