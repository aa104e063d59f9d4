"""From an ONNX file to a network definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from approxbit.engines.artefact import Artefact
from approxbit.engines.tensorrt.build import BuildOptions, build_engine
from approxbit.errors import EngineError

Device = Callable[[str], ModuleType]


def build_edge(trt: ModuleType, artefact: Artefact, path: Path | None = None, **changes: object) -> list[str]:
    said: list[str] = []
    graph = replace(artefact.card.graphs["edge"], **changes)  # type: ignore[arg-type]
    path = path or artefact.graph_path("edge")
    build_engine(trt, path, graph, BuildOptions("weak-fp16"), b"", said.append)
    return said


@pytest.mark.parametrize(
    ("version", "where"),
    [("8.6.2", "node 5: No importer"), ("10.3.0", r"node 5 \(BitShift, /pack/Shift\): No")],
)
def test_a_refused_node_is_named_as_well_as_the_version_can(
    version: str, where: str, artefact: Artefact, device: Device
) -> None:
    path = artefact.graph_path("edge")
    model = onnx.load(path)
    node = model.graph.node[5]
    node.op_type, node.name = "BitShift", "/pack/Shift"
    onnx.save(model, path.with_name("shift.onnx"))
    with pytest.raises(EngineError, match=rf"TensorRT {version} cannot read .*shift.onnx:\n  {where}"):
        build_edge(device(version), artefact, path.with_name("shift.onnx"))


def test_other_inputs_than_the_cards_are_refused(artefact: Artefact, device: Device) -> None:
    with pytest.raises(EngineError, match=r"edge.onnx: expected the inputs \[\('packed'.* reads \[\('clip'"):
        build_edge(device("8.6.2"), artefact, inputs=artefact.card.graphs["server"].inputs)


def test_nodes_without_a_layer_are_named(artefact: Artefact, device: Device) -> None:
    said = build_edge(device("8.6.2"), artefact, float32_layers=("/norm/Sub", "/norm/Gone"))
    assert "2 layers stay in FP32" in said
    assert "warning: no layer was found for 1 of 2 nodes: /norm/Gone" in said
