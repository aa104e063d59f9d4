"""The model repository has the form that Triton documents and names what the graph has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from approxbit.engines.artefact import load_card
from approxbit.exporting.triton import make_config, write_triton_repository

ONNX_TYPES = {
    "TYPE_UINT8": onnx.TensorProto.UINT8,
    "TYPE_FP32": onnx.TensorProto.FLOAT,
}
TOKENS = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(-?\d+)|([A-Za-z_]\w*)|([{}\[\]:,]))')


def parse(text: str) -> dict[str, list[Any]]:
    """Protobuf's text format, as far as it is used here: every field is a list of its values."""
    position, tokens = 0, []
    while text[position:].strip():
        match = TOKENS.match(text, position)
        assert match is not None, text[position : position + 40]
        tokens.append(match.group().strip())
        position = match.end()
    return parse_message(iter([*tokens, "}"]))


def parse_message(tokens: Iterator[str]) -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {}
    for name in tokens:
        if name == "}":
            return fields
        assert re.fullmatch(r"[a-z_]+", name), name
        following = next(tokens)
        values = fields.setdefault(name, [])
        if following == "{":
            values.append(parse_message(tokens))
            continue
        assert following == ":", f"{name} {following}"
        value = next(tokens)
        if value == "[":
            values += [scalar(token) for token in iter(lambda: next(tokens), "]") if token != ","]
        else:
            values.append(scalar(value))
    raise AssertionError("a message is not closed")


def scalar(token: str) -> str | int:
    if token.startswith('"'):
        return token[1:-1]
    return int(token) if re.fullmatch(r"-?\d+", token) else token


@pytest.mark.parametrize("with_tensorrt", [False, True])
def test_the_configuration_describes_the_graph(
    with_tensorrt: bool, server_artefact: Path, tmp_path: Path
) -> None:
    folder = write_triton_repository(server_artefact, tmp_path, max_batch=8, with_tensorrt=with_tensorrt)
    assert folder == tmp_path / "small-5-Enc-B2"
    config = parse((folder / "config.pbtxt").read_text())
    assert config["name"] == [folder.name]
    assert config["platform"] == ["onnxruntime_onnx"]
    assert config["max_batch_size"] == [8]
    assert config["dynamic_batching"][0]["preferred_batch_size"] == [4, 8]
    model = onnx.load(str(folder / "1" / config["default_model_filename"][0]))
    for side, values in (("input", model.graph.input), ("output", model.graph.output)):
        assert len(config[side]) == len(values) == 1
        tensor, kind = config[side][0], values[0].type.tensor_type
        assert tensor["name"] == [values[0].name]
        assert ONNX_TYPES[tensor["data_type"][0]] == kind.elem_type
        batch, *sizes = kind.shape.dim
        assert batch.HasField("dim_param")
        assert tensor["dims"] == [each.dim_value for each in sizes]
    assert ("optimization" in config) == with_tensorrt


def test_classes_keep_their_names_and_the_model_its_fingerprint(
    server_artefact: Path, tmp_path: Path
) -> None:
    folder = write_triton_repository(server_artefact, tmp_path)
    config = parse((folder / "config.pbtxt").read_text())
    assert config["output"][0]["label_filename"] == ["labels.txt"]
    assert (folder / "labels.txt").read_text().splitlines() == [f"class {number}" for number in range(5)]
    parameters = {each["key"][0]: each["value"][0]["string_value"][0] for each in config["parameters"]}
    assert parameters == {"configuration": "5-Enc-B2", "fingerprint": "0000000000001234"}


def test_tensorrt_is_told_the_precision(server_artefact: Path) -> None:
    config = parse(make_config(load_card(server_artefact), 1, with_tensorrt=True))
    accelerator = config["optimization"][0]["execution_accelerators"][0]["gpu_execution_accelerator"][0]
    assert accelerator["name"] == ["tensorrt"]
    assert accelerator["parameters"] == [{"key": ["precision_mode"], "value": ["FP32"]}]
    assert config["dynamic_batching"][0]["preferred_batch_size"] == [1]


@pytest.mark.parametrize(
    ("max_batch", "message"),
    [(0, "max_batch must be at least 1, found 0"), (17, "max_batch must be at most 16, .* found 17")],
)
def test_a_batch_that_the_graph_does_not_take_is_refused(
    max_batch: int, message: str, server_artefact: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_triton_repository(server_artefact, tmp_path, max_batch)


def test_a_graph_with_a_fixed_batch_is_refused(device_artefact: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the server graph for xavier-jp5 has a fixed batch of 1: export"):
        write_triton_repository(device_artefact, tmp_path)
