"""Bits are silenced under an answer that is known to use one of them."""

from __future__ import annotations

import math

import pytest
import torch

from approxbit.codec import Code
from approxbit.codec.analysis import measure_importance


def answer(code: Code) -> torch.Tensor:
    """Class 1 with the odds 3 to 1 where bit 0 is set anywhere, else class 0; bit 1 is never asked."""
    is_set = (code.grid[:, 0].flatten(1).amax(dim=1) > 0).float()
    return torch.stack([1 - is_set, is_set], dim=1) * math.log(3)


def answer_tokens(code: Code) -> torch.Tensor:
    return answer(Code(code.tokens.transpose(1, 2)[..., None, None], code.tokens))


def make_code() -> Code:
    """Bit 0 is set in one clip of four."""
    grid = torch.zeros(4, 2, 1, 1, 2, dtype=torch.uint8)
    grid[3, 0, 0, 0, 1] = 1
    return Code(grid, grid[:, :, 0, 0].transpose(1, 2))


ONES = torch.tensor([0.125, 0.9])


def test_a_bit_that_the_answer_asks_matters_and_another_does_not() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    code = make_code()
    halves = [
        (Code(code.grid[:2], code.tokens[:2]), labels[:2]),
        (Code(code.grid[2:], code.tokens[2:]), labels[2:]),
    ]
    found = measure_importance(answer, halves, ONES)
    assert found.changed.tolist() == [0.25, 0.0]
    assert found.accuracy == 0.75
    assert found.accuracy_drop.tolist() == [0.25, 0.0]
    # (3/4, 1/4) against (1/4, 3/4) in one clip of four
    assert found.divergence.tolist() == pytest.approx([0.25 * 0.5 * math.log2(3), 0.0], abs=1e-6)


def test_class_tokens_are_silenced_apart() -> None:
    batch = [(make_code(), None)]
    assert measure_importance(answer, batch, ONES, tokens=True).changed.tolist() == [0.0, 0.0]
    assert measure_importance(answer_tokens, batch, ONES, tokens=True).changed.tolist() == [0.25, 0.0]


def test_without_labels_there_is_no_accuracy() -> None:
    found = measure_importance(answer, [(make_code(), None)], ONES)
    assert found.accuracy is None
    assert found.accuracy_drop is None


def test_the_codes_themselves_stay_as_they_are() -> None:
    code = make_code()
    measure_importance(answer, [(code, None)], 1 - ONES)
    assert torch.equal(code.grid, make_code().grid)


def test_no_codes_no_importance() -> None:
    with pytest.raises(ValueError, match="at least one code to measure the importance of bits on"):
        measure_importance(answer, [], ONES)
