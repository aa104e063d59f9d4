"""What a codec starts from, beside random weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.codec import Codec

_MEAN_OF_HALF = math.sqrt(2 / math.pi)
"""Mean of that half of a standard normal variable that lies on one side of 0."""


@torch.no_grad()
def start_from_components(codec: Codec, features: Iterable[Feature]) -> None:
    """Let bit k start as the side of its mean on which principal component k lies; M gives it back.

    The bits are those of PCA hashing, in falling order of variance, which is the order that nested codes
    want. M starts with what a normal component is worth on average on that side. Where there are more bits
    than channels, the last bits keep their random start, and so do class tokens.

    Args:
        codec: With its statistics.
        features: As they come from the edge half.

    Raises:
        ValueError: There are no features.
    """
    parts = [codec.prepare(feature).grid.transpose(0, 1).flatten(1) for feature in features]
    if not parts:
        raise ValueError("expected at least one batch of features to find components of, found none")
    columns = torch.cat(parts, dim=1).double()
    mean = columns.mean(dim=1)
    variances, directions = torch.linalg.eigh(torch.cov(columns))  # rising
    count = min(codec.configuration.codebook_size, len(mean))
    components = directions.flip(1)[:, :count].T  # [bit, channel]
    scale = variances.flip(0)[:count].clamp_min(1e-12).sqrt()[:, None]
    _set_compressor(codec, components / scale, mean)
    _set_codebook(codec, components * scale, mean)


def _set_compressor(codec: Codec, rows: Tensor, mean: Tensor) -> None:
    """Logits of unit variance that are 0 at the mean."""
    layer, count = codec.compressor.grid, len(rows)
    assert layer.bias is not None
    layer.weight[:count] = rows[:, :, None, None, None].to(layer.weight)
    layer.bias[:count] = -(rows @ mean).to(layer.bias)


def _set_codebook(codec: Codec, steps: Tensor, mean: Tensor) -> None:
    """Each bit moves y from one side's mean to the other's; fair bits give the mean of all."""
    matrix, offset = codec.codebook.matrix, codec.codebook.offset
    matrix[:, : len(steps)] = (2 * _MEAN_OF_HALF * steps.T).to(matrix)
    matrix[:, len(steps) :] = 0
    offset.copy_(mean.to(offset) - matrix.sum(dim=1) / 2)
