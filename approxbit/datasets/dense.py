"""Targets of clips about which there is more to learn than one label."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from approxbit.tasks import Target


class DenseTargets(NamedTuple):
    """Targets of the patches of a batch of clips, in order of time, row and column.

    Attributes:
        classes: By name, an index for each patch `[batch, patch]`; -1 where there is nothing to know.
        values: By name, numbers for each patch `[batch, patch, number]`; not a number where there is nothing.
    """

    classes: dict[str, Int64[Tensor, "batch patch"]]
    values: dict[str, Float[Tensor, "batch patch number"]]

    def of_patches(self, chosen: slice) -> DenseTargets:
        """The targets of some patches."""
        return DenseTargets(
            {name: each[:, chosen] for name, each in self.classes.items()},
            {name: each[:, chosen] for name, each in self.values.items()},
        )


class QuestionTargets(NamedTuple):
    """What a model that answers questions learns from a batch of clips.

    Attributes:
        asked: Questions about each clip, each with its answer.
        dense: What its patches show, None where nobody knows.
        numbers: Which clips of their split these are, where it holds the same ones each time.
    """

    asked: list[list[tuple[str, Target]]]
    dense: DenseTargets | None = None
    numbers: list[int] | None = None
