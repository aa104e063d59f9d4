"""The comparison with the reference, worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from approxbit.engines.artefact import Artefact, Reference, Tolerance, load_artefact, load_reference
from approxbit.engines.opening import open_edge, open_server, open_whole
from approxbit.engines.tensorrt.check import check_runner, compare_answers, compare_codes


@pytest.fixture
def reference(artefact: Artefact) -> Reference:
    """64 bits a clip: the first has a margin of 0.01, all others 1."""
    whole = load_reference(artefact)
    margin = np.ones_like(whole.margin)
    margin[:, 0] = 0.01
    return replace(whole, margin=margin)


def test_equal_codes_pass(artefact: Artefact, reference: Reference) -> None:
    check = compare_codes(reference.packed, reference, artefact.card)
    assert check.passed
    assert list(check.lines()) == ["code: 0 of 256 bits differ, 0.0000% (limit 0.5000%)"]


def test_flips_near_the_threshold_are_told_from_wrong_bits(artefact: Artefact, reference: Reference) -> None:
    wrong = reference.packed.copy()
    wrong[0, 0] ^= 0b1000_0000  # the bit with the small margin
    wrong[1, 7] ^= 0b0000_0001
    check = compare_codes(wrong, reference, artefact.card)
    assert (check.num_flipped, check.num_far, check.largest_margin) == (2, 1, 1.0)
    assert check.flipped_share == 2 / 256
    assert not check.passed
    assert list(check.lines())[1].startswith(
        "1 of them are near the threshold, as rounding explains; 1 are not"
    )


def test_a_few_flips_are_within_the_limit(artefact: Artefact, reference: Reference) -> None:
    wrong = reference.packed.copy()
    wrong[2, 0] ^= 0b1000_0000
    assert compare_codes(wrong, reference, artefact.card).passed  # 1 of 256, limit 0.5 %


def test_the_padding_bits_do_not_count(artefact: Artefact, reference: Reference) -> None:
    filled = reference.packed.copy()
    filled[:, 7] |= 1
    short = replace(
        reference, packed=reference.packed & np.uint8([255] * 7 + [254]), margin=reference.margin[:, :63]
    )
    check = compare_codes(filled, short, artefact.card)
    assert (check.num_bits, check.num_flipped) == (252, 0)


def test_an_answer_is_measured_against_the_largest_value(artefact: Artefact, reference: Reference) -> None:
    scale, expected = float(np.abs(reference.answer).max()), reference.answer[:1]
    check = compare_answers(expected + 0.01 * scale, expected, artefact.card)
    assert check.answer_error == pytest.approx(0.01 * scale / float(expected.max()), rel=1e-3)
    assert (check.num_answers, check.num_agreeing) == (1, 1)
    strict = replace(artefact.card, tolerance=Tolerance(0.005, check.answer_error / 2))
    assert not compare_answers(expected + 0.01 * scale, expected, strict).passed


def test_an_answer_that_is_no_number_never_passes(artefact: Artefact, reference: Reference) -> None:
    lenient = replace(artefact.card, tolerance=Tolerance(1.0, float("inf")))
    assert not compare_answers(reference.answer * np.nan, reference.answer, lenient).passed


@pytest.mark.parametrize("dynamic_batch", [None, 3])
def test_the_runners_of_an_artefact_give_its_reference(
    dynamic_batch: int | None, small_artefact: Callable[..., Path]
) -> None:
    folder = small_artefact(whole=True, dynamic_batch=dynamic_batch)
    artefact = load_artefact(folder)
    reference, card = load_reference(artefact), artefact.card
    for runner in (open_edge(folder), open_server(folder), open_whole(folder)):
        assert check_runner(runner, reference, card).passed
    assert reference.whole_answer is not None
    other = replace(reference, answer=reference.answer + 1, whole_answer=reference.whole_answer + 9)
    assert not check_runner(open_server(folder), other, card).passed
    assert not check_runner(open_whole(folder), other, card).passed
    with pytest.raises(ValueError, match="the reference must hold whole_answer"):
        check_runner(open_whole(folder), replace(reference, whole_answer=None), card)
