"""The comparison with the reference, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from approxbit.engines.artefact import Artefact, Reference, Tolerance, load_reference
from approxbit.engines.tensorrt.check import check_edge, check_server, check_whole


@pytest.fixture
def reference(artefact: Artefact) -> Reference:
    """64 bits a clip: the first has a margin of 0.01, all others 1."""
    whole = load_reference(artefact)
    margin = np.ones_like(whole.margin)
    margin[:, 0] = 0.01
    return replace(whole, margin=margin)


def test_equal_codes_pass(artefact: Artefact, reference: Reference) -> None:
    packed = iter(reference.packed)
    check = check_edge(lambda clip: next(packed), reference, artefact.card)
    assert check.passed
    assert list(check.lines()) == ["code: 0 of 256 bits differ, 0.0000% (limit 0.5000%)"]


def test_flips_near_the_threshold_are_told_from_wrong_bits(artefact: Artefact, reference: Reference) -> None:
    wrong = reference.packed.copy()
    wrong[0, 0] ^= 0b1000_0000  # the bit with the small margin
    wrong[1, 7] ^= 0b0000_0001
    packed = iter(wrong)
    check = check_edge(lambda clip: next(packed), reference, artefact.card)
    assert (check.num_flipped, check.num_far, check.largest_margin) == (2, 1, 1.0)
    assert check.flipped_share == 2 / 256
    assert not check.passed
    assert list(check.lines())[1].startswith(
        "1 of them are near the threshold, as rounding explains; 1 are not"
    )


def test_a_few_flips_are_within_the_limit(artefact: Artefact, reference: Reference) -> None:
    wrong = reference.packed.copy()
    wrong[2, 0] ^= 0b1000_0000
    packed = iter(wrong)
    assert check_edge(lambda clip: next(packed), reference, artefact.card).passed  # 1 of 256, limit 0.5 %


def test_the_padding_bits_do_not_count(artefact: Artefact, reference: Reference) -> None:
    filled = reference.packed.copy()
    filled[:, 7] |= 1
    packed = iter(filled)
    short = replace(
        reference, packed=reference.packed & np.uint8([255] * 7 + [254]), margin=reference.margin[:, :63]
    )
    check = check_edge(lambda clip: next(packed), short, artefact.card)
    assert (check.num_bits, check.num_flipped) == (252, 0)


def test_an_answer_is_measured_against_the_largest_value(artefact: Artefact, reference: Reference) -> None:
    scale = float(np.abs(reference.answer).max())
    check = check_server(lambda packed: reference.answer[:1] + 0.01 * scale, one(reference), artefact.card)
    assert check.answer_error == pytest.approx(0.01 * scale / float(reference.answer[:1].max()), rel=1e-3)
    assert (check.num_answers, check.num_agreeing) == (1, 1)
    strict = replace(artefact.card, tolerance=Tolerance(0.005, check.answer_error / 2))
    assert not check_server(lambda packed: reference.answer[:1] + 0.01 * scale, one(reference), strict).passed


def test_an_answer_that_is_no_number_never_passes(artefact: Artefact, reference: Reference) -> None:
    lenient = replace(artefact.card, tolerance=Tolerance(1.0, float("inf")))
    check = check_server(lambda packed: reference.answer[:1] * np.nan, one(reference), lenient)
    assert not check.passed


def one(reference: Reference) -> Reference:
    return Reference(**{name: array[:1] for name, array in reference.arrays.items()})


def test_the_unsplit_model_is_compared_with_its_own_answers(artefact: Artefact, reference: Reference) -> None:
    expected = reference.answer + 1
    both = replace(reference, whole_answer=expected)
    answers = iter(expected)
    assert check_whole(lambda clip: next(answers), both, artefact.card).answer_error == 0
    others = iter(reference.answer)
    assert not check_whole(lambda clip: next(others), both, artefact.card).passed
    with pytest.raises(ValueError, match="the reference must hold whole_answer"):
        check_whole(lambda clip: clip, reference, artefact.card)
