"""From an empty folder: a model and videos of the user's own go the whole way, one command for each step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from approxbit.training.project import start_project
from approxbit.video.writer import write_video

CLASSES = ("fall", "left", "rest", "right", "rise", "shrink", "swell")
FRAMES, SIZE = 8, 32

MODEL = """
import torch
from torch import nn

import approxbit


def make(num_classes=7):
    torch.manual_seed(0)
    layers = [
        nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1),
        nn.ReLU(),
        nn.Conv3d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(16, num_classes),
    ]
    model = nn.Sequential(*layers).eval()
    return approxbit.split(model, at=["1", "3"], example=torch.rand(1, 3, 8, 32, 32))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the user has: a package with a model of 7 classes, and a folder of videos for each class."""
    root = tmp_path_factory.mktemp("own")
    (root / "my_nets").mkdir()
    (root / "my_nets" / "__init__.py").touch()
    (root / "my_nets" / "models.py").write_text(MODEL)
    rng = np.random.default_rng(5)
    for index, name in enumerate(CLASSES):
        for number in range(12):
            frames = rng.integers(0, 90, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
            for time, frame in enumerate(frames):
                start = 2 + time * (index % 4)
                frame[start : start + 6, 4 + index * 2 : 12 + index * 2] = 220
            path = root / "clips" / name / f"{number:02}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames, frame_rate=8)
    return root


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APPROXBIT")}
    return {**kept, "APPROXBIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "PL_DISABLE_FORK": "1"}


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "approxbit", *words]
    found = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert found.returncode == 0, f"{' '.join(words)}\n{found.stdout}\n{found.stderr}"
    return found.stdout


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """After the commands that make a family of it; the recipe is shortened, as a try would be."""
    said = run(folder, "new", "mine", "--backbone", "my_nets.models:make", "--data", "folders:clips/")
    assert "approxbit train --config mine.yaml" in said
    run(folder, "train", "--config", "mine.yaml", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu")
    own = ["--family", "mine", "--trust", "my_nets"]
    run(folder, "prior", *own, "--preset", "fast", "--clips", "40", "--test-clips", "8", "--steps", "5")
    run(folder, "measure", *own, "--clips", "8", "--timed-clips", "2")
    return folder


def test_the_family_knows_its_own_classes_and_clips(trained: Path) -> None:
    backbone = json.loads((trained / "checkpoints" / "mine" / "backbone.json").read_text())
    assert backbone["builder"] == "my_nets.models:make"
    assert backbone["task"]["label_sets"][0]["class_names"] == list(CLASSES)
    codec = json.loads(next((trained / "checkpoints" / "mine").glob("16-Enc-*.json")).read_text())
    assert codec["provenance"]["data"] == {"source": "folders", "arguments": {"root": "clips/"}}
    assert codec["provenance"]["split"] == "test"
    assert [each["provenance"]["license"] for each in (backbone, codec)] == ["NOASSERTION"] * 2
    lut = json.loads((trained / "checkpoints" / "mine" / "lut.json").read_text())
    assert (lut["family"], lut["split"]) == ("mine", "validation")


def test_what_needs_no_model_asks_for_no_trust(trained: Path) -> None:
    assert "mine/16-Enc-" in run(trained, "list")
    assert "keeps" in run(
        trained, "select", "--family", "mine", "--bandwidth-mbps", "3", "--sla", "latency<=900ms"
    )


def test_a_card_imports_nothing_that_was_not_allowed(trained: Path) -> None:
    command = [sys.executable, "-m", "approxbit", "measure", "--family", "mine", "--clips", "8"]
    found = subprocess.run(command, cwd=trained, env=environment(trained), capture_output=True, text=True)
    assert found.returncode == 1
    assert "--trust my_nets" in found.stderr


@pytest.fixture
def server(trained: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "approxbit",
        "serve",
        "--family",
        "mine",
        "--trust",
        "my_nets",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, cwd=trained, env=environment(trained), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.send_signal(signal.SIGINT)


def test_a_served_family_answers_videos_by_name(trained: Path, server: str) -> None:
    video = "clips/swell/00.mp4"
    said = run(trained, "run", "--family", "mine", "--server", server, "--json", video)
    answer = json.loads(said.splitlines()[0])
    assert answer["answer"] in CLASSES


def test_a_model_of_the_family_is_exported(trained: Path) -> None:
    name = next((trained / "checkpoints" / "mine").glob("16-Enc-*.json")).stem
    run(trained, "export", "--config", f"mine/{name}", "--out", "device", "--trust", "my_nets")
    assert {"edge.onnx", "server.onnx"} <= {path.name for path in (trained / "device").iterdir()}


def test_a_project_is_not_written_over(trained: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "approxbit",
        "new",
        "mine",
        "--backbone",
        "movinet_small",
        "--data",
        "digits",
    ]
    found = subprocess.run(command, cwd=trained, env=environment(trained), capture_output=True, text=True)
    assert found.returncode == 1
    assert "is there already" in found.stderr


def test_a_project_does_not_hide_a_family_that_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileExistsError, match="digits-movinet is a family that ships with approxbit"):
        start_project("digits-movinet", "movinet_small", "digits")
    assert not list(tmp_path.iterdir())
