"""Fixtures for what runs on a device: a small artefact, and a machine that seems to have TensorRT and CUDA.

`tests/conftest.py` takes them from here.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from loading import load_file

from approxbit.engines.tensorrt import cuda

HERE = Path(__file__).parent
EXPORT = HERE.parents[1] / "export"


@pytest.fixture
def small_artefact(tmp_path: Path) -> Callable[..., Path]:
    """`small_artefact(precision=..., ...)`: the folder of a new artefact."""
    write = load_file(HERE / "small_artefact.py").write_small_artefact

    def make(name: str = "artefact", **options: object) -> Path:
        folder: Path = write(tmp_path / name, **options)
        return folder

    return make


@pytest.fixture(scope="session")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run-time library of CUDA whose device memory is the host's."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    library = tmp_path_factory.mktemp("cuda") / "libcudart.so"
    source = str(HERE / "standin_cudart.c")
    # -Bsymbolic: where torch has loaded the real library, the stand-in must go on calling itself.
    subprocess.run(
        [compiler, "-Wall", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-o", str(library), source], check=True
    )
    return library


@pytest.fixture
def device(cudart: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """`device("10.3.0")`: from now on `import tensorrt` gives that version. All memory must come back."""
    monkeypatch.setattr(cuda, "LIBRARY_NAMES", (str(cudart),))

    def install(version: str) -> ModuleType:
        trt: ModuleType = load_file(HERE / "standin_tensorrt.py").StandIn(version)
        monkeypatch.setitem(sys.modules, "tensorrt", trt)
        return trt

    before = live_blocks(cudart)
    yield install
    assert live_blocks(cudart) == before


def live_blocks(cudart: Path) -> int:
    """Blocks of memory that nobody gave back."""
    return int(ctypes.CDLL(str(cudart)).standin_live_blocks())


@pytest.fixture
def build_script() -> ModuleType:
    """`export/build_engine.py` as a module."""
    return load_file(EXPORT / "build_engine.py")


@pytest.fixture
def rtx() -> ModuleType:
    """`rtx.py`: builds with the genuine builder."""
    return load_file(HERE / "rtx.py")


@pytest.fixture(scope="session")
def bindings() -> ModuleType:
    """`bindings.py`: TensorRT's genuine bindings, to look names up in."""
    return load_file(HERE / "bindings.py")


@pytest.fixture(scope="session")
def touched_names_file() -> ModuleType:
    """`touched_names.py`: the names to look up."""
    return load_file(HERE / "touched_names.py")


@pytest.fixture
def profile_script() -> ModuleType:
    """`export/profile_device.py` as a module."""
    return load_file(EXPORT / "profile_device.py")


@pytest.fixture
def power() -> ModuleType:
    """`export/power.py` as a module."""
    return load_file(EXPORT / "power.py")


@pytest.fixture
def facts() -> ModuleType:
    """`export/device_facts.py` as a module."""
    return load_file(EXPORT / "device_facts.py")
