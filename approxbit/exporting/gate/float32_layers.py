"""Which nodes lose their meaning in FP16: the parts of a normalisation that was written out, and softmax.

A weakly typed builder may give any layer FP16. The squares in a variance then overflow (a difference of 256
is enough), and the sums of a softmax lose their tail; these nodes must be pinned to FP32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from approxbit.exporting.gate.graph import GraphView, read_graph

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SOFTMAX = ("Softmax", "LogSoftmax")


def find_float32_layers(model: ModelProto | str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the nodes that must stay in FP32 under weak typing, in the order of the file.

    Args:
        model: An ONNX model, or the path of one.

    Raises:
        GateError: The file holds no ONNX model.
        OSError: The file cannot be read.
        ImportError: onnx is not installed.
    """
    return tuple(node.name for node in float32_nodes(read_graph(model)))


def float32_nodes(view: GraphView) -> tuple[NodeProto, ...]:
    """The same nodes: every softmax, and the parts of every normalisation that is written out.

    ```
    x -> ReduceMean -> Sub(x, .) -> Pow | Mul -> ReduceMean -> Add(eps) -> Sqrt -> Div (or Reciprocal, Mul)
    ```

    Without the first two, that is the root mean square norm. A native LayerNormalization computes in FP32
    by itself.
    """
    found = {id(node) for node in view.nodes if node.op_type in SOFTMAX}
    for root in view.nodes:
        if root.op_type == "Sqrt":
            found |= {id(node) for node in _normalisation(view, root)}
    return tuple(node for node in view.nodes if id(node) in found)


def _normalisation(view: GraphView, root: NodeProto) -> Iterator[NodeProto]:
    """All nodes of the normalisation that divides by `root`, a Sqrt; none if it is another root."""
    add = _made_by(view, root, "Add")
    variance = _made_by(view, add or root, "ReduceMean")
    square = _made_by(view, variance, "Pow", "Mul")
    if square is None:
        return
    yield from (node for node in (root, add, variance, square) if node is not None)
    difference = _made_by(view, square, "Sub")
    if difference is not None:
        yield difference
        mean = _made_by(view, difference, "ReduceMean")
        if mean is not None:
            yield mean
    yield from _division_by(view, root)


def _division_by(view: GraphView, root: NodeProto) -> Iterator[NodeProto]:
    for reader in view.readers.get(root.output[0], ()):
        if reader.op_type in ("Div", "Reciprocal"):
            yield reader
        if reader.op_type == "Reciprocal":
            yield from (each for each in view.readers.get(reader.output[0], ()) if each.op_type == "Mul")


def _made_by(view: GraphView, node: NodeProto | None, *operators: str) -> NodeProto | None:
    """The node of one of these operators that makes an input of `node`."""
    makers = (view.producers.get(name) for name in (() if node is None else node.input))
    return next((maker for maker in makers if maker is not None and maker.op_type in operators), None)
