"""NVIDIA's real parser and builder without a GPU: TensorRT-RTX, of the generation of TensorRT 11.

    build_with_rtx = load_file(HERE / "rtx.py").build_with_rtx

A graph that it cannot take can end the process (opset 23's Attention does), so that each build has its own.
Its engines run nowhere here.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from approxbit.engines.artefact import GraphCard, TensorCard
from approxbit.engines.tensorrt.build import BuildOptions, build_engine
from approxbit.errors import EngineError

MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")


def build_with_rtx(path: Path, precision: str = "strong-fp16", max_batch: int = 1) -> dict[str, object]:
    """Build an ONNX file by the code of `build_engine.py`; skips the test where TensorRT-RTX is missing.

    Args:
        path: The graph.
        precision: `strong-fp16` or `fp32`: it chooses no types itself.
        max_batch: Largest batch, if the graph leaves it open.

    Returns:
        `plan_bytes`, and what the builder `said`, line by line.

    Raises:
        RuntimeError: The graph was refused, or the builder broke down. The message is its own.
    """
    _find_rtx()
    command = [sys.executable, "-W", "ignore", __file__, str(path), precision, str(max_batch)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if finished.returncode != 0:
        raise RuntimeError(f"exit status {finished.returncode}\n{finished.stdout}{finished.stderr}")
    result: dict[str, object] = json.loads(finished.stdout.splitlines()[-1])
    return result


def graph_card(path: Path) -> GraphCard:
    """The card of a graph, as an exporter would write it."""
    model = onnx.load(path, load_external_data=False)
    initializers = {each.name for each in model.graph.initializer}
    inputs = [_tensor_card(value) for value in model.graph.input if value.name not in initializers]
    outputs = [_tensor_card(value) for value in model.graph.output]
    opset = next(each.version for each in model.opset_import if each.domain == "")
    return GraphCard(path.name, "0" * 64, opset, model.ir_version, tuple(inputs), tuple(outputs))


def _tensor_card(value: onnx.ValueInfoProto) -> TensorCard:
    kind = value.type.tensor_type
    shape = tuple(each.dim_value if each.HasField("dim_value") else None for each in kind.shape.dim)
    return TensorCard(value.name, str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)


def import_rtx() -> ModuleType:
    """TensorRT-RTX's bindings; skips the test where they are missing."""
    return importlib.import_module(_find_rtx())


def _find_rtx() -> str:
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            return name
    pytest.skip("needs TensorRT-RTX: pip install 'approxbit[rtx]'")


def main(path: Path, precision: str, max_batch: int) -> int:
    """One build in a process of its own."""
    said: list[str] = []
    options = BuildOptions(precision, max_batch, workspace_mb=2048)  # full-size graphs need 300 MB and more
    try:
        plan, _ = build_engine(import_rtx(), path, graph_card(path), options, b"", said.append)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"plan_bytes": len(plan), "said": said}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
