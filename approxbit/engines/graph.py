"""One step of a model, ready to compute: what ONNX Runtime, TensorRT and torch have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Mapping, TypeVar

import numpy as np

Self = TypeVar("Self", bound="Closing")


class Closing:
    """A context manager that gives its memory back."""

    def close(self) -> None:
        """Give the memory back; nothing can run after it."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Graph(Closing, ABC):
    """Named inputs -> named outputs of one step, for a batch. Threads may share it.

    Attributes:
        backend: What computes, such as `onnxruntime 1.22.0`.
        input_shape: Of the first input, without the batch.
        max_batch: Largest batch of one call.
    """

    backend: str
    input_shape: tuple[int, ...]
    max_batch: int

    @abstractmethod
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs, which no later call writes over.

        Args:
            inputs: One array per input, `[batch, ...]`.

        Raises:
            ValueError: An input is missing, or of another type or shape, or the batch is too large.
        """


def check_inputs(inputs: Mapping[str, np.ndarray], buffers: Mapping[str, np.ndarray]) -> int:
    """The batch of the inputs, if they fit what they are to be copied into.

    Args:
        inputs: By name, `[batch, ...]`.
        buffers: By name, `[largest batch, ...]`.

    Raises:
        ValueError: As `Graph.run` says.
    """
    if set(inputs) != set(buffers):
        raise ValueError(f"expected the inputs {sorted(buffers)}, found {sorted(inputs)}")
    batch = len(next(iter(inputs.values())))
    for name, buffer in buffers.items():
        array, shape = inputs[name], (batch, *buffer.shape[1:])
        if array.dtype != buffer.dtype or array.shape != shape:
            wanted = f"{buffer.dtype} {list(shape)}"
            raise ValueError(f"{name}: expected {wanted}, found {array.dtype} {list(array.shape)}")
        if not 1 <= batch <= len(buffer):
            raise ValueError(f"expected a batch of 1 to {len(buffer)}, found {batch}")
    return batch
