"""Files that torch's two exporters really write, judged by the gate: what is silently wrong is caught."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.engines.agreement import CodeAgreement, measure_agreement
from approxbit.engines.artefact import Reference
from approxbit.engines.onnx_graph import OnnxGraph
from approxbit.errors import GateError
from approxbit.exporting.gate import (
    GateReport,
    check_graph,
    find_float32_layers,
    load_target,
)

CLIP_SHAPE = (1, 3, 2, 4, 4)
CHANNELS = 8


class TinyEdge(nn.Module):
    """A convolution, a LayerNorm, attention, a squeeze-and-excite mean, and the packing tail.

    Args:
        half: Compute products in float16, LayerNorm and softmax in float32.
        fused: Leave attention to `scaled_dot_product_attention`.
    """

    def __init__(self, half: bool = False, fused: bool = False):
        super().__init__()
        self.type = torch.float16 if half else torch.float32
        self.fused = fused
        self.conv = nn.Conv3d(3, CHANNELS, (1, 2, 2), stride=(1, 2, 2)).to(self.type)
        self.norm = nn.LayerNorm(CHANNELS)
        self.mix = nn.Linear(CHANNELS, 3 * CHANNELS).to(self.type)
        self.compress = nn.Linear(CHANNELS, 8).to(self.type)
        self.register_buffer("weights", torch.tensor([128.0, 64, 32, 16, 8, 4, 2, 1]))

    def logits(self, clip: Tensor) -> Tensor:
        tokens = self.conv(clip.to(self.type)).flatten(2).transpose(1, 2)
        query, key, value = self.mix(self.norm(tokens.float()).to(self.type)).chunk(3, -1)
        mixed = self.attend(query[:, None], key[:, None], value[:, None])[:, 0]
        return self.compress(mixed * mixed.mean(1, keepdim=True)).float().transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.fused:
            return F.scaled_dot_product_attention(query, key, value)
        scores = (query * CHANNELS**-0.5) @ key.transpose(-1, -2)
        return scores.float().softmax(-1).to(self.type) @ value

    def forward(self, clip: Tensor) -> Tensor:
        bits = (self.logits(clip) > 0).float().reshape(1, -1, 8)
        return (bits * self.weights).sum(-1).to(torch.uint8)


def export(folder: Path, opset: int, dynamo: bool, half: bool = False, fused: bool = False) -> Path:
    torch.manual_seed(1)
    path = folder / f"edge-{opset}-{dynamo}-{half}.onnx"
    names = {"input_names": ["clip"], "output_names": ["packed"]}
    inline = {"external_data": False, "verbose": False} if dynamo else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the torchscript exporter is deprecated, and still the one for 8.x
        model = TinyEdge(half, fused).eval()
        clip = torch.zeros(CLIP_SHAPE)
        torch.onnx.export(model, (clip,), path, opset_version=opset, dynamo=dynamo, **names, **inline)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def traced_16(folder: Path) -> Path:
    return export(folder, 16, dynamo=False)


@pytest.fixture(scope="module")
def traced_17(folder: Path) -> Path:
    return export(folder, 17, dynamo=False)


@pytest.fixture(scope="module")
def asked_for_17(folder: Path) -> Path:
    """What the dynamo exporter writes when it is asked for opset 17, and meets a mean."""
    return export(folder, 17, dynamo=True)


def judge(path: Path, target: str) -> GateReport:
    return check_graph(path, load_target(target))


def rules_of(report: GateReport) -> set[str]:
    return {each.rule for each in report.violations}


@pytest.mark.parametrize("target", ["xavier-jp5", "orin-jp5"])
def test_the_torchscript_exporter_at_16_passes_on_8_5(target: str, traced_16: Path) -> None:
    assert judge(traced_16, target).violations == ()


def test_the_layers_of_that_file_that_must_be_pinned_are_named(traced_16: Path) -> None:
    parts = ("ReduceMean", "Sub", "Pow", "ReduceMean_1", "Add", "Sqrt", "Div")
    assert find_float32_layers(traced_16) == (*(f"/norm/{part}" for part in parts), "/Softmax")


def test_a_native_layer_norm_passes_on_8_6_and_fails_on_8_5(traced_17: Path) -> None:
    judge(traced_17, "orin-jp6.0").raise_for_violations()
    expected = r"LayerNormalization-17 '/norm/LayerNormalization'.* onnx-tensorrt 8\.5 .*remedy: write it out"
    with pytest.raises(GateError, match=expected):
        judge(traced_17, "xavier-jp5").raise_for_violations()


def test_opset_17_that_silently_stayed_at_18_is_caught(asked_for_17: Path) -> None:
    report = judge(asked_for_17, "orin-jp6.0")
    assert report.opset == 18
    assert {"opset", "inputs"} <= rules_of(report)
    (mean,) = (each for each in report.violations if each.rule == "inputs")
    assert (mean.operator, mean.reader) == ("ReduceMean-18", "TensorRT 8.6.2")
    assert "reduces over all axes" in mean.problem


def test_that_same_file_is_what_onnx_runtime_takes(asked_for_17: Path) -> None:
    assert judge(asked_for_17, "onnxruntime").violations == ()


def test_a_mixed_graph_passes_where_types_are_kept(folder: Path) -> None:
    path = export(folder, 18, dynamo=True, half=True)
    for target in ("orin-jp6", "orin-jp7", "server"):
        judge(path, target).raise_for_violations()
    assert "half_precision" in rules_of(judge(path, "onnxruntime"))


def test_fused_attention_of_opset_23_is_caught_everywhere(folder: Path) -> None:
    path = export(folder, 23, dynamo=True, fused=True)
    for target in ("xavier-jp5", "orin-jp6.0", "orin-jp6", "orin-jp7", "server", "onnxruntime"):
        report = judge(path, target)
        assert any("Attention is not among" in each.problem for each in report.violations)
        assert "opset" in rules_of(report)


def test_both_exporters_agree_with_torch(traced_16: Path, asked_for_17: Path) -> None:
    torch.manual_seed(1)
    model = TinyEdge().eval()
    clips = torch.randn(2, *CLIP_SHAPE[1:])
    with torch.inference_mode():
        packed = torch.cat([model(clip[None]) for clip in clips]).numpy()
        margin = torch.cat([model.logits(clip[None]) for clip in clips]).abs().flatten(1).numpy()
    reference = Reference(clips.numpy(), packed, margin, np.zeros((2, 1), np.float32))
    for path in (traced_16, asked_for_17):
        found = measure_agreement(OnnxGraph(path), "edge", reference)
        assert isinstance(found, CodeAgreement)
        assert found.largest_flipped_margin < 1e-5
