"""What a rule of the gate is: a function from one export to what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from approxbit.exporting.gate.graph import GraphView
from approxbit.exporting.gate.operators import OperatorTable
from approxbit.exporting.gate.target import Target

if TYPE_CHECKING:
    from onnx import NodeProto

Role = Literal["edge", "server", "whole"]
"""The halves, and the unsplit model of a device that answers alone."""


@dataclass(frozen=True)
class Export:
    """One graph and what it was exported for."""

    view: GraphView
    target: Target
    role: Role

    @property
    def table(self) -> OperatorTable:
        """The operators that the target takes."""
        return self.target.table


class Finding(NamedTuple):
    """What is wrong, what to do, and where; `node` is None where the whole file is meant."""

    problem: str
    remedy: str
    node: NodeProto | None = None


Rule = Callable[[Export], Iterator[Finding]]
