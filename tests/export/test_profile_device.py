"""The device's LUT, from artefacts to a file that the selector reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.select import LUT, LUTRow

MakeArtefact = Callable[..., Path]
Device = Callable[[str], ModuleType]
QUICK = ["--runs", "4", "--warm-up", "1", "--power-seconds", "0.15"]
ARMS = ("8-NoEnc-B5", "8-NoEnc-B6")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A LUT of the family, as a server measured it."""
    rows = [
        LUTRow("edge-only", 90.0, 0.0, 0, 0.0, 0.0, 97.0),
        LUTRow("server-only", 0.0, 0.0, 24, 0.0, 9.0, 97.0),
        *(LUTRow(arm, 50.0, 1.0, 6, 0.5, 4.0, 93.0, {"top1": 93.0}, 7.0, 30.0, raw_bytes=8) for arm in ARMS),
    ]
    lut = LUT(tuple(rows), "a server", "torch", "2026-01-01", 2400, family="digits-movinet")
    lut.save(tmp_path / "base.json")
    return tmp_path / "base.json"


@pytest.fixture
def folders(
    small_artefact: MakeArtefact, device: Device, build_script: ModuleType, tmp_path: Path
) -> tuple[list[str], ModuleType]:
    """Two artefacts with engines that the build script built."""
    trt = device("8.6.2")
    made = [str(small_artefact(arm, configuration=arm, seed=index)) for index, arm in enumerate(ARMS)]
    for folder in made:
        assert build_script.main([folder]) == 0
    return made, trt


def test_the_lut_has_this_devices_times_and_the_servers_other_columns(
    folders: tuple[list[str], ModuleType],
    base: Path,
    profile_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "device.json"
    arguments = [*folders[0], "--lut", str(base), "--out", str(out), "--power", "none", "--layers", *QUICK]
    assert profile_script.main(arguments) == 0
    assert "not measured here, so not in the LUT: edge-only" in capsys.readouterr().out
    lut, expected = LUT.load(out), LUT.load(base)
    assert lut.arms == ("server-only", *ARMS)
    assert lut.backend == "TensorRT 8.6.2, weak-fp16"
    assert (lut.num_clips, lut.family, lut.figures) == (2400, "digits-movinet", ("top1",))
    assert lut.row("server-only") == expected.row("server-only")
    row = lut.row(ARMS[0])
    assert 0 < row.edge_ms < 50
    assert 0 < row.encode_ms < 50
    assert (row.payload_bytes, row.raw_bytes, row.energy_mj, row.memory_mb) == (6, 8, None, None)
    assert (row.decode_ms, row.server_ms, row.scores) == (0.5, 4.0, {"top1": 93.0})
    record = json.loads(out.with_suffix(".record.json").read_text())
    times = record["arms"][ARMS[0]]["times_ms"]
    assert set(times) == {"p50", "p90", "p99", "min", "mean"}
    assert times["p50"] == row.edge_ms
    assert list(record["arms"][ARMS[1]]["layers_ms"].items()) == [("/encoder/Conv", 0.5), ("/pack", 0.25)]
    assert record["device"]["model"]


def test_power_becomes_energy_per_clip(
    folders: tuple[list[str], ModuleType],
    base: Path,
    profile_script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(make_tegrastats(tmp_path)))
    out = tmp_path / "device.json"
    arguments = [folders[0][0], "--lut", str(base), "--out", str(out), "--power", "tegrastats", *QUICK]
    assert profile_script.main(arguments) == 0
    power = json.loads(out.with_suffix(".record.json").read_text())["arms"][ARMS[0]]["power"]
    assert power["source"] == "tegrastats"
    assert power["rails_mw"] == {"VDD_GPU_SOC": 2400.0, "VDD_CPU_CV": 800.0}
    assert power["total_mw"] == 3200.0
    assert LUT.load(out).row(ARMS[0]).energy_mj == power["energy_mj"]
    per_clip = 3200.0 * 0.15 / power["inferences"]
    assert 0.99 * per_clip <= power["energy_mj"] < 10 * per_clip


def make_tegrastats(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "tegrastats"
    line = "RAM 2/9MB CPU [1%@729] VDD_GPU_SOC 2400mW/2390mW VDD_CPU_CV 800mW/800mW"
    program.write_text(f"#!/bin/sh\nwhile echo '{line}'; do :; done\n")
    program.chmod(0o755)
    return folder


def test_onnxruntime_measures_the_same_artefacts_and_the_whole_model(
    small_artefact: MakeArtefact, base: Path, profile_script: ModuleType, tmp_path: Path
) -> None:
    folder, out = small_artefact(whole=True), tmp_path / "device.json"
    arguments = [str(folder), "--lut", str(base), "--out", str(out), "--power", "none", *QUICK]
    assert profile_script.main([*arguments, "--backend", "onnxruntime"]) == 0
    lut = LUT.load(out)
    assert lut.backend.startswith("onnxruntime ")
    assert lut.arms == ("server-only", "edge-only", ARMS[0])
    assert lut.row(ARMS[0]).edge_ms > 0
    assert 0 < lut.row("edge-only").edge_ms < 90
    assert lut.row("edge-only").payload_bytes == 0


def test_tensorrt_measures_the_whole_model_where_its_engine_was_built(
    small_artefact: MakeArtefact,
    device: Device,
    build_script: ModuleType,
    base: Path,
    profile_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trt = device("8.6.2")
    folder, out = small_artefact(whole=True), tmp_path / "device.json"
    arguments = [str(folder), "--lut", str(base), "--out", str(out), "--power", "none", *QUICK]
    assert build_script.main([str(folder)]) == 0
    assert profile_script.main(arguments) == 0
    assert "edge-only: " in capsys.readouterr().out
    assert LUT.load(out).arms == ("server-only", ARMS[0])
    assert build_script.main([str(folder), "--graph", "whole"]) == 0
    assert profile_script.main(arguments) == 0
    assert LUT.load(out).arms == ("server-only", "edge-only", ARMS[0])
    trt.spoil = lambda name, array: array if name == "packed" else array + 1
    assert profile_script.main(arguments) == 1
    assert "edge-only: not the reference's answers, nothing is measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "digits-mvitv2"}, "is of the family digits-movinet, the LUT of digits-mvitv2"),
        ({"rows": []}, "expected one of the arms server-only"),
    ],
)
def test_a_lut_that_does_not_fit_is_refused(
    change: dict[str, object],
    message: str,
    folders: tuple[list[str], ModuleType],
    base: Path,
    profile_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = json.loads(base.read_text())
    if "rows" in change:
        change = {"rows": document["rows"][1:2]}
    base.write_text(json.dumps({**document, **change}))
    assert profile_script.main([folders[0][0], "--lut", str(base), "--out", str(tmp_path / "o.json")]) == 1
    assert message in capsys.readouterr().err


def test_an_engine_that_went_wrong_is_not_measured(
    folders: tuple[list[str], ModuleType],
    base: Path,
    profile_script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders[1].spoil = lambda name, array: ~array
    out = tmp_path / "device.json"
    assert profile_script.main([folders[0][0], "--lut", str(base), "--out", str(out)]) == 1
    assert "not the reference's codes, nothing is measured: 256 of 256" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "0"], "--runs and --threads must be at least 1"),
        (["--layers", "--backend", "onnxruntime"], "--layers needs --backend tensorrt"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], message: str, profile_script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        profile_script.main(["folder", "--lut", "a", "--out", "b", *arguments])
    assert message in capsys.readouterr().err
