"""One view -> one ONNX file, by the exporter and at the opset that a target names."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from approxbit.errors import ExportError
from approxbit.exporting.gate import Target
from approxbit.exporting.gate.structure_rules import LARGEST_INLINE_BYTES
from approxbit.exporting.precision import to_mixed_precision

PRODUCER = "approxbit"
DATA_SUFFIX = ".data"
TRACED_BATCH = 2  # with a batch of 1 an exporter may take the open axis for a fixed one


@dataclass(frozen=True)
class GraphInterface:
    """The names at the boundary of a graph, and whether its batch is open.

    Attributes:
        input_name: Of the one input.
        output_name: Of the one output.
        has_open_batch: Whether the first axis of both may have any length; else it is 1.
    """

    input_name: str
    output_name: str
    has_open_batch: bool = False


def export_graph(view: nn.Module, example: Tensor, interface: GraphInterface, target: Target) -> Any:
    """The ONNX model of a view, made smaller and brought to the target's precision; not yet checked.

    Args:
        view: In eval mode, with one input and one output.
        example: An input with a batch of 1.
        interface: What the file calls them.
        target: Names exporter, opset and precision.

    Returns:
        An `onnx.ModelProto`. The same view gives the same bytes.

    Raises:
        ExportError: The exporter fails, or a weight does not fit the precision.
        ImportError: A package of `approxbit[export]` is missing.
    """
    model = trace_graph(view, example, interface, target.exporter, target.opset)
    return finish_graph(model, target.precision)


def trace_graph(
    view: nn.Module, example: Tensor, interface: GraphInterface, exporter: str, opset: int
) -> Any:
    """The float32 graph of a view as the exporter gives it, made smaller: the part that takes long.

    Targets that differ in their precision only share it: see `finish_graph`.

    Args:
        view: In eval mode, with one input and one output.
        example: An input with a batch of 1.
        interface: What the file calls them.
        exporter: `torchscript` or `dynamo`.
        opset: Version of the standard operators.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ExportError: The exporter fails.
        ImportError: A package of `approxbit[export]` is missing.
    """
    require_export_packages()
    if interface.has_open_batch:
        example = example.repeat(TRACED_BATCH, *[1] * (example.dim() - 1))
    export = _export_by_tracing if exporter == "torchscript" else _export_by_dynamo
    with _quiet(), torch.no_grad():
        try:
            model = export(view, example, interface, opset)
        except Exception as error:  # the exporters raise a dozen types of their own
            raise ExportError(
                f"the {exporter} exporter fails on {type(view).__name__} at opset {opset}: {error}"
            ) from error
        return _simplify(model)


def finish_graph(model: Any, precision: str) -> Any:
    """A traced graph in the precision of a target, without anything that varies from run to run.

    Args:
        model: What `trace_graph` gave; it is left as it was only where the graph becomes a mixed one.
        precision: `fp32`, `weak-fp16` or `strong-fp16`; the first two are the same graph.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ExportError: A weight does not fit the precision.
    """
    if precision == "strong-fp16":
        model = to_mixed_precision(model)
    _read_shapes_behind_the_cast(model)
    _leave_out_what_varies(model)
    _name_nodes(model)
    return model


def save_graph(model: Any, path: Path, largest_inline_bytes: int = LARGEST_INLINE_BYTES) -> tuple[str, ...]:
    """Write a model; large weights go into one file beside it.

    Args:
        model: An `onnx.ModelProto`. Its weights are moved out of it if they are large.
        path: Where to; the weights' file has the same name and `.data` behind it.
        largest_inline_bytes: Weights up to here stay in the file.

    Returns:
        Names of the files beside `path`.
    """
    import onnx

    data_path = path.with_name(path.name + DATA_SUFFIX)
    data_path.unlink(missing_ok=True)  # onnx would write behind what is there
    if _weight_bytes(model) <= largest_inline_bytes:
        onnx.save_model(model, str(path))
        return ()
    onnx.save_model(model, str(path), save_as_external_data=True, location=data_path.name)
    return (data_path.name,)


def require_export_packages() -> None:
    """Let an export start only where it can end.

    Raises:
        ImportError: A package of `approxbit[export]` is missing.
    """
    for package in ("onnx", "onnxruntime", "onnxscript", "onnxslim"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f"exporting a model needs {package}: pip install 'approxbit[export]'")


def _export_by_tracing(view: nn.Module, example: Tensor, interface: GraphInterface, opset: int) -> Any:
    import onnx

    names = (interface.input_name, interface.output_name)
    open_axes = {name: {0: "batch"} for name in names} if interface.has_open_batch else None
    # A file and not a buffer, since weights beyond 2 GiB are written beside it.
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "graph.onnx")
        torch.onnx.export(
            view,
            (example,),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=[interface.input_name],
            output_names=[interface.output_name],
            dynamic_axes=open_axes,
        )
        return onnx.load(path)


def _export_by_dynamo(view: nn.Module, example: Tensor, interface: GraphInterface, opset: int) -> Any:
    batch = torch.export.Dim("batch", min=1) if interface.has_open_batch else None
    program = torch.onnx.export(
        view,
        (example,),
        dynamo=True,
        opset_version=opset,
        input_names=[interface.input_name],
        output_names=[interface.output_name],
        dynamic_shapes=({0: batch},) if batch else None,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("it returned nothing")
    return program.model_proto


def _simplify(model: Any) -> Any:
    """The model after onnxslim; as it was, if onnxslim changed more than nodes or the model is too large."""
    import onnx
    import onnxslim

    if _weight_bytes(model) > LARGEST_INLINE_BYTES:
        return model  # onnxslim infers shapes on the whole model, which ends at 2 GiB
    before = onnx.ModelProto()
    before.CopyFrom(model)
    slim = onnxslim.slim(model)
    versions = [(each.ir_version, _opsets(each)) for each in (before, slim)]
    return slim if versions[0] == versions[1] else before


def _opsets(model: Any) -> dict[str, int]:
    return {each.domain: each.version for each in model.opset_import}


def _weight_bytes(model: Any) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _read_shapes_behind_the_cast(model: Any) -> None:
    """Let nothing but a Cast read a UINT8 input: an open batch is often read off the input itself."""
    import onnx

    graph = model.graph
    for value in graph.input:
        casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] == value.name]
        if value.type.tensor_type.elem_type != onnx.TensorProto.UINT8 or not casts:
            continue
        cast = onnx.NodeProto()
        cast.CopyFrom(casts[0])
        graph.node.remove(casts[0])
        graph.node.insert(0, cast)
        for node in graph.node:
            if node.op_type == "Shape" and node.input[0] == value.name:
                node.input[0] = cast.output[0]


def _leave_out_what_varies(model: Any) -> None:
    """Drop stack traces, paths and versions: a file tells what it computes, and nothing of its maker."""
    model.producer_name, model.producer_version, model.doc_string = PRODUCER, "", ""
    graph = model.graph
    graph.name, graph.doc_string = PRODUCER, ""
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del item.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def _name_nodes(model: Any) -> None:
    """Give every node a name of its own: what pins layers to a precision finds them by it."""
    times = Counter(node.name for node in model.graph.node)
    for index, node in enumerate(model.graph.node):
        if not node.name or times[node.name] > 1:
            node.name = f"{node.name or node.op_type}_{index}"


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice from the exporters.

    Tracing warns of every decision that depends on a shape, though shapes are fixed here. What it would
    freeze wrongly, a decision that depends on values, shows when the graph meets the reference clips.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
