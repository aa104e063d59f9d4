"""One engine with its own memory and stream: nothing is allocated while it runs."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from approxbit.engines.tensorrt.cuda import Cuda
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


class EngineSession:
    """An engine, ready to run; a context manager that gives its memory back.

    It is for one thread: its buffers hold one inference at a time.

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
        self._max_batch = max_batch
        self._batch = 0  # none is set yet
        self.inputs: dict[str, _Buffer] = {}
        self.outputs: dict[str, _Buffer] = {}
        self._stream = cuda.create_stream()
        try:
            self._allocate(trt, engine)
        except BaseException:
            self.close()
            raise

    def _allocate(self, trt: Any, engine: Any) -> None:
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            kind = engine.get_tensor_dtype(name).name
            if kind not in DTYPES:
                raise EngineError(f"the engine's tensor {name} is of the type {kind}, which numpy lacks")
            shape = tuple(int(size) for size in engine.get_tensor_shape(name))
            buffer = _Buffer(shape, np.dtype(DTYPES[kind]))
            (self.inputs if is_input else self.outputs)[name] = buffer
            buffer.allocate(self._cuda, self._max_batch)
            if not self._context.set_tensor_address(name, buffer.device):
                raise EngineError(f"TensorRT refuses the memory of the tensor {name}")

    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for a batch of inputs.

        Args:
            arrays: One array per input, of its type and shape.

        Returns:
            Views of the session's own memory: the next `run` writes over them, `close` ends them.

        Raises:
            ValueError: An input is missing, or of another type or shape, or the batch is too large.
            EngineError: TensorRT reports a failure.
            CudaError: CUDA reports a failure.
        """
        self._set_batch(self._check(arrays))
        for name, buffer in self.inputs.items():
            np.copyto(buffer.view(self._batch), arrays[name])
            size = buffer.num_bytes(self._batch)
            self._cuda.copy_to_device(buffer.device, buffer.host, size, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise EngineError("TensorRT could not run the engine: its own messages stand above")
        for buffer in self.outputs.values():
            size = buffer.num_bytes(self._batch)
            self._cuda.copy_to_host(buffer.host, buffer.device, size, self._stream)
        self._cuda.synchronize(self._stream)
        return {name: buffer.view(self._batch) for name, buffer in self.outputs.items()}

    def _check(self, arrays: Mapping[str, np.ndarray]) -> int:
        if set(arrays) != set(self.inputs):
            raise ValueError(f"expected the inputs {sorted(self.inputs)}, found {sorted(arrays)}")
        batch = len(next(iter(arrays.values())))
        for name, buffer in self.inputs.items():
            array, expected = arrays[name], buffer.shape(batch)
            if array.dtype != buffer.dtype or array.shape != expected:
                wanted = f"{buffer.dtype} {list(expected)}"
                raise ValueError(f"{name}: expected {wanted}, found {array.dtype} {list(array.shape)}")
        if not 1 <= batch <= self._max_batch:
            raise ValueError(f"expected a batch of 1 to {self._max_batch}, found {batch}")
        return batch

    def _set_batch(self, batch: int) -> None:
        if batch == self._batch:
            return
        for name, buffer in self.inputs.items():
            if buffer.has_open_batch and not self._context.set_input_shape(name, buffer.shape(batch)):
                raise EngineError(f"the engine refuses a batch of {batch} for {name}")
        self._batch = batch

    def profile_layers(self, profiler: Any) -> None:
        """Report each layer's time of the following runs to a `trt.IProfiler`; they get slower by it."""
        self._context.profiler = profiler

    def close(self) -> None:
        """Give the memory and the stream back; the session cannot run after it."""
        for buffer in (*self.inputs.values(), *self.outputs.values()):
            buffer.free(self._cuda)
        self.inputs, self.outputs = {}, {}
        if self._stream:
            self._cuda.destroy_stream(self._stream)
            self._stream = 0

    def __enter__(self) -> EngineSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Buffer:
    """One tensor's memory, on the device and pinned on the host."""

    device = host = 0
    _array: np.ndarray

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]):
        if any(size < 0 for size in shape[1:]):
            raise EngineError(
                f"only the batch of an engine may be open, found a tensor of shape {list(shape)}"
            )
        self.has_open_batch = bool(shape) and shape[0] < 0
        self._shape = shape
        self.dtype = dtype

    def allocate(self, cuda: Cuda, max_batch: int) -> None:
        size = self.num_bytes(max_batch)
        self.device = cuda.allocate(size)
        self.host = cuda.allocate_pinned(size)
        memory = (ctypes.c_uint8 * size).from_address(self.host)
        self._array = np.ctypeslib.as_array(memory).view(self.dtype).reshape(self.shape(max_batch))

    def shape(self, batch: int) -> tuple[int, ...]:
        return (batch, *self._shape[1:]) if self.has_open_batch else self._shape

    def num_bytes(self, batch: int) -> int:
        return int(np.prod(self.shape(batch), dtype=np.int64)) * self.dtype.itemsize

    def view(self, batch: int) -> np.ndarray:
        return self._array[:batch] if self.has_open_batch else self._array

    def free(self, cuda: Cuda) -> None:
        if self.device:
            cuda.free(self.device)
        if self.host:
            cuda.free_pinned(self.host)
