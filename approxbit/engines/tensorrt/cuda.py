"""The few functions of CUDA's run-time library that an engine needs, through ctypes.

JetPack brings the library but no Python package for it, and torch is too heavy for a device.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from typing import Any

from approxbit.errors import CudaError

# The newest first. The loader knows where an installed CUDA lies, or LD_LIBRARY_PATH says so.
LIBRARY_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
LIBRARY_PATTERNS = ("/usr/local/cuda*/lib64/libcudart.so*", "/usr/local/cuda*/targets/*/lib/libcudart.so*")

_TO_DEVICE, _TO_HOST = 1, 2
_MAJOR, _MINOR = 75, 76  # attributes of a device: its compute capability
# The name stands first in cudaDeviceProp, whose other fields and size differ between versions of CUDA.
_NAME_BYTES, _PROPERTIES_BYTES = 256, 16384

_FUNCTIONS: dict[str, list[Any]] = {
    "cudaGetDeviceCount": [POINTER(c_int)],
    "cudaGetDeviceProperties": [c_void_p, c_int],
    "cudaDeviceGetAttribute": [POINTER(c_int), c_int, c_int],
    "cudaMalloc": [POINTER(c_void_p), c_size_t],
    "cudaFree": [c_void_p],
    "cudaMallocHost": [POINTER(c_void_p), c_size_t],
    "cudaFreeHost": [c_void_p],
    "cudaMemcpyAsync": [c_void_p, c_void_p, c_size_t, c_int, c_void_p],
    "cudaStreamCreate": [POINTER(c_void_p)],
    "cudaStreamDestroy": [c_void_p],
    "cudaStreamSynchronize": [c_void_p],
}


@dataclass(frozen=True)
class Gpu:
    """The GPU that engines are built for: they run on no other kind.

    Attributes:
        name: As CUDA calls it.
        compute_capability: Such as `8.7` for Orin and `7.2` for Xavier.
    """

    name: str
    compute_capability: str


class Cuda:
    """CUDA's run-time library and its first device.

    Addresses and streams are plain integers, as TensorRT's Python API takes them.

    Raises:
        CudaError: The library is nowhere to be found, or finds no device. The message says where it looked.
    """

    def __init__(self) -> None:
        self._library = _load_library()
        for name, arguments in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = arguments, c_int
        self._library.cudaGetErrorString.argtypes = [c_int]
        self._library.cudaGetErrorString.restype = c_char_p
        count = c_int()
        self._call("cudaGetDeviceCount", ctypes.byref(count))
        if count.value < 1:
            raise CudaError("CUDA finds no device on this machine")

    def gpu(self) -> Gpu:
        """What the first device is."""
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self._call("cudaGetDeviceProperties", ctypes.addressof(properties), 0)
        name = properties.raw[:_NAME_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace")
        return Gpu(name, f"{self._attribute(_MAJOR)}.{self._attribute(_MINOR)}")

    def allocate(self, num_bytes: int) -> int:
        """The address of so many bytes on the device; `free` gives them back."""
        return self._pointer("cudaMalloc", c_size_t(num_bytes))

    def free(self, address: int) -> None:
        """Give back what `allocate` gave."""
        self._call("cudaFree", address)

    def allocate_pinned(self, num_bytes: int) -> int:
        """The address of so many bytes on the host that the device can reach; see `free_pinned`."""
        return self._pointer("cudaMallocHost", c_size_t(num_bytes))

    def free_pinned(self, address: int) -> None:
        """Give back what `allocate_pinned` gave."""
        self._call("cudaFreeHost", address)

    def create_stream(self) -> int:
        """A new stream; `destroy_stream` ends it."""
        return self._pointer("cudaStreamCreate")

    def destroy_stream(self, stream: int) -> None:
        """End a stream of `create_stream`."""
        self._call("cudaStreamDestroy", stream)

    def copy_to_device(self, target: int, source: int, num_bytes: int, stream: int) -> None:
        """Queue a copy from pinned memory to the device."""
        self._call("cudaMemcpyAsync", target, source, num_bytes, _TO_DEVICE, stream)

    def copy_to_host(self, target: int, source: int, num_bytes: int, stream: int) -> None:
        """Queue a copy from the device to pinned memory."""
        self._call("cudaMemcpyAsync", target, source, num_bytes, _TO_HOST, stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all that was queued on a stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def _attribute(self, attribute: int) -> int:
        value = c_int()
        self._call("cudaDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        return value.value

    def _pointer(self, name: str, *arguments: Any) -> int:
        pointer = c_void_p()
        self._call(name, ctypes.byref(pointer), *arguments)
        if pointer.value is None:
            raise CudaError(f"{name} succeeded and gave no address")
        return pointer.value

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            text = self._library.cudaGetErrorString(status)
            raise CudaError(f"{name} failed with error {status}: {text.decode('utf-8', 'replace')}")


def _load_library() -> ctypes.CDLL:
    packages = [os.path.join(folder, "nvidia", "*", "lib", "libcudart.so*") for folder in sys.path if folder]
    found = [path for pattern in (*LIBRARY_PATTERNS, *packages) for path in sorted(glob.glob(pattern))]
    for name in (*LIBRARY_NAMES, *found):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise CudaError(
        f"CUDA's run-time library was not found as {', '.join(LIBRARY_NAMES)} nor in /usr/local/cuda*: "
        "JetPack installs it (sudo apt install cuda-cudart-*); elsewhere, name its folder in LD_LIBRARY_PATH"
    )
