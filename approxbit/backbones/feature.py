"""The float tensors at an offload point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class FeatureShape(NamedTuple):
    """Shape of one clip's feature, without the batch axis."""

    channels: int
    time: int
    height: int
    width: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> FeatureShape:
        """The shape of four lengths, such as those of a tensor without its batch axis.

        Raises:
            ValueError: They are not four whole numbers of at least 1.
        """
        if len(lengths) != 4 or not all(isinstance(each, int) and each > 0 for each in lengths):
            raise ValueError(
                "a feature has a shape of four lengths (channels, time, height, width), without the batch, "
                f"found {tuple(lengths)}"
            )
        return cls(*lengths)

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
