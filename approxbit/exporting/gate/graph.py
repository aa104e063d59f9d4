"""An ONNX file, laid out for the rules: every node, every type, and who makes and who reads a value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from approxbit.errors import GateError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

STANDARD_DOMAINS = ("", "ai.onnx")
_LARGEST_FOR_INFERENCE_BYTES = 1 << 16  # shapes, axes and scalars; weights say nothing about types


@dataclass(frozen=True)
class GraphView:
    """A model as the rules look at it. Local functions are written out; sub-graphs are looked into.

    ONNX forbids that a sub-graph hides a name of its surroundings, so one table of names serves all.

    Attributes:
        model: As it was read, without weights that lie in other files.
        graph: Its graph, with the bodies of local functions in place of their calls.
        types: Element type of each value, such as `FLOAT`; a value that is no tensor has its kind. Values
            whose type cannot be found are missing.
        path: The file, if the model was read from one.
    """

    model: ModelProto
    graph: GraphProto
    types: Mapping[str, str]
    path: Path | None = None

    @cached_property
    def opset(self) -> int | None:
        """Version of the standard operators; None if the file names none."""
        versions = [each.version for each in self.model.opset_import if each.domain in STANDARD_DOMAINS]
        return max(versions, default=None)

    @cached_property
    def inputs(self) -> tuple[ValueInfoProto, ...]:
        """What a caller must give: inputs of the graph without a value of their own."""
        given = {tensor.name for tensor in self.graph.initializer}
        return tuple(each for each in self.graph.input if each.name not in given)

    @cached_property
    def outputs(self) -> tuple[ValueInfoProto, ...]:
        """What the graph answers."""
        return tuple(self.graph.output)

    @cached_property
    def nodes(self) -> tuple[NodeProto, ...]:
        """All nodes, each in front of those of its sub-graphs."""
        return tuple(node for graph in _walk(self.graph) for node in graph.node)

    @cached_property
    def initializers(self) -> tuple[TensorProto, ...]:
        """Constants of the graph and of its sub-graphs."""
        return tuple(tensor for graph in _walk(self.graph) for tensor in graph.initializer)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Values that a parser knows when it builds: initializers and what Constant nodes make."""
        made = {name for node in self.nodes if node.op_type == "Constant" for name in node.output}
        return frozenset(made | {tensor.name for tensor in self.initializers})

    @cached_property
    def producers(self) -> Mapping[str, NodeProto]:
        """The node that makes a value."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def readers(self) -> Mapping[str, tuple[NodeProto, ...]]:
        """The nodes that read a value."""
        found: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def type_of_input(self, node: NodeProto, index: int = 0) -> str:
        """Element type of an input of `node`; `unknown` where it cannot be found."""
        return self.types.get(node.input[index], "unknown") if index < len(node.input) else "unknown"


def read_graph(source: ModelProto | str | os.PathLike[str]) -> GraphView:
    """Lay out a model, or the file of one. Weights in files beside it are not read.

    Raises:
        GateError: The file holds no ONNX model.
        OSError: The file cannot be read.
        ImportError: onnx is not installed.
    """
    onnx = require_onnx()
    if isinstance(source, (str, os.PathLike)):
        path: Path | None = Path(source)
        model = _load(onnx, source)
    else:
        path, model = None, source
    flat = onnx.inliner.inline_local_functions(model) if model.functions else model
    inferred = dict(_types_of(onnx, _infer_types(onnx, flat).graph))
    return GraphView(model, flat.graph, {**inferred, **dict(_types_of(onnx, flat.graph))}, path)


def require_onnx() -> Any:
    """The package onnx, with the parts that the gate uses.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.inliner
        import onnx.shape_inference
    except ImportError as error:
        raise ImportError("checking an exported graph needs onnx: pip install 'approxbit[export]'") from error
    return onnx


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name, texts as `str`."""
    get_value = require_onnx().helper.get_attribute_value
    values = {each.name: get_value(each) for each in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def size_in_bytes(tensor: TensorProto) -> int:
    """Bytes of a tensor's values, wherever they lie."""
    count = 1
    for size in tensor.dims:
        count *= size
    return count * int(require_onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def is_external(tensor: TensorProto) -> bool:
    """Whether a tensor's values lie in another file."""
    return bool(tensor.data_location == tensor.EXTERNAL)


def find_malformation(view: GraphView) -> str | None:
    """What ONNX's own checker finds wrong, shapes and types included; None if nothing."""
    onnx = require_onnx()
    try:
        onnx.checker.check_model(str(view.path) if view.path else view.model, full_check=True)
    except _complaints(onnx) as error:
        return str(error).strip()
    return None


def _load(onnx: Any, path: str | os.PathLike[str]) -> ModelProto:
    try:
        model: ModelProto = onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's own error, which onnx does not name
        raise GateError(f"{path} must be an ONNX model, found something else: {error}") from error
    return model


def _complaints(onnx: Any) -> tuple[type[Exception], ...]:
    """What onnx raises for a malformed model: its own errors, and those of C++ where it did not expect it."""
    return onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError


def _walk(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _walk(inner)


def _infer_types(onnx: Any, model: ModelProto) -> ModelProto:
    """The model with the types of all values, without its weights."""
    try:
        inferred: ModelProto = onnx.shape_inference.infer_shapes(_without_weights(onnx, model))
    except _complaints(onnx):  # `find_malformation` meets it again, and reports it
        return model
    return inferred


def _without_weights(onnx: Any, model: ModelProto) -> ModelProto:
    """A copy in which large constants are inputs of their type: inference then copies a small file."""
    light: ModelProto = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    light.graph.value_info.extend(model.graph.value_info)
    declared = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name in declared:
            continue
        if is_external(tensor) or size_in_bytes(tensor) > _LARGEST_FOR_INFERENCE_BYTES:
            make = onnx.helper.make_tensor_value_info
            light.graph.input.append(make(tensor.name, tensor.data_type, tensor.dims))
        else:
            light.graph.initializer.append(tensor)
    return light


def _types_of(onnx: Any, graph: GraphProto) -> Iterator[tuple[str, str]]:
    name_of = onnx.TensorProto.DataType.Name
    for each in _walk(graph):
        for value in (*each.input, *each.output, *each.value_info):
            kind = _kind_of(name_of, value.type)
            if kind is not None:
                yield value.name, kind
        for tensor in each.initializer:
            yield tensor.name, name_of(tensor.data_type)


def _kind_of(name_of: Any, value_type: TypeProto) -> str | None:
    kind = value_type.WhichOneof("value")
    if kind != "tensor_type":
        return None if kind is None else kind.split("_")[0].upper()
    element = value_type.tensor_type.elem_type
    return str(name_of(element)) if element else None
