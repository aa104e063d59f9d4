"""A float32 graph -> a mixed graph for strongly typed builders: products in FLOAT16, sums in FLOAT.

    product    Conv, ConvTranspose, Gemm, MatMul                        reads and gives FLOAT16
    island     normalisations, softmax, reductions, means, floor, > 0   reads and gives FLOAT
    the rest   FLOAT16 as soon as one of its inputs is FLOAT16, unless that is a constant

What an island gives is cast for readers that are none, so that chains of islands hold no casts and nothing
large is moved in FLOAT. Bits and bytes, which come out of Casts, stay FLOAT up to the first product.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from approxbit.errors import ExportError
from approxbit.exporting.gate.float32_layers import float32_nodes
from approxbit.exporting.gate.graph import read_graph

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
ISLANDS = frozenset(
    (
        "AveragePool",
        "BatchNormalization",
        "Floor",
        "GlobalAveragePool",
        "Greater",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LogSoftmax",
        "Pow",
        "Reciprocal",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Softmax",
        "Sqrt",
    )
)
_FLOAT_ONLY_INPUTS = {"Resize": (1, 2)}  # regions and scales, whatever the type of the picture
_LARGEST_HALF = float(np.finfo(np.float16).max)


def to_mixed_precision(model: Any) -> Any:
    """The mixed graph of a float32 graph with the same inputs and outputs.

    Args:
        model: An `onnx.ModelProto` without sub-graphs; it is left as it was.

    Raises:
        ExportError: A constant of a product does not fit into FLOAT16.
    """
    return _Mixer(model).mix()


class _Mixer:
    """Goes through the nodes in order and writes them anew, with casts where types meet."""

    def __init__(self, model: Any) -> None:
        import onnx
        import onnx.inliner

        self.onnx: Any = onnx
        self.half, self.full = int(onnx.TensorProto.FLOAT16), int(onnx.TensorProto.FLOAT)
        self.model = onnx.ModelProto()
        self.model.CopyFrom(onnx.inliner.inline_local_functions(model) if model.functions else model)
        graph = self.model.graph
        view = read_graph(self.model)
        self.islands = {node.output[0] for node in float32_nodes(view)}
        floats = {name for name, kind in view.types.items() if kind == "FLOAT"}
        self.constants = {tensor.name: tensor for tensor in graph.initializer if tensor.name in floats}
        # The type in which each float value exists, and the type in which a reader of no own mind takes it.
        self.given = dict.fromkeys(floats, self.full)
        self.preferred = {value.name: self.half for value in graph.input if value.name in floats}
        self.copies: dict[tuple[str, int], str] = {}
        self.nodes: list[Any] = []
        self.new_constants: list[Any] = []

    def mix(self) -> Any:
        graph = self.model.graph
        self._take_constant_nodes()
        outputs = {value.name for value in graph.output}
        for node in graph.node:
            self._write(node, outputs)
        del graph.node[:]
        graph.node.extend(self.nodes)
        self._keep_constants_that_are_read()
        del graph.value_info[:]  # they hold the old types
        return self.model

    def _take_constant_nodes(self) -> None:
        """Make initializers of float Constant nodes, so that there is one kind of constant."""
        graph = self.model.graph
        for node in [node for node in graph.node if node.op_type == "Constant"]:
            values = {each.name: each for each in node.attribute}
            if node.output[0] in self.given and "value" in values:
                tensor = self.onnx.TensorProto()
                tensor.CopyFrom(values["value"].t)
                tensor.name = node.output[0]
                graph.initializer.append(tensor)
                self.constants[tensor.name] = tensor
                graph.node.remove(node)

    def _write(self, node: Any, outputs: Iterable[str]) -> None:
        floats_in = [name for name in node.input if name in self.given]
        floats_out = [name for name in node.output if name in self.given]
        if node.op_type == "Cast" or not floats_in:
            self.nodes.append(node)
            return
        wanted = self._type_of(node, floats_in)
        is_island = self._is_island(node)
        for index, name in enumerate(node.input):
            if name in self.given:
                fixed = index in _FLOAT_ONLY_INPUTS.get(node.op_type, ())
                node.input[index] = self._as(name, self.full if fixed else wanted)
        self.nodes.append(node)
        for name in floats_out:
            self.given[name] = wanted
            if is_island:
                self.preferred[name] = self.half
            if name in outputs and wanted == self.half:
                self._give_in_full(node, name)

    def _is_island(self, node: Any) -> bool:
        return node.op_type in ISLANDS or node.output[0] in self.islands

    def _type_of(self, node: Any, floats_in: Iterable[str]) -> int:
        if self._is_island(node):
            return self.full
        if node.op_type in PRODUCTS:
            return self.half
        values = [name for name in floats_in if name not in self.constants]
        types = {self.preferred.get(name, self.given[name]) for name in values}
        return self.half if self.half in types else self.full

    def _as(self, name: str, wanted: int) -> str:
        """The name of a value in the wanted type; makes it where there is none yet."""
        if self.given[name] == wanted:
            return name
        key = name, wanted
        if key not in self.copies:
            self.copies[key] = f"{name}_as_{'half' if wanted == self.half else 'float'}"
            if name in self.constants:
                self.new_constants.append(self._in_half(self.constants[name], self.copies[key]))
            else:
                self._cast(name, self.copies[key], wanted)
        return self.copies[key]

    def _cast(self, name: str, result: str, wanted: int) -> None:
        node = self.onnx.helper.make_node("Cast", [name], [result], name=f"{result}_cast", to=wanted)
        self.nodes.append(node)

    def _in_half(self, tensor: Any, name: str) -> Any:
        values = self.onnx.numpy_helper.to_array(tensor)
        largest = float(np.abs(values).max(initial=0))
        if not largest <= _LARGEST_HALF:
            raise ExportError(
                f"a constant of a mixed graph must be at most {_LARGEST_HALF:g}, found {largest:g} in "
                f"{tensor.name!r}: export with the precision fp32 or weak-fp16"
            )
        return self.onnx.numpy_helper.from_array(values.astype(np.float16), name)

    def _give_in_full(self, node: Any, name: str) -> None:
        """Let a node that gives FLOAT16 give an inner value, which a cast makes the graph's output of."""
        inner = f"{name}_as_half"
        for index, each in enumerate(node.output):
            if each == name:
                node.output[index] = inner
        self._cast(inner, name, self.full)
        self.given[name] = self.full
        self.copies[name, self.half] = inner

    def _keep_constants_that_are_read(self) -> None:
        graph = self.model.graph
        read = {name for node in graph.node for name in node.input}
        kept = [tensor for tensor in (*graph.initializer, *self.new_constants) if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(kept)
