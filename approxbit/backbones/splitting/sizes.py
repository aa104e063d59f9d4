"""Sizes that the model took from the clip and needs after the cut: the server reads them off the feature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from approxbit.backbones.splitting.clean import NotCleanError, describe_node
from approxbit.backbones.splitting.inference import Arrangement
from approxbit.backbones.splitting.layout import FEATURE_AXES, grid_size
from approxbit.backbones.splitting.sandbox import PLAIN_TYPES, TensorFact
from approxbit.backbones.splitting.trace import Trace

PREFERRED_AXES = "BTHWC"
"""In this order the feature's axes are asked whether they explain a number."""


@dataclass(frozen=True)
class Literal:
    """The same for every clip."""

    value: Any


@dataclass(frozen=True)
class Reading:
    """Read off the feature: an axis of its grid (`B`, `T`, ...), of its tensor (0, 1, ...) or a property."""

    what: str | int


@dataclass(frozen=True)
class Items:
    """Several of them, as a tuple, list or `torch.Size`."""

    kind: type
    items: tuple[Any, ...]


Expression = Literal | Reading | Items
Run = dict[Node, object]
Readings = dict[str | int, object]


class Sizes:
    """What the server can know of sizes at a cut.

    A number is an axis of the feature if it is equal to it for the example and for clips with another batch,
    length, height and width, as far as the model takes those.

    Args:
        trace: The model.
        value: The node that crosses.
        arrangement: How its tensor is arranged.
    """

    def __init__(self, trace: Trace, value: Node, arrangement: Arrangement) -> None:
        self._trace = trace
        self._value = value
        self._arrangement = arrangement

    def plan(self, crossing: Iterable[Node]) -> dict[Node, Expression | None]:
        """How the server comes by nodes that depend on no pixels.

        Returns:
            An expression for those that are read off the feature, None for those that are computed again;
            what they are computed from is in the plan too.

        Raises:
            NotCleanError: A size cannot be had on the server.
        """
        plan: dict[Node, Expression | None] = {}
        front = list(crossing)
        while front:
            node = front.pop()
            if node in plan:
                continue
            plan[node] = self._explain(node) if self._trace.info[node].from_clip else None
            if plan[node] is None:
                self._check_sources(node)
                front.extend(node.all_input_nodes)
        return plan

    def _check_sources(self, node: Node) -> None:
        if any(self._trace.info[source].from_pixels for source in node.all_input_nodes):
            raise NotCleanError(
                f"{describe_node(self._trace, node)} is a size of the clip that the model needs after the "
                "cut, and it cannot be read off the feature"
            )

    def _explain(self, node: Node) -> Expression | None:
        return explain([facts[node] for facts, _ in self._runs], [readings for _, readings in self._runs])

    @cached_property
    def _runs(self) -> list[tuple[Run, Readings]]:
        runs = []
        for clip_shape in self._clip_shapes():
            facts = self._trace.facts(clip_shape)
            readings = self._readings(facts, clip_shape[0]) if facts is not None else None
            if facts is not None and readings is not None:
                runs.append((facts, readings))
        return runs

    def _clip_shapes(self) -> Iterator[tuple[int, ...]]:
        shape = self._trace.clip_shape
        yield shape
        yield shape[0] + 1, *shape[1:]
        for axis in range(2, len(shape)):
            for length in (2 * shape[axis], shape[axis] + 1):
                yield *shape[:axis], length, *shape[axis + 1 :]

    def _readings(self, facts: Run, batch: int) -> Readings | None:
        """What can be read off the feature; None where a layout that was given for one size does not fit."""
        layout, source = self._arrangement
        value = _empty(facts[self._value])
        size = grid_size(_empty(facts[source])) if source is not None else None
        if not layout.fits(tuple(value.shape), size):
            return None
        grid = dict(zip(FEATURE_AXES, layout.to_feature(value, batch, size).grid.shape, strict=True))
        axes: Readings = {axis: grid[axis] for axis in PREFERRED_AXES}
        fact = facts[self._value]
        assert isinstance(fact, TensorFact)
        return {**axes, **dict(enumerate(fact.shape)), "dtype": fact.dtype, "device": fact.device}


def _empty(fact: object) -> Tensor:
    assert isinstance(fact, TensorFact)
    return torch.empty(fact.shape, device="meta")


def explain(values: list[Any], readings: list[Readings]) -> Expression | None:
    """An expression for what a value is in several runs; None if there is none.

    Example:
        >>> explain([8, 16], [{"B": 1, "T": 8}, {"B": 1, "T": 16}])
        Reading(what='T')
        >>> explain([(3, 8), (3, 16)], [{"T": 8}, {"T": 16}])
        Items(kind=<class 'tuple'>, items=(Literal(value=3), Reading(what='T')))
    """
    first = values[0]
    if isinstance(first, (tuple, list)):
        if any(len(value) != len(first) for value in values):
            return None
        items = [explain(list(column), readings) for column in zip(*values, strict=True)]
        return None if None in items else Items(type(first), tuple(items))
    if not isinstance(first, PLAIN_TYPES):
        return None
    if not isinstance(first, (bool, float, str, type(None))):
        for what in readings[0]:
            if all(run[what] == value for run, value in zip(readings, values, strict=True)):
                return Reading(what)
    return Literal(first) if all(value == first for value in values) else None
