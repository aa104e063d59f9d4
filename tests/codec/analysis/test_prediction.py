"""What a linear predictor leaves of bits whose dependence is known."""

from __future__ import annotations

import pytest
import torch

from approxbit.codec import Code
from approxbit.codec.analysis import ContextSamples, binary_entropy, predict_entropy


def coins(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def as_code(grid: torch.Tensor) -> Code:
    return Code(grid, torch.zeros(len(grid), 0, grid.shape[1], dtype=torch.uint8))


def sample(grid: torch.Tensor, per_clip: int = 8) -> ContextSamples:
    samples = ContextSamples(per_clip)
    for part in grid.split(300):
        samples.update(as_code(part))
    return samples


def test_independent_fair_bits_stay_a_bit_each() -> None:
    samples = sample(coins(1000, 3, 2, 2, 2))
    assert samples.entropy_given_others().tolist() == pytest.approx([1.0] * 3, abs=0.01)
    assert samples.entropy_when_coded().tolist() == pytest.approx([1.0] * 3, abs=0.02)


def test_a_copy_is_foretold_by_its_original_and_coded_once() -> None:
    grid = coins(1000, 2, 2, 2, 2)
    grid[:, 1] = 1 - grid[:, 0]
    samples = sample(grid)
    assert samples.entropy_given_others().max() < 0.01
    first, second = samples.entropy_when_coded().tolist()
    assert first == pytest.approx(1.0, abs=0.02)
    assert second < 0.01


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_decoder_foretells_what_repeats_along_an_axis(axis: int) -> None:
    """In a grid of length 4 along the axis, one position in four is new."""
    shape = [2000, 1, 1, 1, 1]
    size = [2000, 1, 1, 1, 1]
    size[axis] = 4
    samples = sample(coins(*shape).expand(size).contiguous())
    assert samples.entropy_when_coded().item() == pytest.approx(0.25, abs=0.03)
    assert samples.entropy_given_others().item() == pytest.approx(1.0, abs=0.01)


def test_the_bits_are_those_of_the_position_and_of_its_neighbours() -> None:
    """Every position of a small grid, drawn often, against the grid itself."""
    grid = coins(1, 2, 2, 2, 2, seed=4)
    drawn = {tuple(row) for row in sample(grid, per_clip=500).bits.tolist()}
    signs = grid[0].int() * 2 - 1
    expected = set()
    for t, y, x in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        places = [(t, y, x), (t - 1, y, x), (t, y, x - 1), (t, y - 1, x)]
        known = [signs[(slice(None), *place)].tolist() if min(place) >= 0 else [0, 0] for place in places]
        expected.add(tuple(bit for bits in known for bit in bits))
    assert drawn == expected


def test_a_noisy_copy_costs_the_entropy_of_its_noise() -> None:
    original = coins(20_000, 1)
    flips = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(1)) < 0.1
    known = torch.cat([original, original ^ flips], dim=1).to(torch.int8) * 2 - 1
    mask = torch.tensor([[False, True], [False, False]])
    alone, given = predict_entropy(known, mask).tolist()
    assert alone == pytest.approx(1.0, abs=0.001)
    assert given == pytest.approx(binary_entropy(torch.tensor(0.1)).item(), abs=0.02)


def test_a_predictor_that_is_misled_by_few_samples_costs_no_more_than_none() -> None:
    known = coins(12, 9).to(torch.int8) * 2 - 1
    left = predict_entropy(known, ~torch.eye(9, dtype=torch.bool))
    assert (left <= binary_entropy((known > 0).float().mean(dim=0))).all()


def test_one_sample_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2 samples to fit and to test on, found 1"):
        predict_entropy(torch.ones(1, 1, dtype=torch.int8), torch.zeros(1, 1, dtype=torch.bool))
