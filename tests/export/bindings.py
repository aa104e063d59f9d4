"""TensorRT's genuine Python bindings, importable without its libraries, to look names up in.

The wheels of the bindings carry every class, method, enumeration and docstring; of the libraries behind them
they need a dozen symbols to be imported. The wheels are NVIDIA's: they are installed at test time into a
cache, never shipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "approxbit" / "tensorrt-bindings"
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")
# What the bindings ask of the libraries when they are imported. None of it is called.
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt
found = {}
for path in json.load(sys.stdin):
    value = trt
    try:
        for name in path.split("."):
            value = getattr(value, name)
    except AttributeError:
        found[path] = None
    else:
        found[path] = str(getattr(value, "__doc__", "") or "")
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Bindings:
    """One version of the bindings: the wheel's name, and the newest Python that it was made for."""

    version: str
    wheel: str
    newest_python: tuple[int, int]

    def look_up(self, paths: Iterable[str], stubs: Path) -> dict[str, str | None]:
        """Docstring by dotted name below the module; None for a name that does not exist."""
        python = _find_python(self.newest_python)
        wheel = self._install(python)
        environment = dict(os.environ, LD_LIBRARY_PATH=str(stubs))
        finished = subprocess.run(
            [*python, "-W", "ignore", "-c", PROBE, str(wheel)],
            input=json.dumps(sorted(paths)),
            env=environment,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
        found: dict[str, str | None] = json.loads(finished.stdout)
        return found

    def _install(self, python: list[str]) -> Path:
        version = subprocess.run(
            [*python, "-c", _VERSION], capture_output=True, text=True, check=True
        ).stdout.strip()
        target = CACHE / f"{self.wheel}-{self.version}-py{version}"
        if target.is_dir():
            return target
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            _install(f"{self.wheel}=={self.version}", version, temporary)
            try:
                os.replace(temporary, target)
            except OSError:  # another process of the tests was faster
                assert target.is_dir()
            else:
                os.mkdir(temporary)  # for the context manager to remove
        return target


_VERSION = "import sys; print('{}.{}'.format(*sys.version_info))"


def _find_python(newest: tuple[int, int]) -> list[str]:
    """An interpreter that the wheels of a version are made for."""
    if sys.version_info[:2] <= newest:
        return [sys.executable]
    for minor in range(newest[1], 7, -1):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return [path]
    pytest.skip(f"needs a Python of at most {newest[0]}.{newest[1]}")


def _install(requirement: str, python_version: str, target: str) -> None:
    uv = shutil.which(
        "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    tool = [uv, "pip"] if uv else [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=1"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", python_version]
    command = [*tool, "install", *options, "--target", target, requirement]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        reason = finished.stderr.strip().splitlines()[-1:]
        pytest.skip(f"{requirement} is not to be had here: {' '.join(reason)}")


def compile_stubs(folder: Path) -> Path:
    """Empty libraries with all the names that any version of the bindings asks for."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    source, stub = folder / "stub.c", folder / "stub.so"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(stub), str(source)], check=True)
    for library in LIBRARIES:
        for major in (8, 10, 11):
            shutil.copy(stub, folder / f"lib{library}.so.{major}")
    return folder
