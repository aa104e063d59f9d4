"""From bits back to channels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature
from approxbit.codec.code import Code

UNKNOWN_BIT = 0.5
"""What a bit that did not arrive counts as: halfway, so that it moves M z to neither side."""


def forget_last_bits(code: Code, num_kept: Int[Tensor, " batch"]) -> Code:
    """Of every code its first bits, as many as `num_kept` says; the others become `UNKNOWN_BIT`.

    A codebook gives for it, up to rounding, what `Codebook.first_bits` gives for the first bits alone.
    """
    is_lost = torch.arange(code.grid.shape[1], device=code.grid.device) >= num_kept[:, None]
    grid = code.grid.float().masked_fill(is_lost[:, :, None, None, None], UNKNOWN_BIT)
    return Code(grid, code.tokens.float().masked_fill(is_lost[:, None, :], UNKNOWN_BIT))


class Codebook(nn.Module):
    """The learned matrix M `[channel, bit]`: y = M z at every position (section 3.4, APPROXBIT).

    Ours adds an offset per channel. It starts at -M/2 summed over the bits, so that y starts centred:
    fair bits have a mean of one half, and a decoder that begins far from zero loses its first steps.
    Class tokens have a matrix and an offset of their own.

    Args:
        channels: Channels of the feature, D.
        codebook_size: Bits per position, K.
        num_tokens: Class tokens of one clip; with 0 they have no matrix.
    """

    def __init__(self, channels: int, codebook_size: int, num_tokens: int = 0):
        super().__init__()
        self.matrix, self.offset = _fair_start(channels, codebook_size)
        if num_tokens:
            self.token_matrix, self.token_offset = _fair_start(channels, codebook_size)
        self.has_tokens = num_tokens > 0

    def forward(self, code: Code) -> Feature:
        """The feature M z + offset, in the dtype of M."""
        matrix = self.matrix
        grid = F.conv3d(code.grid.to(matrix.dtype), matrix[:, :, None, None, None], self.offset)
        tokens = code.tokens.to(matrix.dtype)
        if not self.has_tokens:
            return Feature(grid, tokens[:, :, :1].expand(-1, -1, matrix.shape[0]))
        return Feature(grid, F.linear(tokens, self.token_matrix, self.token_offset))

    def first_bits(self, codebook_size: int) -> Codebook:
        """The codebook of the first bits alone: the others count as `UNKNOWN_BIT`, which joins the offset."""
        first = Codebook(self.matrix.shape[0], codebook_size, int(self.has_tokens))
        first.load_state_dict(
            {
                name: tensor
                for prefix in ("", "token_")[: 1 + self.has_tokens]
                for name, tensor in self._first_columns(prefix, codebook_size).items()
            }
        )
        return first

    def _first_columns(self, prefix: str, count: int) -> dict[str, Tensor]:
        matrix, offset = getattr(self, prefix + "matrix"), getattr(self, prefix + "offset")
        missing = UNKNOWN_BIT * matrix[:, count:].sum(dim=1)
        return {prefix + "matrix": matrix[:, :count], prefix + "offset": offset + missing}


def _fair_start(
    channels: int, codebook_size: int
) -> tuple[Float[nn.Parameter, "channel bit"], Float[nn.Parameter, " channel"]]:
    """A matrix and an offset for which fair, independent bits give channels of mean 0 and variance 1."""
    matrix: Tensor = torch.randn(channels, codebook_size)
    if matrix.is_meta:  # arithmetic there makes torch import for seconds, for nothing
        return nn.Parameter(matrix), nn.Parameter(torch.empty(channels))
    matrix = matrix * (2 / codebook_size**0.5)
    return nn.Parameter(matrix), nn.Parameter(-matrix.sum(dim=1) / 2)
