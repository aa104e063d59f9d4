"""The build as the genuine parser and builder take it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from onnx import TensorProto, helper

from approxbit.engines.tensorrt.network import check_tensors, create_network, parse_onnx
from approxbit.errors import EngineError

MakeArtefact = Callable[..., Path]


@pytest.fixture
def build_with_rtx(rtx: ModuleType) -> Callable[..., dict[str, object]]:
    build: Callable[..., dict[str, object]] = rtx.build_with_rtx
    return build


def test_the_packing_tail_builds_with_bytes_as_output(
    small_artefact: MakeArtefact, build_with_rtx: Callable[..., dict[str, object]]
) -> None:
    built = build_with_rtx(small_artefact() / "edge.onnx", "fp32")
    assert isinstance(built["plan_bytes"], int)
    assert built["plan_bytes"] > 10_000
    assert built["said"][0].startswith("parsed edge.onnx")  # type: ignore[index]


def test_a_code_of_int32_builds(
    small_artefact: MakeArtefact, build_with_rtx: Callable[..., dict[str, object]]
) -> None:
    assert build_with_rtx(small_artefact(output_type="int32") / "edge.onnx")["plan_bytes"]


def test_an_open_batch_builds_with_a_profile(
    small_artefact: MakeArtefact, build_with_rtx: Callable[..., dict[str, object]]
) -> None:
    built = build_with_rtx(small_artefact(dynamic_batch=6) / "server.onnx", max_batch=6)
    assert "the batch may be 1 to 6" in built["said"]  # type: ignore[operator]


def test_weights_beside_the_graph_are_found(
    small_artefact: MakeArtefact, build_with_rtx: Callable[..., dict[str, object]]
) -> None:
    folder = small_artefact()
    model = onnx.load(folder / "server.onnx")
    onnx.save(
        model,
        folder / "outside.onnx",
        save_as_external_data=True,
        location="outside.onnx.data",
        size_threshold=0,
    )
    assert (folder / "outside.onnx.data").stat().st_size > 0
    assert build_with_rtx(folder / "outside.onnx")["plan_bytes"]


def test_a_refused_graph_is_named_with_node_and_reason(
    tmp_path: Path, build_with_rtx: Callable[..., dict[str, object]]
) -> None:
    node = helper.make_node("BitShift", ["packed", "by"], ["answer"], "/pack/BitShift", direction="LEFT")
    values = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 8]) for name in ("packed", "by", "answer")
    ]
    model = helper.make_model(helper.make_graph([node], "half", values[:2], values[2:]))
    onnx.save(model, tmp_path / "shift.onnx")
    with pytest.raises(
        RuntimeError, match=r"cannot read .*shift.onnx:\n  node 0 \(BitShift, /pack/BitShift\)"
    ):
        build_with_rtx(tmp_path / "shift.onnx")


def test_the_networks_tensors_and_layers_are_those_of_the_graph(
    small_artefact: MakeArtefact, rtx: ModuleType
) -> None:
    trt = rtx.import_rtx()
    folder = small_artefact()
    logger = trt.Logger(trt.Logger.WARNING)
    network = create_network(trt, trt.Builder(logger), "fp32")
    parse_onnx(trt, network, folder / "edge.onnx", logger)
    check_tensors(network, rtx.graph_card(folder / "edge.onnx"))
    with pytest.raises(EngineError, match="expected the outputs"):
        check_tensors(network, rtx.graph_card(small_artefact("int32", output_type="int32") / "edge.onnx"))
    layers = {network.get_layer(index).name for index in range(network.num_layers)}
    assert {"/norm/ReduceMean", "/norm/Sub"} <= layers  # what is pinned to FP32 is found by the node's name
