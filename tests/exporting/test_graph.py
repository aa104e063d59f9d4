"""One view, one file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from approxbit.engines.artefact import load_artefact, load_reference
from approxbit.errors import ExportError
from approxbit.exporting.gate import Target, load_target
from approxbit.exporting.graph import GraphInterface, export_graph, save_graph
from approxbit.exporting.views import EdgeView
from approxbit.offload import OffloadedModel

CLIP = GraphInterface("clip", "packed")


def export_edge(model: OffloadedModel, target: Target) -> onnx.ModelProto:
    clip = torch.zeros(1, *model.backbone.clip_shape)
    return export_graph(EdgeView(model), clip, CLIP, target)


def test_the_same_model_gives_the_same_bytes(movinet: OffloadedModel) -> None:
    target = load_target("xavier-jp5")
    first, second = (export_edge(movinet, target).SerializeToString() for _ in range(2))
    assert first == second


def test_a_file_tells_nothing_of_its_maker(device_artefact: Path, server_artefact: Path) -> None:
    for folder in (device_artefact, server_artefact):
        for name in ("edge.onnx", "server.onnx"):
            model = onnx.load(str(folder / name))
            assert model.producer_name == "approxbit"
            assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
            names = [node.name for node in model.graph.node]
            assert len(set(names)) == len(names)
            assert str(Path.cwd()).encode() not in (folder / name).read_bytes()


def test_large_weights_lie_beside_the_file(movinet: OffloadedModel, tmp_path: Path) -> None:
    clip = np.random.default_rng(0).random((1, *movinet.backbone.clip_shape), dtype=np.float32)
    model = export_edge(movinet, load_target("orin-jp6.0"))
    outputs = []
    for limit, beside in ((1 << 30, ()), (0, ("edge.onnx.data",)), (0, ("edge.onnx.data",))):
        path = tmp_path / "edge.onnx"
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        assert save_graph(copy, path, limit) == beside
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {"clip": clip})[0].tobytes())
    assert len(set(outputs)) == 1
    assert (tmp_path / "edge.onnx.data").stat().st_size < 2 * len(model.SerializeToString())


def test_an_open_batch_takes_any_number_of_codes(server_artefact: Path) -> None:
    artefact = load_artefact(server_artefact)
    reference = load_reference(artefact)
    path = str(artefact.graph_path("server"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 3, 4):
        found = session.run(None, {"packed": reference.packed[:count]})[0]
        np.testing.assert_allclose(found, reference.answer[:count], atol=1e-4)


class Sized(nn.Module):
    """Reads the batch off its input, as a head that joins a learned token does."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1))

    def forward(self, packed: Tensor) -> Tensor:
        return torch.cat((self.token.expand(packed.shape[0], 1), packed.float()), dim=1)


def test_only_a_cast_reads_a_uint8_input() -> None:
    interface = GraphInterface("packed", "answer", has_open_batch=True)
    target = load_target("server")
    target = type(target)(**{**vars(target), "exporter": "torchscript", "opset": 17, "precision": "fp32"})
    model = export_graph(Sized(), torch.zeros(1, 2, dtype=torch.uint8), interface, target)
    readers = [node.op_type for node in model.graph.node if "packed" in node.input]
    assert "Shape" in [node.op_type for node in model.graph.node]
    assert readers == ["Cast"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"packed": np.full((3, 2), 7, np.uint8)})[0]
    assert found.tolist() == [[1, 7, 7]] * 3


class Unexportable(nn.Module):
    def forward(self, clip: Tensor) -> Tensor:
        return torch.linalg.svdvals(clip[0, 0, 0])


def test_what_the_exporter_cannot_do_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="the torchscript exporter fails on Unexportable at opset 16: "):
        export_graph(Unexportable(), torch.zeros(1, 3, 1, 2, 2), CLIP, load_target("xavier-jp5"))


def test_a_missing_package_names_the_extra(movinet: OffloadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxslim", None)
    with pytest.raises(ImportError, match=r"needs onnxslim: pip install 'approxbit\[export\]'"):
        export_edge(movinet, load_target("xavier-jp5"))
