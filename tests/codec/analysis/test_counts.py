"""Entropies of streamed codes against those that are counted one position at a time."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from approxbit.codec import Code
from approxbit.codec.analysis import CodeStatistics, binary_entropy

SHAPE = (3, 4, 3, 2)  # bit, time, height, width


def make_codes(num_clips: int = 40, num_tokens: int = 2) -> Code:
    """Bits that depend on each other, in time and within a position."""
    generator = torch.Generator().manual_seed(3)
    grid = (torch.rand(num_clips, *SHAPE, generator=generator) < 0.3).to(torch.uint8)
    grid[:, 1] |= grid[:, 0]
    grid[:, 2, 1:] &= grid[:, 2, :-1]
    tokens = (torch.rand(num_clips, num_tokens, SHAPE[0], generator=generator) < 0.8).to(torch.uint8)
    return Code(grid, tokens)


def entropy_of(values: list[object]) -> float:
    return -sum(n / len(values) * math.log2(n / len(values)) for n in Counter(values).values())


def conditional(values: list[object], contexts: list[object]) -> float:
    return entropy_of(list(zip(contexts, values, strict=True))) - entropy_of(contexts)


def neighbours(code: Code, bit: int) -> list[tuple[int, object, object]]:
    """Value, value one step earlier, and values to the left and above; None beyond the border."""
    plane = code.grid[:, bit]
    found = []
    for clip, t, y, x in torch.cartesian_prod(*map(torch.arange, plane.shape)).tolist():
        earlier = int(plane[clip, t - 1, y, x]) if t else None
        left = int(plane[clip, t, y, x - 1]) if x else None
        above = int(plane[clip, t, y - 1, x]) if y else None
        found.append((int(plane[clip, t, y, x]), earlier, (left, above)))
    return found


@pytest.fixture(scope="module")
def code() -> Code:
    return make_codes()


@pytest.fixture(scope="module")
def statistics(code: Code) -> CodeStatistics:
    """In batches of unequal size."""
    found = CodeStatistics()
    for grid, tokens in zip(code.grid.split(17), code.tokens.split(17), strict=True):
        found.update(Code(grid, tokens))
    return found


def test_the_entropies_are_those_of_every_single_position(code: Code, statistics: CodeStatistics) -> None:
    for bit in range(SHAPE[0]):
        values, earlier, beside = zip(*neighbours(code, bit), strict=True)
        assert statistics.ones[bit].item() == pytest.approx(sum(values) / len(values))
        assert statistics.entropy[bit].item() == pytest.approx(entropy_of(list(values)))
        assert statistics.given_earlier[bit].item() == pytest.approx(conditional(list(values), list(earlier)))
        assert statistics.given_neighbours[bit].item() == pytest.approx(
            conditional(list(values), list(beside))
        )


def test_what_two_bits_share_is_their_mutual_information(code: Code, statistics: CodeStatistics) -> None:
    planes = [code.grid[:, bit].flatten().tolist() for bit in range(SHAPE[0])]
    for first, second in torch.cartesian_prod(torch.arange(3), torch.arange(3)).tolist():
        shared = entropy_of(planes[first]) - conditional(planes[first], planes[second])
        assert statistics.mutual_information[first, second].item() == pytest.approx(shared, abs=1e-12)


def test_positions_have_an_entropy_and_a_change_of_their_own(code: Code, statistics: CodeStatistics) -> None:
    place = (2, 1, 0)
    columns = [code.grid[:, bit, 2, 1, 0].tolist() for bit in range(SHAPE[0])]
    mean = sum(map(entropy_of, columns)) / SHAPE[0]
    assert statistics.position_entropy[place].item() == pytest.approx(mean)
    changed = (code.grid[:, :, 2, 1, 0] != code.grid[:, :, 1, 1, 0]).double().mean()
    assert statistics.position_change[1, 1, 0].item() == pytest.approx(changed.item())
    assert statistics.position_change.shape == (3, 3, 2)


def test_class_tokens_are_counted_apart(code: Code, statistics: CodeStatistics) -> None:
    assert torch.equal(statistics.token_ones, code.tokens.double().mean(dim=(0, 1)))
    without = CodeStatistics()
    without.update(make_codes(num_tokens=0))
    assert without.token_ones is None


def test_dead_bits_have_no_entropy() -> None:
    statistics = CodeStatistics()
    grid = torch.zeros(2, 2, 1, 1, 2, dtype=torch.uint8)
    grid[:, 1] = 1
    statistics.update(Code(grid, torch.zeros(2, 0, 2, dtype=torch.uint8)))
    assert statistics.entropy.tolist() == [0.0, 0.0]
    assert statistics.given_earlier.tolist() == [0.0, 0.0]
    assert statistics.mutual_information.abs().max() == 0
    assert statistics.position_change.shape == (0, 1, 2)


def test_codes_of_another_shape_are_refused(statistics: CodeStatistics) -> None:
    other = Code(torch.zeros(1, 3, 4, 3, 3), torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match=r"= \(3, 4, 3, 2, 2\), found \(3, 4, 3, 3, 2\)"):
        statistics.update(other)


def test_the_entropy_of_a_bit_by_hand() -> None:
    assert binary_entropy(torch.tensor([0.25])).item() == pytest.approx(0.8112781)
