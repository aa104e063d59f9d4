"""A device that is slower than this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.emulated import SlowedGraph
from approxbit.engines.graph import Graph
from approxbit.engines.runner import ClipFormat, EdgeRunner
from approxbit.wire import CodeFormat

CODE_FORMAT, CLIP_FORMAT = CodeFormat(Configuration.parse("8-Enc-B3"), (2, 2, 2)), ClipFormat(2, 4)


class Sleeping(Graph):
    backend, input_shape, max_batch = "sleep", (3, 2, 4, 4), 1
    is_open = True

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        return {"packed": np.full((1, 1), 7, np.uint8)}

    def close(self) -> None:
        self.is_open = False


def test_a_slowed_runner_gives_the_same_code_later() -> None:
    graph = Sleeping()
    runner = EdgeRunner(CODE_FORMAT, CLIP_FORMAT, graph)
    slow = runner.slowed(4)
    start = time.perf_counter()
    result = slow.run(np.zeros((3, 2, 4, 4), np.float32))
    elapsed_ms = 1000 * (time.perf_counter() - start)
    assert result.payload == b"\x07"
    assert 80 <= result.edge_ms <= elapsed_ms  # its times are those of the clock on the wall
    assert (slow.code_format, slow.clip_format, slow.backend) == (CODE_FORMAT, CLIP_FORMAT, "sleep")
    assert runner.graphs == (graph,)
    slow.close()
    assert not graph.is_open


@pytest.mark.parametrize("slowdown", [0.5, float("nan")])
def test_a_slowed_graph_is_never_faster_than_this_machine(slowdown: float) -> None:
    with pytest.raises(ValueError, match="slowdown must be at least 1"):
        SlowedGraph(Sleeping(), slowdown)
