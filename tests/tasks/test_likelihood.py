"""Divergences and ranks, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from approxbit.tasks.likelihood import Candidates, divergence, log_softmax

PETS = Candidates(["a dog", "cat", "The dog!", "cow"])


def test_logits_become_logarithms_of_shares_however_large() -> None:
    assert log_softmax(np.array([1000.0, 1000.0 + math.log(3)])) == pytest.approx(np.log([0.25, 0.75]))


def test_divergence_is_the_mean_over_the_tokens_of_an_answer() -> None:
    reference = np.log([[0.5, 0.5], [0.9, 0.1]])
    found = np.log([[0.25, 0.75], [0.9, 0.1]])
    first = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(reference[0], found[0]) == pytest.approx(first)
    assert divergence(reference, found) == pytest.approx(first / 2)
    assert divergence(reference, reference) == 0


def test_an_answer_without_any_share_counts_nothing() -> None:
    with np.errstate(divide="ignore"):
        reference, found = np.log([1.0, 0.0]), np.log([0.5, 0.5])
        impossible = np.log([0.0, 1.0])
    assert divergence(reference, found) == pytest.approx(math.log(2))
    assert divergence(reference, reference) == 0
    assert divergence(reference, impossible) == math.inf


def test_distributions_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two distributions of one shape, found \(2,\), \(3,\)"):
        divergence(np.zeros(2), np.zeros(3))


def test_a_model_that_overflows_is_no_model_that_agrees() -> None:
    with pytest.raises(ValueError, match="the probabilities of answers, found nan"):
        divergence(np.full(2, np.nan), np.log([0.5, 0.5]))


@pytest.mark.parametrize(
    ("answer", "rank"),
    [("dog", 1), ("cow", 2), ("the cat", 3), ("horse", 0)],
)
def test_the_rank_counts_each_different_answer_once(answer: str, rank: int) -> None:
    assert PETS.rank_of(answer, np.array([-1.0, -5.0, -9.0, -2.0])) == rank


def test_ties_count_against_the_answer() -> None:
    assert PETS.rank_of("cow", np.zeros(4)) == 3


def test_every_candidate_has_a_score() -> None:
    with pytest.raises(ValueError, match="expected a score for each of 4 answers, found 3"):
        PETS.rank_of("cow", np.zeros(3))
