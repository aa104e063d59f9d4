"""Entropies of bits, counted while codes stream by."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from approxbit.codec.code import Code

_ABSENT = 2
_NUM_STATES = 3  # 0, 1, or beyond the border
_TIME, _HEIGHT, _WIDTH = 2, 3, 4


class CodeStatistics:
    """How often bits are set, alone, in pairs and next to their neighbours.

    Entropies are in bits and of relative frequencies, without a correction for few samples. A position at
    the border, which has no neighbour there, counts as a context of its own. Codes of one shape stream
    through; what is kept grows with the code, not with the number of clips.

    Example:
        >>> statistics = CodeStatistics()
        >>> bits = torch.tensor([0, 0, 1, 1], dtype=torch.uint8).reshape(1, 1, 4, 1, 1)
        >>> statistics.update(Code(bits, torch.zeros(1, 0, 1, dtype=torch.uint8)))
        >>> statistics.entropy, statistics.given_earlier.round(decimals=3)
        (tensor([1.], dtype=torch.float64), tensor([0.5000], dtype=torch.float64))
    """

    def __init__(self) -> None:
        self.num_clips = 0

    def update(self, code: Code) -> None:
        """Take in the codes of a batch, with values 0 and 1.

        Raises:
            ValueError: They have another shape than those before.
        """
        grid = code.grid.to(torch.uint8)
        shape = (*grid.shape[1:], code.tokens.shape[1])
        if self.num_clips == 0:
            self._start(shape)
        elif shape != self._shape:
            raise ValueError(
                f"expected codes of (bit, time, height, width, token) = {self._shape}, found {shape}"
            )
        self.num_clips += len(grid)
        self._ones += grid.sum(dim=0, dtype=torch.int64)
        flat = grid.transpose(0, 1).flatten(1).float()
        self._pairs += (flat @ flat.T).long()
        earlier = _shifted(grid, _TIME)
        self._changes += ((grid != earlier) & (earlier != _ABSENT)).sum(dim=(0, 1))
        self._earlier += _count_contexts(grid, earlier, _NUM_STATES)
        beside = _shifted(grid, _WIDTH) * _NUM_STATES + _shifted(grid, _HEIGHT)
        self._beside += _count_contexts(grid, beside, _NUM_STATES**2)
        self._token_ones += code.tokens.sum(dim=(0, 1), dtype=torch.int64)

    def _start(self, shape: tuple[int, ...]) -> None:
        num_bits, time, height, width, _ = self._shape = shape
        self._ones = torch.zeros(num_bits, time, height, width, dtype=torch.int64)
        self._changes = torch.zeros(time, height, width, dtype=torch.int64)
        self._pairs = torch.zeros(num_bits, num_bits, dtype=torch.int64)
        self._earlier = torch.zeros(num_bits, _NUM_STATES, 2, dtype=torch.int64)
        self._beside = torch.zeros(num_bits, _NUM_STATES**2, 2, dtype=torch.int64)
        self._token_ones = torch.zeros(num_bits, dtype=torch.int64)

    @property
    def ones(self) -> Float[Tensor, " bit"]:
        """Share of ones of each bit of the grid."""
        return self._ones.flatten(1).sum(dim=1) / self._num_samples

    @property
    def entropy(self) -> Float[Tensor, " bit"]:
        """Entropy of each bit alone."""
        return binary_entropy(self.ones)

    @property
    def given_earlier(self) -> Float[Tensor, " bit"]:
        """Entropy of each bit for who knows the same bit one time step earlier at the same place."""
        return _conditional_entropy(self._earlier)

    @property
    def given_neighbours(self) -> Float[Tensor, " bit"]:
        """Entropy of each bit for who knows the same bit to the left and above, at the same time."""
        return _conditional_entropy(self._beside)

    @property
    def mutual_information(self) -> Float[Tensor, "bit bit"]:
        """What each bit tells about each other one at the same position; on the diagonal, its entropy."""
        both = self._pairs.double()
        single = both.diagonal()
        first, second = single[:, None], single[None, :]
        total = float(self._num_samples)
        cells = torch.stack([both, first - both, second - both, total - first - second + both]) / total
        joint = _surprise(cells).sum(dim=0)
        alone = binary_entropy(single / total)
        return (alone[:, None] + alone[None, :] - joint).clamp_min(0.0)

    @property
    def position_entropy(self) -> Float[Tensor, "time height width"]:
        """Entropy over the clips at each position, averaged over the bits."""
        return binary_entropy(self._ones.double() / self.num_clips).mean(dim=0)

    @property
    def position_change(self) -> Float[Tensor, "later_time height width"]:
        """Share of a position's bits that differ from one time step earlier; from the second step on."""
        return self._changes[1:].double() / (self.num_clips * self._shape[0])

    @property
    def token_ones(self) -> Float[Tensor, " bit"] | None:
        """Share of ones of each bit of the class tokens; None where there are none."""
        num_tokens = self._shape[-1]
        return self._token_ones.double() / (self.num_clips * num_tokens) if num_tokens else None

    @property
    def _num_samples(self) -> Tensor:
        _, time, height, width, _ = self._shape
        return torch.tensor(self.num_clips * time * height * width, dtype=torch.float64)


def binary_entropy(ones: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bits of entropy of a bit that is set with the given probability.

    Example:
        >>> binary_entropy(torch.tensor([0.0, 0.5, 1.0])).tolist()
        [0.0, 1.0, 0.0]
    """
    return _surprise(ones) + _surprise(1.0 - ones)


def _surprise(shares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """-p log2 p, which is 0 at p = 0."""
    return -torch.xlogy(shares, shares) / math.log(2) + 0.0  # the sum turns -0 into 0


def _conditional_entropy(counts: Int64[Tensor, "bit context value"]) -> Float[Tensor, " bit"]:
    of_context = counts.sum(dim=2).double()
    ones = counts[:, :, 1] / of_context.clamp_min(1.0)
    return (binary_entropy(ones) * of_context).sum(dim=1) / of_context.sum(dim=1)


def _shifted(
    grid: UInt8[Tensor, "batch bit time height width"], axis: int
) -> UInt8[Tensor, "batch bit time height width"]:
    """Each position's neighbour before it along an axis; 2 where there is none."""
    border = torch.full_like(grid.narrow(axis, 0, 1), _ABSENT)
    return torch.cat([border, grid.narrow(axis, 0, grid.shape[axis] - 1)], dim=axis)


def _count_contexts(
    grid: UInt8[Tensor, "batch bit time height width"],
    context: UInt8[Tensor, "batch bit time height width"],
    num_contexts: int,
) -> Int64[Tensor, "bit context value"]:
    num_bits = grid.shape[1]
    cells = (context * 2 + grid).transpose(0, 1).flatten(1).int()
    rows = torch.arange(num_bits, dtype=torch.int32)[:, None] * (2 * num_contexts)
    counts = torch.bincount((cells + rows).flatten(), minlength=num_bits * 2 * num_contexts)
    return counts.reshape(num_bits, num_contexts, 2)
