"""A model becomes a folder that a device can trust."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from approxbit.backbones.feature import Feature
from approxbit.engines.artefact import Reference, Tolerance, load_artefact, load_reference
from approxbit.errors import ExportError, GateError
from approxbit.exporting import roles
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import check_graph, load_target
from approxbit.exporting.views import view_of
from approxbit.files import to_json
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format, torch_whole
from approxbit.zoo import build


def test_the_card_describes_the_folder(device_artefact: Path, movinet: OffloadedModel) -> None:
    card = load_artefact(device_artefact).card
    assert card.name == "small/5-Enc-B2"
    assert card.clip_format == clip_format(movinet.backbone)
    assert card.code_format == movinet.code_format
    assert (card.code_format.fingerprint, card.clip_format.fingerprint) == (0x1234, 0xABCD)
    assert card.label_names == movinet.task.class_names
    assert card.target == to_json(load_target("xavier-jp5"))
    assert [card.graphs[half].opset for half in ("edge", "server")] == [16, 16]
    assert card.graphs["server"].float32_layers
    assert card.tools["torch"] == torch.__version__.split("+")[0]
    assert all(card.gate[graph]["passes"] for graph in ("edge", "server", "whole"))
    assert card.gate["edge"]["agreement"]["num_flipped"] == 0
    assert card.gate["whole"]["agreement"]["answer_error"] < 1e-4
    assert card.graphs["whole"].inputs == card.graphs["edge"].inputs
    assert card.graphs["whole"].opset == 16


def test_the_reference_is_what_torch_gives(device_artefact: Path, movinet: OffloadedModel) -> None:
    reference = load_reference(load_artefact(device_artefact))
    assert len(reference) == 4
    whole = [torch_whole(movinet.backbone).run(clip).logits for clip in reference.clip]
    np.testing.assert_array_equal(reference.whole_answer, whole)
    expected = [movinet.edge_runner().run(clip).payload for clip in reference.clip]
    assert [row.tobytes() for row in reference.packed] == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("artefact", ["device_artefact", "server_artefact"])
def test_the_graphs_pass_their_gate_and_agree(artefact: str, request: pytest.FixtureRequest) -> None:
    loaded = load_artefact(request.getfixturevalue(artefact))
    target = load_target(loaded.card.target["name"])
    reference = load_reference(loaded)
    assert loaded.card.has_whole == (artefact == "device_artefact")
    for graph in loaded.card.graphs:
        assert check_graph(loaded.graph_path(graph), target, graph).passes  # type: ignore[arg-type]
        roles.check_agreement(loaded.graph_path(graph), graph, reference, loaded.card.precision)  # type: ignore[arg-type]


def test_mvitv2_passes_the_gate_of_a_xavier(small: ModuleType, tmp_path: Path) -> None:
    model = small.make_model(small.make_mvitv2(), "5-Enc-B2")
    folder = export_model(model, load_target("xavier-jp5"), tmp_path, "small/5-Enc-B2")
    card = load_artefact(folder).card
    assert card.gate["edge"]["agreement"]["flipped_share"] == 0
    assert card.gate["server"]["agreement"]["answer_error"] < 1e-4
    operators = set(card.gate["edge"]["operators"]) | set(card.gate["server"]["operators"])
    assert not operators & {"Einsum", "ScatterND", "Loop", "LayerNormalization", "Shape", "Expand"}


def test_a_device_with_tensorrt_gets_the_build_script_and_its_commands(device_artefact: Path) -> None:
    assert (device_artefact / "build_engine.pyz").is_file()
    text = (device_artefact / "README.txt").read_text()
    assert "small/5-Enc-B2, exported for xavier-jp5" in text
    assert "packed uint8 [1, 12]" in text
    assert "python3 build_engine.pyz . --graph edge" in text
    assert "whole.onnx" in text


def test_a_device_with_onnxruntime_gets_other_commands(server_artefact: Path) -> None:
    assert not (server_artefact / "build_engine.pyz").exists()
    text = (server_artefact / "README.txt").read_text()
    assert "open_edge" in text
    assert "max_batch=16" in text
    assert "whole.onnx" not in text


def test_clips_of_ones_own_become_the_reference(movinet: OffloadedModel, tmp_path: Path) -> None:
    clips = np.random.default_rng(1).random((2, *movinet.backbone.clip_shape), dtype=np.float32)
    folder = export_model(movinet, load_target("orin-jp6.0"), tmp_path, "small/5-Enc-B2", clips)
    assert np.array_equal(load_reference(load_artefact(folder)).clip, clips)
    assert load_artefact(folder).card.graphs["edge"].opset == 17


def test_a_graph_that_the_target_would_refuse_is_named_and_gets_no_card(
    movinet: OffloadedModel, tmp_path: Path
) -> None:
    for name in ("card.json", "whole.onnx"):
        (tmp_path / name).write_text("of an older export")
    target = replace(load_target("xavier-jp5"), opset=17)
    with pytest.raises(GateError, match="LayerNormalization is not among the operators of onnx-tensorrt"):
        export_model(movinet, target, tmp_path, "small/5-Enc-B2")
    assert not (tmp_path / "card.json").exists()
    assert not (tmp_path / "whole.onnx").exists()
    assert (tmp_path / "server.onnx").exists()


class Shifted(nn.Module):
    """An edge half whose view gives other features."""

    def __init__(self, half: nn.Module):
        super().__init__()
        self.whole = half

    def forward(self, clip: Tensor) -> Feature:
        return self.whole(clip)


class ShiftedView(Shifted):
    def forward(self, clip: Tensor) -> Feature:
        feature = self.whole(clip)
        return Feature(feature.grid + 0.3, feature.tokens)


@view_of.register(Shifted)
def _(half: Shifted, input_shape: tuple[int, int, int, int]) -> nn.Module:
    return ShiftedView(view_of(half.whole, input_shape))


def test_a_graph_that_computes_something_else_is_refused(small: ModuleType, tmp_path: Path) -> None:
    model = small.make_model(small.make_movinet(), "5-Enc-B3")
    model.edge_half = Shifted(model.edge_half).eval()
    with pytest.raises(
        GateError,
        match=r"is not the model it was exported from: \d+ of \d+ bits differ, .*; the limit is 0.10% of",
    ):
        export_model(model, load_target("orin-jp6.0"), tmp_path, "small/5-Enc-B3")


def test_a_single_bit_far_from_the_threshold_is_refused(
    movinet: OffloadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from approxbit.exporting import export

    def with_one_flipped(model: OffloadedModel, clips: np.ndarray, whole: bool) -> Reference:
        reference = make(model, clips, whole)
        index = int(reference.margin[0].argmax())
        reference.packed[0, index // 8] ^= 128 >> index % 8
        return reference

    make = export.make_reference
    monkeypatch.setattr(export, "make_reference", with_one_flipped)
    monkeypatch.setattr(roles, "FLOAT32_TOLERANCE", Tolerance(0.5, 1.0, 0.01))
    with pytest.raises(
        GateError, match=r"is not the model it was exported from: 1 of \d+ bits differ, .*up to 0.01 of"
    ):
        export_model(movinet, load_target("orin-jp6.0"), tmp_path, "small/5-Enc-B2")


def test_a_graph_that_onnx_runtime_refuses_is_refused(device_artefact: Path, tmp_path: Path) -> None:
    reference = load_reference(load_artefact(device_artefact))
    model = onnx.load(device_artefact / "edge.onnx")
    model.graph.node[0].domain = "com.example"
    onnx.save(model, tmp_path / "edge.onnx")
    with pytest.raises(GateError, match=r"ONNX Runtime refuses .*edge\.onnx: .*com\.example"):
        roles.check_agreement(tmp_path / "edge.onnx", "edge", reference, "fp32")
    half = replace(reference, whole_answer=None)
    with pytest.raises(ValueError, match="the reference must hold whole_answer"):
        roles.check_agreement(device_artefact / "whole.onnx", "whole", half, "fp32")


def test_a_mixed_graph_may_be_further_off(device_artefact: Path) -> None:
    reference = load_reference(load_artefact(device_artefact))
    shifted = replace(reference, answer=reference.answer + 0.01 * np.abs(reference.answer).max())
    path = device_artefact / "server.onnx"
    assert roles.check_agreement(path, "server", shifted, "strong-fp16").is_within(Tolerance())
    with pytest.raises(GateError, match=r"server\.onnx is not the model .* differ by up to"):
        roles.check_agreement(path, "server", shifted, "weak-fp16")


def test_a_stream_is_not_exported_and_nothing_is_touched(small: ModuleType, tmp_path: Path) -> None:
    stream = build("movinet_a0_stream/16-Enc-B3", clip_shape=(3, 2, 32, 32), num_classes=5).eval()
    (tmp_path / "card.json").write_text("of an older export")
    with pytest.raises(ExportError, match="a MoViNetStreamEdgeHalf carries its state from frame to frame"):
        export_model(stream, load_target("orin-jp6.0"), tmp_path, "small/16-Enc-B3")
    with pytest.raises(ExportError, match="MoViNetStreamServerHalf"):
        view_of(stream.server_half, stream.codec.feature_shape)
    assert (tmp_path / "card.json").exists()


def test_a_model_that_is_not_on_the_cpu_is_refused(small: ModuleType, tmp_path: Path) -> None:
    model = small.make_model(small.make_movinet(), "5-Enc-B2").to("meta")
    with pytest.raises(ValueError, match="a model is exported on the CPU, found parameters on meta"):
        export_model(model, load_target("orin-jp6.0"), tmp_path, "small/5-Enc-B2")


@pytest.mark.parametrize("clips", [np.zeros((0, 3, 4, 20, 20), np.float32), np.zeros((1, 3, 4, 20, 20))])
def test_clips_of_another_shape_or_type_are_refused(
    clips: np.ndarray, movinet: OffloadedModel, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"clips must be float32 \[n, 3, 4, 20, 20\], n at least 1, found"):
        export_model(movinet, load_target("orin-jp6.0"), tmp_path, "small/5-Enc-B2", clips)
