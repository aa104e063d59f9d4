"""The bits of one batch of features, and their bit planes as the wire wants them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from approxbit.codec.picture import draw_bits
from approxbit.drawing import Drawing, page


class Code(NamedTuple):
    """The bits of a batch of features: those of the grid, and beside them those of the class tokens.

    The values are 0 and 1: float in training, so that gradients pass, and uint8 everywhere else.
    """

    grid: Shaped[Tensor, "batch bit time height width"]
    tokens: Shaped[Tensor, "batch token bit"]

    def to_planes(self) -> UInt8[Tensor, "batch bit position"]:
        """One row of bits for each bit of the codebook; the inverse of `from_planes`.

        Positions are those of the grid in (time, height, width) order, then the class tokens.

        Example:
            >>> grid = torch.tensor([1, 0]).reshape(1, 1, 1, 1, 2)
            >>> Code(grid, torch.ones(1, 1, 1)).to_planes()
            tensor([[[1, 0, 1]]], dtype=torch.uint8)
        """
        planes = (self.grid.flatten(2), self.tokens.transpose(1, 2))
        return torch.cat([plane.to(torch.uint8) for plane in planes], dim=2)

    def draw(self) -> Drawing:
        """The bits of the first clip, a row for each bit and a column for each time step; ones are dark."""
        return draw_bits(
            self.to_planes()[0, :, : math.prod(self.grid.shape[2:])].tolist(), self.grid.shape[2:]
        )

    def __repr__(self) -> str:
        num_clips, num_bits, *size = self.grid.shape
        tokens = f" and for {self.tokens.shape[1]} class tokens" if self.tokens.shape[1] else ""
        return f"<Code of {num_clips} clip(s): {num_bits} bits at {tuple(size)} positions{tokens}>"

    def _repr_html_(self) -> str:
        return page(repr(self)[1:-1], self.draw().svg())

    @classmethod
    def from_planes(
        cls, planes: Shaped[Tensor, "batch bit position"], grid_size: tuple[int, int, int]
    ) -> Code:
        """The code whose bit planes are given; positions beyond the grid are class tokens.

        Args:
            planes: What `to_planes` returned.
            grid_size: Time, height and width of the code's grid (not of the feature's).

        Raises:
            ValueError: There are fewer positions than the grid has.
        """
        num_grid = math.prod(grid_size)
        num_positions = planes.shape[2]
        if num_positions < num_grid:
            raise ValueError(
                f"a grid of {grid_size} needs at least {num_grid} positions, found {num_positions}"
            )
        grid, tokens = planes.split([num_grid, num_positions - num_grid], dim=2)
        return cls(grid.unflatten(2, grid_size), tokens.transpose(1, 2))
