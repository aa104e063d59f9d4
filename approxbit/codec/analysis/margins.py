"""How far logits stay from the threshold: what lies close may fall on the other side on another device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from approxbit.backbones.feature import Feature


class Margins:
    """Counts of |logit|, while logits stream by.

    Args:
        distances: Distances from the threshold for `shares_within`.
        edges: Increasing edges of the bins of `histogram`; below the first and above the last of them lie
            two more bins.

    Example:
        >>> margins = Margins(distances=(0.1,), edges=(1.0,))
        >>> logits = torch.tensor([0.05, -3.0]).reshape(1, 1, 1, 1, 2)
        >>> margins.update(Feature(logits, torch.zeros(1, 0, 1)))
        >>> margins.shares_within, margins.histogram
        (tensor([[0.5000]], dtype=torch.float64), tensor([1, 1]))
    """

    def __init__(self, distances: Sequence[float], edges: Sequence[float]) -> None:
        self.distances = tuple(distances)
        self._edges = torch.tensor(edges)
        self._histogram = torch.zeros(len(edges) + 1, dtype=torch.int64)
        self._within: Tensor | int = 0
        self._count = 0

    def update(self, logits: Feature) -> None:
        """Take in the logits of a batch: those of the grid and of the class tokens."""
        parts = (logits.grid.flatten(2), logits.tokens.transpose(1, 2))
        margin = torch.cat(parts, dim=2).transpose(0, 1).flatten(1).abs()
        bins = torch.bucketize(margin.flatten(), self._edges)
        self._histogram += torch.bincount(bins, minlength=len(self._histogram))
        self._within = self._within + torch.stack(
            [(margin < distance).sum(dim=1) for distance in self.distances]
        )
        self._count += margin.shape[1]

    @property
    def shares_within(self) -> Float[Tensor, "distance bit"]:
        """Share of each bit's logits that lie closer to the threshold than each of the distances."""
        return torch.as_tensor(self._within).double() / self._count

    @property
    def histogram(self) -> Int64[Tensor, " bin"]:
        """How many logits, of all bits together, lie between the edges."""
        return self._histogram
