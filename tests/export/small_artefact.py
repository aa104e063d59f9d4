"""A small artefact made by hand: real ONNX graphs whose arithmetic numpy repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from approxbit.configuration import Configuration
from approxbit.engines.artefact import (
    Card,
    GraphCard,
    Reference,
    TensorCard,
    Tolerance,
    save_card,
    save_reference,
)
from approxbit.engines.runner import ClipFormat
from approxbit.files import sha256_of
from approxbit.wire import CodeFormat

BITS, CLASSES, CLIP_VALUES = 8, 5, 24
CLIP_FORMAT = ClipFormat(2, 2, (0.5, 0.25, 0.125), (1.0, 2.0, 4.0), fingerprint=0xABCD)
CODE_FORMAT = CodeFormat(Configuration.parse("8-NoEnc-B5"), (2, 2, 2), fingerprint=0x1234)
FLOAT32_LAYERS = ("/norm/ReduceMean", "/norm/Sub")


def write_small_artefact(
    folder: Path,
    precision: str = "weak-fp16",
    output_type: str = "uint8",
    dynamic_batch: int | None = None,
    target_name: str = "orin-jp6.0",
    configuration: str = "8-NoEnc-B5",
    num_clips: int = 4,
    seed: int = 0,
    whole: bool = False,
) -> Path:
    """Write graphs, reference and card into a new folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    encoder = generator.standard_normal((BITS, 3)).astype(np.float32)
    decoder = generator.standard_normal((BITS, CLASSES)).astype(np.float32) / 64
    onnx.save(edge_graph(encoder, output_type), folder / "edge.onnx")
    onnx.save(server_graph(decoder, dynamic_batch), folder / "server.onnx")
    weight = generator.standard_normal((CLIP_VALUES, CLASSES)).astype(np.float32) / 8
    expected = reference(encoder, decoder, num_clips, generator)
    if whole:
        onnx.save(whole_graph(weight), folder / "whole.onnx")
        answers = expected.clip.reshape(num_clips, CLIP_VALUES) @ weight
        expected = replace(expected, whole_answer=answers)
    save_reference(expected, folder)
    code = CodeFormat(Configuration.parse(configuration), (2, 2, 2), fingerprint=0x1234)
    batch = None if dynamic_batch else 1
    clip, packed, given, answer = (
        TensorCard("clip", "float32", (1, 3, 2, 2, 2)),
        TensorCard("packed", output_type, (1, 8)),
        TensorCard("packed", "uint8", (batch, 8)),
        TensorCard("answer", "float32", (batch, CLASSES)),
    )
    pinned = FLOAT32_LAYERS if precision == "weak-fp16" else ()
    target: dict[str, Any] = {
        "name": target_name,
        "tensorrt": "8.6.2",
        "precision": precision,
        "output_type": output_type,
        "dynamic_batch": dynamic_batch,
    }
    edge_sha, server_sha = (sha256_of((folder / f"{half}.onnx").read_bytes()) for half in ("edge", "server"))
    graphs = {
        "edge": GraphCard("edge.onnx", edge_sha, 16, 8, (clip,), (packed,), pinned),
        "server": GraphCard("server.onnx", server_sha, 16, 8, (given,), (answer,)),
    }
    if whole:
        one_answer = TensorCard("answer", "float32", (1, CLASSES))
        sha = sha256_of((folder / "whole.onnx").read_bytes())
        graphs["whole"] = GraphCard("whole.onnx", sha, 16, 8, (clip,), (one_answer,))
    card = Card(
        name=f"digits-movinet/{configuration}",
        target=target,
        clip_format=CLIP_FORMAT,
        code_format=code,
        label_names=tuple(f"class {index}" for index in range(CLASSES)),
        graphs=graphs,
        tolerance=Tolerance(0.005, 0.02),
        gate={"passed": True},
        tools={"onnx": onnx.__version__},
        date="2026-11-21",
    )
    save_card(card, folder)
    return folder


def edge_graph(encoder: np.ndarray, output_type: str) -> onnx.ModelProto:
    """clip - its mean over the channels -> 1x1x1 convolution -> sign -> packed bits."""
    out = {"uint8": TensorProto.UINT8, "int32": TensorProto.INT32}[output_type]
    constants = {
        "weight": encoder.reshape(BITS, 3, 1, 1, 1),
        "zero": np.zeros(1, np.float32),
        "groups": np.array([1, 8, 8]),
        "powers": 2.0 ** np.arange(7, -1, -1, dtype=np.float32).reshape(8, 1),
        "row": np.array([1, 8]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["clip"], ["mean"], "/norm/ReduceMean", axes=[1], keepdims=1),
        helper.make_node("Sub", ["clip", "mean"], ["centred"], "/norm/Sub"),
        helper.make_node("Conv", ["centred", "weight"], ["logit"], "/encoder/Conv"),
        helper.make_node("Greater", ["logit", "zero"], ["positive"], "/pack/Greater"),
        helper.make_node("Cast", ["positive"], ["bit"], "/pack/Cast", to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["bit", "groups"], ["grouped"], "/pack/Reshape"),
        helper.make_node("MatMul", ["grouped", "powers"], ["byte"], "/pack/MatMul"),
        helper.make_node("Reshape", ["byte", "row"], ["bytes"], "/pack/Reshape_1"),
        helper.make_node("Cast", ["bytes"], ["packed"], "/pack/Cast_1", to=out),
    ]
    inputs = [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [1, 3, 2, 2, 2])]
    outputs = [helper.make_tensor_value_info("packed", out, [1, 8])]
    return _model(nodes, inputs, outputs, constants)


def server_graph(decoder: np.ndarray, dynamic_batch: int | None) -> onnx.ModelProto:
    """Packed bytes as floats -> linear map -> softmax: enough to carry a batch and a layer to pin."""
    nodes = [
        helper.make_node("Cast", ["packed"], ["byte"], "/unpack/Cast", to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["byte", "decoder"], ["logit"], "/head/MatMul"),
        helper.make_node("Softmax", ["logit"], ["answer"], "/head/Softmax", axis=-1),
    ]
    batch = "batch" if dynamic_batch else 1
    inputs = [helper.make_tensor_value_info("packed", TensorProto.UINT8, [batch, 8])]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, CLASSES])]
    return _model(nodes, inputs, outputs, {"decoder": decoder})


def whole_graph(weight: np.ndarray) -> onnx.ModelProto:
    """clip -> linear map: an answer that needs no code."""
    nodes = [
        helper.make_node("Flatten", ["clip"], ["values"], "/Flatten"),
        helper.make_node("MatMul", ["values", "weight"], ["answer"], "/head/MatMul"),
    ]
    inputs = [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [1, 3, 2, 2, 2])]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, CLASSES])]
    return _model(nodes, inputs, outputs, {"weight": weight})


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray],
) -> onnx.ModelProto:
    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "half", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def reference(
    encoder: np.ndarray, decoder: np.ndarray, num_clips: int, generator: np.random.Generator
) -> Reference:
    """What the two graphs compute, by numpy."""
    clip = generator.standard_normal((num_clips, 3, 2, 2, 2)).astype(np.float32)
    centred = clip - clip.mean(axis=1, keepdims=True)
    logit = np.einsum("bc,nczyx->nbzyx", encoder, centred).reshape(num_clips, -1)
    packed = np.packbits(logit > 0, axis=1)
    score = np.exp(packed.astype(np.float32) @ decoder)
    answer = (score / score.sum(axis=1, keepdims=True)).astype(np.float32)
    return Reference(clip, packed, np.abs(logit).astype(np.float16), answer)
