"""Counting floating-point operations without doing them.

The convention is that of `torch.utils.flop_counter`: two operations for each multiply-add of convolutions,
matrix products and attention; everything else (activations, norms, pools, additions) counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.fx import Node
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from approxbit.backbones.splitting.trace import GraphInterpreter, Trace


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Counts what runs inside, with attention taken apart so that no fused kernel hides its products."""
    had_fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(had_fastpath)


def count_nodes(trace: Trace) -> dict[Node, int]:
    """Operations of every node of a model's graph on the example."""
    with trace.sandbox.entered(), counting() as counter:
        interpreter = _CountingInterpreter(trace, counter)
        interpreter.run(trace.sandbox.clip())
    return dict(zip(trace.graph.nodes, interpreter.counts, strict=True))


class _CountingInterpreter(GraphInterpreter):
    def __init__(self, trace: Trace, counter: FlopCounterMode) -> None:
        super().__init__(trace)
        self.counter = counter
        self.counts: list[int] = []

    def run_node(self, n: Node) -> Any:
        before = self.counter.get_total_flops()
        value = super().run_node(n)
        self.counts.append(self.counter.get_total_flops() - before)
        return value
