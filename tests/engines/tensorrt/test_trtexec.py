"""The same build as a command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from approxbit.engines.artefact import GraphCard, TensorCard
from approxbit.engines.tensorrt.build import BuildOptions
from approxbit.engines.tensorrt.library import Features, choose_precision, parse_version
from approxbit.engines.tensorrt.trtexec import build_command, profile_command

TARGETS = sorted(
    path
    for path in (Path(__file__).parents[3] / "export" / "targets").glob("*.json")
    if json.loads(path.read_text())["tensorrt"] is not None
)
PINNED = ("/norm/Pow", "/norm/Sqrt")
EDGE = GraphCard("edge.onnx", "0" * 64, 16, 8, (TensorCard("clip", "float32", (1, 3)),), (), PINNED)
SERVER = GraphCard("server.onnx", "0" * 64, 18, 10, (TensorCard("packed", "uint8", (None, 514)),), ())


def flags(command: str) -> set[str]:
    program, *words = shlex.split(command)
    assert program == "trtexec"
    return {
        word for word in words if not word.startswith(("--onnx", "--save", "--load", "--timing", "--export"))
    }


def test_version_8_5_pins_the_layers_and_only_builds() -> None:
    command = build_command(Path("a b/edge.onnx"), EDGE, BuildOptions("weak-fp16", workspace_mb=512), (8, 5))
    assert command.startswith("trtexec '--onnx=a b/edge.onnx' '--saveEngine=a b/edge.engine'")
    assert flags(command) == {
        "--fp16",
        "--precisionConstraints=obey",
        "--layerPrecisions=/norm/Pow:fp32,/norm/Sqrt:fp32",
        "--layerOutputTypes=/norm/Pow:fp32,/norm/Sqrt:fp32",
        "--memPoolSize=workspace:512",
        "--profilingVerbosity=detailed",
        "--buildOnly",
    }


def test_an_open_batch_has_its_three_shapes() -> None:
    options = BuildOptions("strong-fp16", max_batch=16, optimization_level=4)
    assert flags(build_command(Path("server.onnx"), SERVER, options, (10, 3))) == {
        "--stronglyTyped",
        "--minShapes=packed:1x514",
        "--optShapes=packed:8x514",
        "--maxShapes=packed:16x514",
        "--builderOptimizationLevel=4",
        "--memPoolSize=workspace:2048",
        "--profilingVerbosity=detailed",
        "--skipInference",
    }


def test_version_11_is_given_no_flag_that_it_dropped() -> None:
    words = flags(build_command(Path("edge.onnx"), EDGE, BuildOptions("strong-fp16"), (11, 4)))
    assert words == {"--memPoolSize=workspace:2048", "--profilingVerbosity=detailed", "--skipInference"}
    assert "--separateProfileRun" not in profile_command(Path("edge.engine"), (11, 4))


def test_fp32_is_meant_as_it_is_written() -> None:
    assert "--noTF32" in flags(build_command(Path("edge.onnx"), EDGE, BuildOptions("fp32"), (8, 6)))


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_the_flags_fit_the_precision_and_the_version_of_a_shipped_target(path: Path) -> None:
    target = json.loads(path.read_text())
    version = parse_version(target["tensorrt"])
    precision = choose_precision(target["precision"], Features.of_version(version))
    words = flags(build_command(Path("edge.onnx"), EDGE, BuildOptions(precision), version))
    assert ("--fp16" in words) == (target["precision"] == "weak-fp16")
    assert ("--stronglyTyped" in words) == (target["precision"] == "strong-fp16" and version < (11, 0))
    assert ("--buildOnly" in words) == (version < (8, 6))  # later ones call it --skipInference
