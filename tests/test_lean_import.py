"""The rooms of the device are importable where nothing heavy is installed."""

from __future__ import annotations

import subprocess
import sys

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
DEVICE_MODULES = [
    "approxbit",
    "approxbit.errors",
    "approxbit.configuration",
    "approxbit.wire",
    "approxbit.link",
    "approxbit.select",
    "approxbit.edge",
    "approxbit.demo.edge",
    "approxbit.engines.artefact",
    "approxbit.engines.first_bits",
    "approxbit.engines.onnx_runner",
    "approxbit.engines.prepared",
    "approxbit.engines.runner",
    "approxbit.engines.tensorrt_runner",
    "approxbit.engines.triton",
    "approxbit.data.video",
    "approxbit.data.sampling",
    "approxbit.data.preprocess",
]


def run_lean(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that has none of the heavy packages."""
    return subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True)


@pytest.mark.parametrize("module", DEVICE_MODULES)
def test_a_module_of_the_device_needs_nothing_heavy(module: str) -> None:
    finished = run_lean(f"import {module}")
    assert finished.returncode == 0, finished.stderr


def test_every_file_of_the_device_needs_nothing_heavy() -> None:
    finished = run_lean(
        "import importlib, pkgutil\n"
        "for room in ('wire', 'link', 'select', 'edge'):\n"
        "    package = importlib.import_module('approxbit.' + room)\n"
        "    for each in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not each.name.endswith('.__main__'):\n"
        "            importlib.import_module(each.name)\n"
    )
    assert finished.returncode == 0, finished.stderr


def test_the_help_of_the_command_line_needs_nothing_heavy() -> None:
    finished = run_lean(
        "import sys; sys.argv = ['approxbit', '--help']\nfrom approxbit.cli import main; main()"
    )
    assert finished.returncode == 0, finished.stderr
    assert "demo" in finished.stdout


def test_what_is_blocked_is_really_blocked() -> None:
    assert "torch is blocked here" in run_lean("import torch").stderr


def test_a_name_that_needs_torch_says_so() -> None:
    finished = run_lean("import approxbit; approxbit.load")
    assert "ImportError: approxbit.load needs the package" in finished.stderr
    assert "pip install 'approxbit[serve]'" in finished.stderr
