"""How long each layer of an engine takes."""

from __future__ import annotations

from typing import Any, Callable

from approxbit.engines.tensorrt.graph import TensorRTGraph


def layer_times(graph: TensorRTGraph, run: Callable[[], object], num_runs: int) -> dict[str, float]:
    """Mean milliseconds of each layer, the slowest first.

    TensorRT waits after every layer to measure it, which makes the whole slower: never take the time of an
    inference from such a run.

    Args:
        graph: What is measured.
        run: One inference of the graph.
        num_runs: How often to run it, at least 1.
    """
    total: dict[str, float] = {}
    trt: Any = graph.trt  # the bindings are not typed

    class Profiler(trt.IProfiler):
        """TensorRT calls it after every layer of every run."""

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            total[layer_name] = total.get(layer_name, 0.0) + ms

    graph.profile_layers(Profiler())
    for _ in range(num_runs):
        run()
    return {name: ms / num_runs for name, ms in sorted(total.items(), key=lambda item: -item[1])}
