"""One engine's memory, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from approxbit.engines.artefact import Artefact, load_artefact
from approxbit.engines.tensorrt.build import BuildOptions, build_engine
from approxbit.engines.tensorrt.cuda import Cuda
from approxbit.engines.tensorrt.graph import TensorRTGraph
from approxbit.errors import CudaError, EngineError

Device = Callable[[str], ModuleType]


def open_server(trt: ModuleType, artefact: Artefact) -> TensorRTGraph:
    options, graph = BuildOptions("fp32", artefact.card.max_batch), artefact.card.graphs["server"]
    plan, _ = build_engine(trt, artefact.graph_path("server"), graph, options, b"", lambda text: None)
    return TensorRTGraph(trt, plan, Cuda(), artefact.card.max_batch)


def test_batches_of_any_size_go_through_the_same_memory(
    small_artefact: Callable[..., Path], device: Device
) -> None:
    packed = np.arange(32, dtype=np.uint8).reshape(4, 8)
    with open_server(device("10.3.0"), load_artefact(small_artefact(dynamic_batch=4))) as graph:
        whole = graph.run({"packed": packed})["answer"]
        for batch in (1, 3, 2, 4):
            answer = graph.run({"packed": packed[:batch]})["answer"]
            np.testing.assert_allclose(answer, whole[:batch], rtol=1e-6)
        with pytest.raises(ValueError, match="expected a batch of 1 to 4, found 5"):
            graph.run({"packed": np.zeros((5, 8), np.uint8)})
        with pytest.raises(ValueError, match="expected a batch of 1 to 4, found 0"):
            graph.run({"packed": packed[:0]})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"expected the inputs \['packed'\], found \[\]"),
        ({"packed": np.zeros((1, 8), np.int8)}, r"packed: expected uint8 \[1, 8\], found int8 \[1, 8\]"),
        ({"packed": np.zeros((2, 8), np.uint8)}, r"expected a batch of 1 to 1, found 2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    arrays: dict[str, np.ndarray], message: str, artefact: Artefact, device: Device
) -> None:
    graph = open_server(device("8.6.2"), artefact)
    with graph, pytest.raises(ValueError, match=message):
        graph.run(arrays)


def context_of(graph: TensorRTGraph) -> Any:
    return graph._context


def test_failures_that_tensorrt_reports_are_raised(
    small_artefact: Callable[..., Path], device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = np.zeros((1, 8), np.uint8)
    with open_server(device("10.3.0"), load_artefact(small_artefact(dynamic_batch=4))) as graph:
        context = type(context_of(graph))
        monkeypatch.setattr(context, "set_input_shape", lambda *arguments: False)
        with pytest.raises(EngineError, match="the engine refuses a batch of 1 for packed"):
            graph.run({"packed": packed})
        monkeypatch.undo()
        monkeypatch.setattr(context, "execute_async_v3", lambda *arguments: False)
        with pytest.raises(EngineError, match="could not run the engine"):
            graph.run({"packed": packed})


@pytest.mark.parametrize(
    ("where", "name", "value", "error", "message"),
    [
        ("Engine", "get_tensor_dtype", SimpleNamespace(name="BF16"), EngineError, "of the type BF16"),
        ("Engine", "get_tensor_shape", (1, -1), EngineError, r"only the batch .* found .* \[1, -1\]"),
        ("Engine", "get_tensor_shape", (1, 1 << 40), CudaError, "out of memory"),
        ("Engine", "create_execution_context", None, EngineError, "could not make an execution context"),
        ("Context", "set_tensor_address", False, EngineError, "refuses the memory of the tensor packed"),
    ],
)
def test_an_engine_that_cannot_be_opened_leaves_no_memory_behind(
    where: str,
    name: str,
    value: object,
    error: type[Exception],
    message: str,
    artefact: Artefact,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = device("8.6.2")
    owner = getattr(__import__("sys").modules[type(trt).__module__], where)
    monkeypatch.setattr(owner, name, lambda *arguments: value)
    with pytest.raises(error, match=message):
        open_server(trt, artefact)
