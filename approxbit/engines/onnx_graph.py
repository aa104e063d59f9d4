"""ONNX Runtime on a device or a server: one graph of an exported artefact, without torch."""

from __future__ import annotations

import threading
from typing import Any, Mapping

import numpy as np

from approxbit.engines.artefact import Artefact
from approxbit.engines.graph import Graph, check_inputs
from approxbit.files import PathLike

DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int32)": np.int32}
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


class OnnxGraph(Graph):
    """A session whose inputs and outputs are bound to arrays that every call uses again.

    Args:
        path: The ONNX file.
        max_batch: Largest batch of a graph that leaves the batch open.
        num_threads: Threads for each operator on the CPU, at least 1.
        provider: `cpu`, `cuda` or `tensorrt`; it must be at hand, nothing falls back to the CPU in silence.
        options: Of the provider.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: There is no such provider, here or at all, or `num_threads` is below 1.
    """

    def __init__(
        self,
        path: PathLike,
        max_batch: int = 1,
        num_threads: int = 1,
        provider: str = "cpu",
        options: Mapping[str, Any] | None = None,
    ):
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, found {num_threads}")
        runtime = _import_onnxruntime()
        session = runtime.SessionOptions()
        session.intra_op_num_threads = num_threads
        session.inter_op_num_threads = 1
        session.log_severity_level = 3  # errors; it warns of every node that it leaves on the CPU
        providers = _providers(runtime, provider, options or {})
        self._session = runtime.InferenceSession(str(path), session, providers=providers)
        _check_provider(provider, self._session.get_providers())
        self._binding = self._session.io_binding()
        self._inputs, self._outputs = (
            {value.name: _buffer(value, max_batch) for value in values}
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        self._bound_batch = 0  # none is bound yet
        self._lock = threading.Lock()
        first = next(iter(self._inputs.values()))
        self.backend = f"onnxruntime {runtime.__version__}"
        self.input_shape, self.max_batch = first.shape[1:], len(first)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs, which no later call writes over.

        Raises:
            ValueError: An input is missing, or of another type or shape, or the batch is too large.
        """
        batch = check_inputs(inputs, self._inputs)
        with self._lock:
            self._bind(batch)
            for name, buffer in self._inputs.items():
                buffer[:batch] = inputs[name]
            self._session.run_with_iobinding(self._binding)
            return {name: buffer[:batch].copy() for name, buffer in self._outputs.items()}

    def _bind(self, batch: int) -> None:
        if batch == self._bound_batch:
            return
        sides = ((self._inputs, self._binding.bind_input), (self._outputs, self._binding.bind_output))
        for buffers, bind in sides:
            for name, buffer in buffers.items():
                shape = (batch, *buffer.shape[1:])
                bind(name, "cpu", 0, buffer.dtype.type, shape, buffer.ctypes.data)
        self._bound_batch = batch


def _buffer(value: Any, max_batch: int) -> np.ndarray:
    """Room for the largest batch of one input or output of a session."""
    batch, *sizes = value.shape
    return np.zeros((batch if isinstance(batch, int) else max_batch, *sizes), DTYPES[value.type])


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "running a graph needs onnxruntime: pip install onnxruntime, or onnxruntime-gpu for a GPU "
            "(approxbit[export] brings the first)"
        ) from error
    return onnxruntime


def _providers(runtime: Any, provider: str, options: Mapping[str, Any]) -> list[Any]:
    """The provider asked for, with its options, and those that take what it leaves."""
    if provider not in PROVIDERS:
        raise ValueError(f"provider must be one of {', '.join(PROVIDERS)}, found {provider!r}")
    _check_provider(provider, runtime.get_available_providers())
    first, *others = PROVIDERS[provider]
    return [(first, dict(options)), *others]


def _check_provider(provider: str, found: list[str]) -> None:
    """Let a session start only with the provider asked for: the list of those available may be wrong."""
    if PROVIDERS[provider][0] not in found:
        raise ValueError(
            f"provider {provider!r} needs ONNX Runtime's {PROVIDERS[provider][0]}, found {', '.join(found)}"
        )


def tensorrt_options(artefact: Artefact) -> dict[str, Any]:
    """Of ONNX Runtime's provider `tensorrt`, for the graphs of an artefact."""
    is_weak = artefact.card.precision == "weak-fp16"
    return {
        "trt_fp16_enable": is_weak,
        "trt_layer_norm_fp32_fallback": is_weak,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(artefact.folder / "engines"),
    }
