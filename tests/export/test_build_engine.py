"""The script from the command line to the exit status, on a machine that seems to have TensorRT and CUDA."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from approxbit.engines.tensorrt.store import read_record

MakeArtefact = Callable[..., Path]
Device = Callable[[str], ModuleType]


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_an_engine_is_built_checked_and_recorded(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    device("8.6.2")
    folder = small_artefact()
    assert build_script.main([str(folder), "--timed-runs", "3"]) == 0
    shown = capsys.readouterr().out
    assert "Orin, compute capability 8.7" in shown
    assert "edge: 0 of 256 bits differ, 0.0000%, with margins of up to 0 of the median" in shown
    assert "edge: accepted" in shown
    record = json.loads(only(folder / "engines", "edge-*.json").read_text())
    assert record["key"]["tensorrt"] == "8.6.2"
    assert record["report"]["agreement"]["num_flipped"] == 0
    assert set(record["report"]["times_ms"]) == {"p50", "p90", "p99"}
    assert only(folder / "engines", "edge-*.engine").stat().st_size > 0


def test_version_8_is_asked_for_fp16_with_layers_pinned_to_fp32(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    trt = device("8.5.2.2")
    assert build_script.main([str(small_artefact()), "--graph", "both"]) == 0
    assert trt.asked["network"] == {"EXPLICIT_BATCH"}
    assert trt.asked["flags"] == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.asked["pinned"] == {"/head/Softmax", "/head/Softmax_7"}  # the server was built last
    build_script.main([str(small_artefact("again")), "--workspace-mb", "512"])
    assert trt.asked["pinned"] == {
        "/norm/ReduceMean",
        "/norm/ReduceMean_7",  # the second layer that TensorRT makes of one node
        "/norm/Sub",
        "/norm/Sub_7",
    }
    assert trt.asked["workspace"] == 512 << 20


@pytest.mark.parametrize(
    ("version", "expected"),
    [("10.3.0", {"EXPLICIT_BATCH", "STRONGLY_TYPED"}), ("11.4.1", {"STRONGLY_TYPED"})],
)
def test_from_version_10_the_graph_says_its_types(
    version: str, expected: set[str], small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    trt = device(version)
    assert build_script.main([str(small_artefact(precision="strong-fp16"))]) == 0
    assert trt.asked["network"] == expected
    assert trt.asked["flags"] == set()
    assert trt.asked["pinned"] == set()


def test_fp32_builds_without_tf32_and_without_fp16(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    trt = device("8.6.2")
    assert build_script.main([str(small_artefact()), "--fp32"]) == 0
    assert trt.asked["flags"] == {"no TF32"}
    assert trt.asked["pinned"] == set()


@pytest.mark.parametrize(
    ("version", "precision", "arguments", "message"),
    [
        ("8.6.2", "strong-fp16", [], "TensorRT takes from 10.0 on"),
        ("11.4.1", "weak-fp16", [], "TensorRT 11 chooses no types itself"),
        ("10.3.0", "strong-fp16", ["--fp32"], "--fp32 cannot change them"),
        ("8.5.2.2", "weak-fp16", ["--optimization-level", "5"], "8.5.2.2 has no --optimization-level"),
    ],
)
def test_what_a_version_cannot_build_is_said(
    version: str,
    precision: str,
    arguments: list[str],
    message: str,
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    device(version)
    assert build_script.main([str(small_artefact(precision=precision)), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_server_graph_is_built_for_batches_and_checked_in_batches(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trt = device("10.3.0")
    folder = small_artefact(
        precision="strong-fp16", dynamic_batch=3, target_name="server", num_clips=7
    )  # batches of 3, 3 and 1
    assert build_script.main([str(folder), "--optimization-level", "3"]) == 0
    assert trt.asked["profiles"] == [{"packed": ((1, 8), (1, 8), (3, 8))}]
    assert trt.asked["optimization_level"] == 3
    assert "7 of 7 have the same class" in capsys.readouterr().out
    only(folder / "engines", "server-*.engine")


def test_an_engine_with_a_wrong_code_is_refused(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trt = device("10.3.0")
    trt.spoil = lambda name, array: array ^ np.uint8(1)
    folder = small_artefact(precision="strong-fp16")
    assert build_script.main([str(folder)]) == 3
    shown = capsys.readouterr().out
    assert "warning: in this version of TensorRT fused attention" in shown
    assert "edge: 32 of 256 bits differ, 12.5000%" in shown
    assert "REJECTED" in shown
    only(folder / "engines", "edge-*.rejected")
    assert not list((folder / "engines").glob("*.engine"))
    trt.spoil = lambda name, array: array
    assert build_script.main([str(folder)]) == 0  # built anew, not taken from the folder
    only(folder / "engines", "edge-*.engine")
    assert not list((folder / "engines").glob("*.rejected"))


def test_the_unsplit_model_is_built_and_compared_as_the_halves_are(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trt = device("8.6.2")
    folder = small_artefact(whole=True)
    assert build_script.main([str(folder), "--graph", "all"]) == 0
    shown = capsys.readouterr().out
    assert "differ by up to 0, 4 of 4 have the same class" in shown
    assert "whole: accepted" in shown
    assert len(list((folder / "engines").glob("*.engine"))) == 3
    trt.spoil = lambda name, array: array + 1
    assert build_script.main([str(folder), "--graph", "whole", "--rebuild"]) == 3
    assert "whole: REJECTED" in capsys.readouterr().out


def test_an_unsplit_model_that_was_not_exported_is_named(
    small_artefact: MakeArtefact, build_script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_script.main([str(small_artefact()), "--graph", "whole", "--dry-run"]) == 1
    assert "holds no whole.onnx: export it with whole=True" in capsys.readouterr().err


@pytest.mark.parametrize("spoilt", [1.05, np.nan])
def test_an_engine_with_a_wrong_answer_is_refused(
    spoilt: float, small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    device("8.6.2").spoil = lambda name, array: array * np.float32(spoilt)
    folder = small_artefact()
    assert build_script.main([str(folder), "--graph", "server"]) == 3
    record = read_record(only(folder / "engines", "server-*.json"))
    error = record.report["agreement"]["answer_error"]
    assert error is None if np.isnan(spoilt) else error > 0.02
    assert not record.accepted


def test_an_engine_that_is_there_is_checked_again_and_not_built(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trt = device("8.6.2")
    folder = small_artefact()
    build_script.main([str(folder)])
    trt.asked = {}
    assert build_script.main([str(folder)]) == 0
    assert "takes the engine that was built at" in capsys.readouterr().out
    assert trt.asked == {}
    build_script.main([str(folder), "--rebuild"])
    assert trt.asked["flags"]
    build_script.main([str(folder), "--fp32"])  # another key
    assert len(list((folder / "engines").glob("edge-*.engine"))) == 2


def test_a_broken_engine_file_is_built_anew(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType
) -> None:
    trt = device("8.6.2")
    folder = small_artefact()
    build_script.main([str(folder)])
    only(folder / "engines", "edge-*.engine").write_bytes(b"half of an engi")
    trt.asked = {}
    assert build_script.main([str(folder)]) == 0
    assert trt.asked["flags"]


def test_the_timing_cache_is_kept_and_a_stale_one_is_ignored(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    device("8.6.2")
    folder, timings = small_artefact(), tmp_path / "caches" / "timing.cache"
    arguments = [str(folder), "--rebuild", "--timing-cache", str(timings)]
    build_script.main(arguments)
    assert timings.read_bytes() == b"timings of this GPU"
    build_script.main(arguments)
    assert "uses the timing cache of an earlier build" in capsys.readouterr().out
    timings.write_bytes(b"timings of another GPU")
    assert build_script.main(arguments) == 0
    assert "ignores the timing cache" in capsys.readouterr().out
    assert timings.read_bytes() == b"timings of this GPU"


def test_a_graph_that_is_not_the_cards_is_not_built(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    device("8.6.2")
    folder = small_artefact()
    (folder / "edge.onnx").write_bytes(b"another graph")
    assert build_script.main([str(folder)]) == 1
    assert "edge.onnx: expected the sha256" in capsys.readouterr().err


def test_a_build_that_fails_says_what_to_try(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    device("8.6.2").fails_to_build = True
    assert build_script.main([str(small_artefact())]) == 1
    assert "lower --workspace-mb (now 2048)" in capsys.readouterr().err


def test_without_tensorrt_the_message_says_how_to_get_it(
    small_artefact: MakeArtefact,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    assert build_script.main([str(small_artefact())]) == 1
    assert "sudo apt install python3-libnvinfer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--tensorrt", "8.5"], "--tensorrt is for --dry-run"), (["--workspace-mb", "0"], "must be at least 1")],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], message: str, build_script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_script.main(["folder", *arguments])
    assert message in capsys.readouterr().err


def test_a_dry_run_prints_the_commands_of_the_version(
    small_artefact: MakeArtefact, build_script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_artefact()
    assert build_script.main([str(folder), "--dry-run", "--tensorrt", "8.5.2"]) == 0
    build, layers = capsys.readouterr().out.splitlines()
    assert build.startswith(f"trtexec --onnx={folder}/edge.onnx --saveEngine={folder}/edge.engine")
    assert "--buildOnly" in build
    assert "--fp16 --precisionConstraints=obey" in build
    assert "--layerPrecisions=/norm/ReduceMean:fp32,/norm/Sub:fp32" in build
    assert "--separateProfileRun" in layers


def test_a_dry_run_needs_a_version_when_the_target_has_none(
    small_artefact: MakeArtefact,
    build_script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    folder = small_artefact()
    card = json.loads((folder / "card.json").read_text())
    card["target"]["tensorrt"] = None
    (folder / "card.json").write_text(json.dumps(card))
    assert build_script.main([str(folder), "--dry-run"]) == 1
    assert "say which with --tensorrt" in capsys.readouterr().err
