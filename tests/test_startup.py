"""What a command imports before it answers: seconds on a small machine. Times are no test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from approxbit.exporting.prepare import prepare_family
from approxbit.video.writer import write_video

# Python reads a file of this name at every start, that of a child process too.
BLOCK = """
import sys

HEAVY = ("torchvision", "transformers", "lightning", "onnx", "matplotlib", "sklearn")
if "approxbit.server" not in sys.orig_argv:
    HEAVY += ("torch",)

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"{name} is blocked here", name=name)

sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def blocked(tmp_path: Path) -> dict[str, str]:
    """An environment whose processes cannot import what is heavy; only a server has torch."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])}


def run(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_run_with_graphs_at_hand_has_torch_in_its_server_only(
    family: str, tmp_path: Path, blocked: dict[str, str]
) -> None:
    prepare_family(family, configurations=["8-Enc-B3"])
    write_video(tmp_path / "a.mp4", np.zeros((8, 48, 80, 3), np.uint8), frame_rate=8)
    words = ["run", tmp_path / "a.mp4", "--family", f"{family}/8-Enc-B3", "--json"]
    finished = run(blocked, "approxbit", *words)
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    assert (answer["arm"], answer["fell_back"]) == ("8-Enc-B3", False)


def test_what_is_blocked_is_really_blocked(blocked: dict[str, str]) -> None:
    assert "torch is blocked here" in run(blocked, "approxbit.backbones").stderr
    assert "No module named approxbit.server.nothing" in run(blocked, "approxbit.server.nothing").stderr


def test_commands_that_train_nothing_wait_for_neither_lightning_nor_torchvision() -> None:
    rooms = "approxbit.training.project, approxbit.training.prior_family, approxbit.profiling"
    code = f"import sys, {rooms}; print([n for n in ('lightning', 'torchvision') if n in sys.modules])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
