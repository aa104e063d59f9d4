"""Distances: of logits from the threshold, and of codes from each other."""

from __future__ import annotations

import torch

from approxbit.backbones.feature import Feature
from approxbit.codec.analysis import Margins, find_nearest, hamming_distances


def test_margins_are_counted_over_grid_and_tokens_in_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = Feature(
        torch.randn(10, 2, 2, 3, 1, generator=generator), torch.randn(10, 1, 2, generator=generator)
    )
    margins = Margins(distances=(0.1, 1.0), edges=(0.5, 1.0))
    for start in (0, 4):
        part = slice(start, start + 4 if start == 0 else None)
        margins.update(Feature(logits.grid[part], logits.tokens[part]))
    by_bit = torch.cat([logits.grid.flatten(2), logits.tokens.transpose(1, 2)], dim=2).abs().transpose(0, 1)
    for row, distance in enumerate((0.1, 1.0)):
        expected = (by_bit < distance).double().mean(dim=(1, 2))
        assert torch.allclose(margins.shares_within[row], expected)
    flat = by_bit.flatten()
    expected_counts = [(flat <= 0.5).sum(), ((flat > 0.5) & (flat <= 1)).sum(), (flat > 1).sum()]
    assert margins.histogram.tolist() == [int(count) for count in expected_counts]


def test_distances_of_long_codes_are_those_bit_by_bit() -> None:
    codes = torch.randint(2, (7, 20_000), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    expected = torch.stack([(codes != code).sum(dim=1) for code in codes])
    assert torch.equal(hamming_distances(codes), expected)


def test_the_nearest_are_others_in_order_and_of_equals_the_first() -> None:
    codes = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=torch.uint8)
    clips, distances = find_nearest(hamming_distances(codes), count=2)
    assert clips.tolist() == [[1, 2], [0, 2], [0, 1], [2, 0]]
    assert distances.tolist() == [[0, 1], [0, 1], [1, 1], [2, 3]]


def test_a_single_clip_has_nobody_near() -> None:
    clips, distances = find_nearest(torch.zeros(1, 1, dtype=torch.int64), count=3)
    assert clips.shape == distances.shape == (1, 0)
