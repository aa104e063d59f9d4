"""One model as two graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.fx import Graph, Node

from approxbit.backbones.splitting.clean import (
    NotCleanError,
    find_later,
    find_value,
    nearest_clean,
    needed_later,
    sources_of,
)
from approxbit.backbones.splitting.inference import Arrangement, find_arrangement
from approxbit.backbones.splitting.layout import FEATURE_AXES, Layout, grid_size
from approxbit.backbones.splitting.sizes import Expression, Items, Literal, Sizes
from approxbit.backbones.splitting.trace import Trace


@dataclass(frozen=True)
class Cut:
    """How a model is cut at one place.

    Attributes:
        value: The node whose tensor crosses.
        arrangement: How that tensor is arranged.
        edge_nodes: What the edge runs of the model's graph.
        server_nodes: What the server runs of it after the value.
        plan: How the server comes by other nodes that those need (see `Sizes`).
    """

    value: Node
    arrangement: Arrangement
    edge_nodes: set[Node]
    server_nodes: set[Node]
    plan: dict[Node, Expression | None]

    @property
    def layout(self) -> Layout:
        """How the tensor that crosses is arranged."""
        return self.arrangement.layout

    def edge_graph(self, trace: Trace) -> Graph:
        """From the clip to the tensor that crosses, and the size of its grid where the layout needs one."""
        graph, copies = Graph(), dict[Node, Any]()
        _copy_into(graph, trace, self.edge_nodes | {trace.clip}, copies)
        size, source = None, self.arrangement.size_source
        if source is not None:
            size = graph.call_function(grid_size, (copies[source],))
            size.meta["is_wrapped"] = True
        graph.output((copies[self.value], size))
        return graph

    def server_graph(self, trace: Trace) -> Graph:
        """From the tensor, and the batch, channel, time, height and width of the feature, to the answer."""
        graph = Graph()
        tensor = graph.placeholder("value")
        sizes = {axis: graph.placeholder(f"size_{axis.lower()}") for axis in FEATURE_AXES}
        if any(trace.info[node].changes & trace.info[self.value].storages for node in self.server_nodes):
            tensor = graph.call_method("clone", (tensor,))  # the caller keeps its feature as it was
        copies: dict[Node, Any] = {self.value: tensor}
        for node, expression in self.plan.items():
            if expression is not None:
                copies[node] = _emit(graph, expression, tensor, sizes)
        again = {node for node, expression in self.plan.items() if expression is None}
        _copy_into(graph, trace, self.server_nodes | again, copies)
        (answer,) = next(reversed(trace.graph.nodes)).args
        graph.output(copies[answer])
        return graph


def cut_at(trace: Trace, name: str, layout: Layout | None = None) -> Cut:
    """Cut a model after a module.

    Args:
        trace: The model.
        name: The module, such as `layer3.1`.
        layout: How the tensor there is arranged, where that cannot be inferred.

    Raises:
        ValueError: There is no such module, or its output is not arranged as `layout` says.
        NotCleanError: A cut there is not clean.
        UnknownLayoutError: The layout cannot be inferred and was not given.
    """
    value = find_value(trace, name)
    try:
        return cut_after(trace, value, layout)
    except NotCleanError as error:
        near = " and ".join(repr(other) for other in nearest_clean(trace, value))
        advice = f"; the nearest clean cuts are {near}" if near else ""
        raise NotCleanError(f"the cut at {name!r} is not clean: {error}{advice}") from None
    except ValueError as error:
        raise type(error)(f"at {name!r}: {error}") from None


def cut_after(trace: Trace, value: Node, layout: Layout | None = None) -> Cut:
    """Cut a model after a node; see `cut_at`."""
    running, crossing = needed_later(trace, value)
    fact = trace.tensor(value)
    assert fact is not None
    if layout is None:
        arrangement = find_arrangement(trace, value)
    else:
        layout.check(fact.shape)
        arrangement = Arrangement(layout)
    plan = Sizes(trace, value, arrangement).plan(crossing)
    edge_nodes = _edge_nodes(trace, value, arrangement.size_source)
    return Cut(value, arrangement, edge_nodes, running, plan)


def _edge_nodes(trace: Trace, value: Node, size_source: Node | None) -> set[Node]:
    later = find_later(value)
    ends = [value, *(node for node in trace.decisions if node not in later)]
    return sources_of(ends if size_source is None else [*ends, size_source])


def _copy_into(graph: Graph, trace: Trace, nodes: set[Node], copies: dict[Node, Any]) -> None:
    for node in sorted(nodes, key=trace.order.__getitem__):
        copies[node] = graph.node_copy(node, copies.__getitem__)


def _emit(graph: Graph, expression: Expression, tensor: Node, sizes: dict[str, Node]) -> Any:
    """The expression as an argument for nodes of `graph`."""
    if isinstance(expression, Literal):
        return expression.value
    if isinstance(expression, Items):
        items = [_emit(graph, item, tensor, sizes) for item in expression.items]
        if expression.kind in (tuple, list):
            return expression.kind(items)
        return graph.call_function(expression.kind, (tuple(items),))
    if isinstance(expression.what, int):
        return graph.call_method("size", (tensor, expression.what))
    if expression.what in sizes:
        return sizes[expression.what]
    return graph.call_function(getattr, (tensor, expression.what))
