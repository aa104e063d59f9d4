"""The float tensors at an offload point."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class FeatureShape(NamedTuple):
    """Shape of one clip's feature, without the batch axis."""

    channels: int
    time: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int, int]:
        """Time, height and width."""
        return self.time, self.height, self.width


class Feature(NamedTuple):
    """What crosses the cut of a backbone: the grid, and beside it the class tokens.

    Every backbone uses the same two tensors, so nothing downstream asks what model it serves:
    a model without class tokens has a `tokens` of zero rows, MViTv2 has one row, and a frame-wise
    vision tower one for each frame.
    """

    grid: Float[Tensor, "batch channel time height width"]
    tokens: Float[Tensor, "batch token channel"]
