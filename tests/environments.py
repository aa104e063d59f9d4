"""Other Pythons than the one of the tests: without what is heavy, or of another version."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "lightning",
    "jaxtyping",
    "safetensors",
    "sklearn",
    "scipy",
    "matplotlib",
    "numba",
)
BLOCK = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked here", name=name)

sys.meta_path.insert(0, Block())
"""


def run_lean(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that has none of the heavy packages."""
    return subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True)


def run(
    *command: str | Path, folder: Path | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own choice, where no checkout is on Python's path."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)  # what is to be found says so itself
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, input=given, env=environment)


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A virtual environment that `make` fills; made once in a session, also for several workers."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each worker's folder lies in that of the session
    environment = folder / name
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (environment / "made").exists():
            make(environment)
            (environment / "made").touch()
    return environment


def install(environment: Path, *what: str | Path) -> None:
    """Install packages into an environment; where they cannot be got, the test is skipped."""
    finished = run(find_uv(), "pip", "install", "--python", environment / "bin" / "python", *what)
    if finished.returncode == 2:  # 1 would be a dependency that this Python cannot have
        pytest.skip(f"needs packages that uv cannot get: {finished.stderr[-300:]}")
    assert finished.returncode == 0, finished.stderr


def find_uv() -> str:
    """Beside the interpreter, where `make setup` puts it, or on the path."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        pytest.skip("needs uv, which `make setup` installs, for an environment of its own")
    return found
