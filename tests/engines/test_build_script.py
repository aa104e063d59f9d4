"""The build script as one file, where nothing is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from approxbit.engines import build_script as module
from approxbit.engines.build_script import write_build_script


def run_bare(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with nothing to import but the standard library and numpy."""
    folder = script.parent / "only_numpy"
    folder.mkdir(exist_ok=True)
    packages = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists() and not (folder / name).exists():
            (folder / name).symlink_to(packages / name)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    command = [sys.executable, "-S", str(script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=script.parent)


def test_it_runs_with_numpy_alone(small_artefact: Callable[..., Path]) -> None:
    folder = small_artefact()
    script = write_build_script(folder)
    finished = run_bare(script, ".", "--dry-run", "--tensorrt", "8.5.2")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("trtexec --onnx=edge.onnx")
    finished = run_bare(script, ".")
    assert finished.returncode == 1
    assert "TensorRT's Python bindings cannot be imported" in finished.stderr


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_build_script(tmp_path).read_bytes()
    assert write_build_script(tmp_path).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "build_engine.pyz") as archive:
        assert "__main__.py" in archive.namelist()
        assert not [name for name in archive.namelist() if "torch" in name]


def test_an_installation_without_the_script_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"build_engine.py: install approxbit again"):
        write_build_script(tmp_path)
