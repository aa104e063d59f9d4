"""One engine with its own memory and stream: nothing is allocated while it runs."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from approxbit.engines.artefact import Artefact
from approxbit.engines.graph import Graph, check_inputs
from approxbit.engines.tensorrt.cuda import Cuda
from approxbit.engines.tensorrt.library import import_tensorrt
from approxbit.engines.tensorrt.store import ENGINES_FOLDER, EngineKey, EngineStore
from approxbit.errors import EngineError

# TensorRT's own map breaks with numpy 1.24 in version 8.5, and so is not used.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


class TensorRTGraph(Graph):
    """An engine, ready to run.

    Args:
        trt: TensorRT's bindings.
        plan: A serialised engine, built on this kind of GPU by this version of TensorRT.
        cuda: Where it runs.
        max_batch: Largest batch of an engine that leaves the batch open.

    Raises:
        EngineError: The engine was built for another GPU or by another TensorRT, or has a tensor of a type
            that numpy lacks.
        CudaError: There is not enough memory.
    """

    def __init__(self, trt: Any, plan: bytes, cuda: Cuda, max_batch: int = 1):
        logger = trt.Logger(trt.Logger.WARNING)
        trt.init_libnvinfer_plugins(logger, "")
        runtime = trt.Runtime(logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(
                f"TensorRT {trt.__version__} cannot read the engine: it was built by another version or for "
                "another GPU; build it again on this device"
            )
        context = engine.create_execution_context()
        if context is None:
            raise EngineError("TensorRT could not make an execution context: the GPU lacks memory")
        self._context = context
        self._owners = (logger, runtime, engine)  # the context must not outlive them
        self._cuda = cuda
        self._batch = 0  # none is set yet
        self._lock = threading.Lock()
        self.trt = trt
        self.inputs: dict[str, _Buffer] = {}
        self.outputs: dict[str, _Buffer] = {}
        self._stream = cuda.create_stream()
        try:
            self._allocate(trt, engine, max_batch)
        except BaseException:
            self.close()
            raise
        first = next(iter(self.inputs.values())).array
        self.backend = f"TensorRT {trt.__version__}"
        self.input_shape, self.max_batch = first.shape[1:], len(first)

    def _allocate(self, trt: Any, engine: Any, max_batch: int) -> None:
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            kind = engine.get_tensor_dtype(name).name
            if kind not in DTYPES:
                raise EngineError(f"the engine's tensor {name} is of the type {kind}, which numpy lacks")
            shape = tuple(int(size) for size in engine.get_tensor_shape(name))
            buffer = _Buffer(shape, np.dtype(DTYPES[kind]))
            (self.inputs if is_input else self.outputs)[name] = buffer
            buffer.allocate(self._cuda, max_batch)
            if not self._context.set_tensor_address(name, buffer.device):
                raise EngineError(f"TensorRT refuses the memory of the tensor {name}")

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs, which no later call writes over.

        Raises:
            ValueError: An input is missing, or of another type or shape, or the batch is too large.
            EngineError: TensorRT reports a failure.
            CudaError: CUDA reports a failure.
        """
        batch = check_inputs(inputs, {name: buffer.array for name, buffer in self.inputs.items()})
        with self._lock:
            self._set_batch(batch)
            for name, buffer in self.inputs.items():
                rows = buffer.array[:batch]
                np.copyto(rows, inputs[name])
                self._cuda.copy_to_device(buffer.device, buffer.host, rows.nbytes, self._stream)
            if not self._context.execute_async_v3(self._stream):
                raise EngineError("TensorRT could not run the engine: its own messages stand above")
            for buffer in self.outputs.values():
                size = buffer.array[:batch].nbytes
                self._cuda.copy_to_host(buffer.host, buffer.device, size, self._stream)
            self._cuda.synchronize(self._stream)
            return {name: buffer.array[:batch].copy() for name, buffer in self.outputs.items()}

    def _set_batch(self, batch: int) -> None:
        if batch == self._batch:
            return
        for name, buffer in self.inputs.items():
            shape = (batch, *buffer.array.shape[1:])
            if buffer.has_open_batch and not self._context.set_input_shape(name, shape):
                raise EngineError(f"the engine refuses a batch of {batch} for {name}")
        self._batch = batch

    def profile_layers(self, profiler: Any) -> None:
        """Report each layer's time of the following runs to a `trt.IProfiler`; they get slower by it."""
        self._context.profiler = profiler

    def close(self) -> None:
        """Give the memory and the stream back; nothing can run after it."""
        for buffer in (*self.inputs.values(), *self.outputs.values()):
            buffer.free(self._cuda)
        self.inputs, self.outputs = {}, {}
        if self._stream:
            self._cuda.destroy_stream(self._stream)
            self._stream = 0


def open_engine(artefact: Artefact, role: str, path: Path | None = None) -> TensorRTGraph:
    """An engine that `build_engine.py` built of one graph of an artefact.

    Args:
        artefact: What holds the graph.
        role: `edge`, `server` or `whole`.
        path: The engine's file; by default the newest accepted one in the artefact's folder `engines` that
            was built on this kind of GPU by this version of TensorRT.

    Raises:
        ArtefactError: The artefact was exported without the unsplit model, which is asked for.
        EngineError: There is no such engine, or it does not run here.
        ImportError: TensorRT's bindings are missing.
    """
    digest, trt, cuda = artefact.graph_card(role).digest, import_tensorrt(), Cuda()
    if path is None:
        gpu = cuda.gpu()
        key = EngineKey(role, digest, gpu.name, gpu.compute_capability, trt.__version__, options={})
        path = EngineStore(artefact.folder / ENGINES_FOLDER).find(key)
    return TensorRTGraph(trt, path.read_bytes(), cuda, artefact.card.max_batch)


class _Buffer:
    """One tensor's memory, on the device and pinned on the host."""

    device = host = 0
    array: np.ndarray

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]):
        if any(size < 0 for size in shape[1:]):
            raise EngineError(
                f"only the batch of an engine may be open, found a tensor of shape {list(shape)}"
            )
        self.has_open_batch = shape[0] < 0
        self._shape, self._dtype = shape, dtype

    def allocate(self, cuda: Cuda, max_batch: int) -> None:
        shape = (max_batch, *self._shape[1:]) if self.has_open_batch else self._shape
        size = int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize
        self.device = cuda.allocate(size)
        self.host = cuda.allocate_pinned(size)
        memory = (ctypes.c_uint8 * size).from_address(self.host)
        self.array = np.ctypeslib.as_array(memory).view(self._dtype).reshape(shape)

    def free(self, cuda: Cuda) -> None:
        if self.device:
            cuda.free(self.device)
        if self.host:
            cuda.free_pinned(self.host)
