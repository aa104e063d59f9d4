"""ONNX Runtime on a device or a server: the graphs of an exported artefact, without torch."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Union

import numpy as np

from approxbit.engines.artefact import Artefact, load_artefact
from approxbit.engines.runner import EdgeResult, ServerResult, WholeResult
from approxbit.wire.packing import check_packed

PathLike = Union[str, "os.PathLike[str]"]

DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int32)": np.int32}
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


class OnnxEdgeRunner:
    """The edge half, the encoder and the packing as one graph.

    It may be called from several threads, one call at a time.

    Args:
        folder: The artefact.
        num_threads: Threads for each operator on the CPU, at least 1.
        provider: `cpu`, `cuda` or `tensorrt`; it must be at hand, nothing falls back to the CPU in silence.

    Raises:
        ArtefactError: The folder is not a whole artefact.
        ImportError: onnxruntime is not installed.
        ValueError: There is no such provider, here or at all, or `num_threads` is below 1.
    """

    def __init__(self, folder: PathLike, num_threads: int = 1, provider: str = "cpu"):
        artefact = load_artefact(folder)
        card = artefact.card
        self.code_format, self.clip_format = card.code_format, card.clip_format
        self._session = _Session(artefact, artefact.graph_path("edge"), num_threads, provider)

    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed code of a prepared clip, float32 `[3, time, height, width]`.

        One graph computes the code from the clip, so that all the time is `edge_ms`; `encode_ms` is 0.

        Raises:
            ValueError: The clip is not of that type and the artefact's shape.
        """
        _check_clip(clip, self._session.input_shape)
        start = time.perf_counter()
        packed = self._session.run(clip)
        payload = packed.astype(np.uint8, copy=False).tobytes()
        return EdgeResult(payload, _ms_since(start), 0.0)


class OnnxServerRunner:
    """The unpacking, the decoder and the server half as one graph.

    It may be called from several threads, one call at a time.

    Args:
        folder: The artefact.
        num_threads: Threads for each operator on the CPU, at least 1.
        provider: As for `OnnxEdgeRunner`.

    Raises:
        ArtefactError: The folder is not a whole artefact.
        ImportError: onnxruntime is not installed.
        ValueError: There is no such provider, here or at all, or `num_threads` is below 1.
    """

    def __init__(self, folder: PathLike, num_threads: int = 1, provider: str = "cpu"):
        artefact = load_artefact(folder)
        self.code_format = artefact.card.code_format
        self._session = _Session(artefact, artefact.graph_path("server"), num_threads, provider)

    def run(self, payload: bytes) -> ServerResult:
        """The answer to a packed code.

        One graph computes the answer from the code, so that all the time is `server_ms`; `decode_ms` is 0.

        Raises:
            WireError: The payload is not a code of `code_format`.
        """
        code = self.code_format
        check_packed(payload, code.configuration.codebook_size, code.num_positions)
        start = time.perf_counter()
        answer = self._session.run(np.frombuffer(payload, np.uint8))
        return ServerResult(answer, 0.0, _ms_since(start))


class OnnxWholeRunner:
    """The unsplit backbone as one graph: edge-only on the device.

    It may be called from several threads, one call at a time.

    Args:
        folder: An artefact that was exported with `whole=True`.
        num_threads: Threads for each operator on the CPU, at least 1.
        provider: As for `OnnxEdgeRunner`.

    Raises:
        ArtefactError: The folder is not a whole artefact, or was exported without the unsplit model.
        ImportError: onnxruntime is not installed.
        ValueError: There is no such provider, here or at all, or `num_threads` is below 1.
    """

    def __init__(self, folder: PathLike, num_threads: int = 1, provider: str = "cpu"):
        artefact = load_artefact(folder)
        self.clip_format = artefact.card.clip_format
        self._session = _Session(artefact, artefact.graph_path("whole"), num_threads, provider)

    def run(self, clip: np.ndarray) -> WholeResult:
        """The answer to a prepared clip, float32 `[3, time, height, width]`.

        Raises:
            ValueError: The clip is not of that type and the artefact's shape.
        """
        _check_clip(clip, self._session.input_shape)
        start = time.perf_counter()
        answer = self._session.run(clip)
        return WholeResult(answer, _ms_since(start))


class _Session:
    """A graph for batches of one, its input and output bound to arrays that every call uses again."""

    def __init__(self, artefact: Artefact, path: Path, num_threads: int, provider: str):
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, found {num_threads}")
        runtime = _import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; it warns of every node that it leaves on the CPU
        providers = _providers(runtime, provider, artefact)
        self._session = runtime.InferenceSession(str(path), options, providers=providers)
        _check_provider(provider, self._session.get_providers())
        self._binding = self._session.io_binding()
        self._input = _bind(self._session.get_inputs()[0], self._binding.bind_input)
        self._output = _bind(self._session.get_outputs()[0], self._binding.bind_output)
        self._lock = threading.Lock()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        return self._input.shape[1:]

    def run(self, array: np.ndarray) -> np.ndarray:
        """The first row of the output for a batch of one."""
        with self._lock:
            self._input[0] = array
            self._session.run_with_iobinding(self._binding)
            return self._output[0].copy()


def _bind(value: Any, bind: Any) -> np.ndarray:
    """A new array that is one input or output of a session; an open batch becomes 1."""
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    array = np.zeros(shape, DTYPES[value.type])
    bind(value.name, "cpu", 0, array.dtype.type, shape, array.ctypes.data)
    return array


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "running a graph needs onnxruntime: pip install onnxruntime, or onnxruntime-gpu for a GPU "
            "(approxbit[export] brings the first)"
        ) from error
    return onnxruntime


def _providers(runtime: Any, provider: str, artefact: Artefact) -> list[Any]:
    """The provider asked for and those that take what it leaves, with options."""
    if provider not in PROVIDERS:
        raise ValueError(f"provider must be one of {', '.join(PROVIDERS)}, found {provider!r}")
    names = PROVIDERS[provider]
    _check_provider(provider, runtime.get_available_providers())
    if provider != "tensorrt":
        return list(names)
    is_weak = artefact.card.precision == "weak-fp16"
    tensorrt = {
        "trt_fp16_enable": is_weak,
        "trt_layer_norm_fp32_fallback": is_weak,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(artefact.folder / "engines"),
    }
    return [(names[0], tensorrt), *names[1:]]


def _check_provider(provider: str, found: list[str]) -> None:
    """Let a session start only with the provider asked for: the list of those available may be wrong."""
    if PROVIDERS[provider][0] not in found:
        raise ValueError(
            f"provider {provider!r} needs ONNX Runtime's {PROVIDERS[provider][0]}, found {', '.join(found)}"
        )


def _check_clip(clip: np.ndarray, shape: tuple[Any, ...]) -> None:
    if clip.dtype != np.float32 or clip.shape != shape:
        sizes = ", ".join(map(str, shape))
        raise ValueError(f"a prepared clip is float32 [{sizes}], found {clip.dtype} {list(clip.shape)}")


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
