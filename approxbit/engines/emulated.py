"""A device that this machine is not: the same arithmetic, slower."""

from __future__ import annotations

import time
from typing import Any, Mapping

from approxbit.engines.graph import Graph


class SlowedGraph(Graph):
    """A graph that takes `slowdown` times as long as on this machine: an emulation, not a measurement.

    It computes, then sleeps for `slowdown - 1` times what the computation took: the answers are the real
    ones, the ratio between configurations is this machine's own, and no part gets slower than another.

    Args:
        graph: What computes.
        slowdown: How many times slower than this machine, at least 1.

    Raises:
        ValueError: `slowdown` is below 1.
    """

    def __init__(self, graph: Graph, slowdown: float):
        if not slowdown >= 1:
            raise ValueError(f"slowdown must be at least 1 (1 is this machine as it is), found {slowdown!r}")
        self.graph, self.slowdown = graph, slowdown
        self.backend, self.input_shape, self.max_batch = graph.backend, graph.input_shape, graph.max_batch

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the graph gives, later."""
        start = time.perf_counter()
        outputs = self.graph.run(inputs)
        time.sleep((self.slowdown - 1) * (time.perf_counter() - start))
        return outputs

    def close(self) -> None:
        """Give the graph's memory back."""
        self.graph.close()
