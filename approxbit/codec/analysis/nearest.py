"""Which codes are alike."""

from __future__ import annotations

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

_CHUNK_BITS = 8192


def hamming_distances(codes: UInt8[Tensor, "clip bit"]) -> Int64[Tensor, "clip clip"]:
    """In how many bits each two codes differ.

    Args:
        codes: 0 and 1.

    Example:
        >>> hamming_distances(torch.tensor([[0, 0, 1], [0, 1, 0]], dtype=torch.uint8))
        tensor([[0, 2],
                [2, 0]])
    """
    agreement = torch.zeros(len(codes), len(codes), dtype=torch.int64)
    # In pieces, for as floats the codes are four times as large; and the sums of a piece are exact.
    for piece in codes.split(_CHUNK_BITS, dim=1):
        signs = piece.float() * 2 - 1
        agreement += (signs @ signs.T).long()
    return (codes.shape[1] - agreement) // 2


def find_nearest(
    distances: Int64[Tensor, "clip clip"], count: int
) -> tuple[Int64[Tensor, "clip near"], Int64[Tensor, "clip near"]]:
    """For each clip the others whose codes differ least, and in how many bits; of equals, the first.

    Args:
        distances: What `hamming_distances` returned.
        count: How many; fewer where there are not so many others.

    Example:
        >>> clips, distances = find_nearest(torch.tensor([[0, 2, 1], [2, 0, 3], [1, 3, 0]]), count=1)
        >>> clips.tolist(), distances.tolist()
        ([[2], [0], [0]], [[1], [2], [1]])
    """
    others = distances.clone().fill_diagonal_(torch.iinfo(torch.int64).max)
    ordered, indices = others.sort(dim=1, stable=True)
    count = min(count, len(distances) - 1)
    return indices[:, :count], ordered[:, :count]
