"""CUDA's run-time library through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.engines.tensorrt import cuda
from approxbit.engines.tensorrt.cuda import Cuda, Gpu
from approxbit.errors import CudaError

Device = Callable[[str], ModuleType]


def test_the_device_is_named_with_its_compute_capability(device: Device) -> None:
    assert Cuda().gpu() == Gpu("Orin", "8.7")


def test_bytes_go_to_the_device_and_come_back(device: Device) -> None:
    library = Cuda()
    stream, there = library.create_stream(), library.allocate(5)
    here = library.allocate_pinned(5)
    ctypes.memmove(here, b"clips", 5)
    library.copy_to_device(there, here, 5, stream)
    ctypes.memset(here, 0, 5)
    library.copy_to_host(here, there, 5, stream)
    library.synchronize(stream)
    assert ctypes.string_at(here, 5) == b"clips"
    library.free(there)
    library.free_pinned(here)
    library.destroy_stream(stream)


def test_an_error_is_named_in_cudas_words(device: Device) -> None:
    with pytest.raises(CudaError, match="cudaMalloc failed with error 2: out of memory"):
        Cuda().allocate(1 << 40)
    with pytest.raises(CudaError, match="cudaStreamSynchronize failed with error 1: invalid value"):
        Cuda().synchronize(0)


def test_a_missing_library_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "LIBRARY_NAMES", ("libnowhere.so",))
    monkeypatch.setattr(cuda, "LIBRARY_PATTERNS", ())
    monkeypatch.setattr(cuda.sys, "path", [])
    with pytest.raises(CudaError, match=r"was not found as libnowhere.so nor in /usr/local/cuda\*: JetPack"):
        Cuda()


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")
def test_the_genuine_library_without_a_gpu_says_so() -> None:
    with pytest.raises(CudaError) as caught:
        Cuda()
    if "was not found" in str(caught.value):
        pytest.skip("this machine has no CUDA")
    assert str(caught.value).startswith("cudaGetDeviceCount failed with error ")


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("cudaGetDeviceCount", "(int *count) { *count = 0; return 0; }", "CUDA finds no device"),
        ("cudaMalloc", "(void **address) { return 0; }", "cudaMalloc succeeded and gave no address"),
    ],
)
def test_a_library_that_gives_nothing_is_not_believed(
    name: str, body: str, message: str, tmp_path: Path, cudart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = dict.fromkeys([*cuda._FUNCTIONS, "cudaGetErrorString"], "(void) { return 0; }")
    bodies["cudaGetDeviceCount"] = "(int *count) { *count = 1; return 0; }"
    bodies[name] = body
    source, library = tmp_path / "cudart.c", tmp_path / "libcudart.so"
    source.write_text("".join(f"int {each}{text}\n" for each, text in bodies.items()))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    monkeypatch.setattr(cuda, "LIBRARY_NAMES", (str(library),))
    with pytest.raises(CudaError, match=message):
        Cuda().allocate(1)
