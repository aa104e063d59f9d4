"""The comparison with the reference, worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from approxbit.engines.agreement import AnswerAgreement, CodeAgreement, compare_answers, measure_agreement
from approxbit.engines.artefact import Reference, Tolerance, load_artefact, load_reference
from approxbit.engines.graph import Graph
from approxbit.engines.opening import open_graph
from approxbit.errors import GateError

NUM_CLIPS, NUM_BITS = 4, 60
GENERATOR = np.random.default_rng(1)
BITS = GENERATOR.integers(0, 2, (NUM_CLIPS, NUM_BITS), np.uint8)
MARGIN = np.ones((NUM_CLIPS, NUM_BITS), np.float16)
MARGIN[:, :8] = 0.03  # the first byte is next to the threshold
REFERENCE = Reference(
    clip=GENERATOR.random((NUM_CLIPS, 3, 2, 4, 4), np.float32),
    packed=np.packbits(BITS, axis=1),
    margin=MARGIN,
    answer=np.arange(12, dtype=np.float32).reshape(NUM_CLIPS, 3),
)
TOLERANCE = Tolerance(max_flipped_share=0.05, max_answer_error=0.02, max_flipped_margin=0.1)


class Giving(Graph):
    """Gives rows of its own, whatever comes in, and remembers the batches."""

    def __init__(self, name: str, rows: np.ndarray, max_batch: int = 1):
        self.name, self.rows, self.max_batch = name, rows, max_batch
        self.batches: list[int] = []

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        first, count = sum(self.batches), len(next(iter(inputs.values())))
        self.batches.append(count)
        return {self.name: self.rows[first : first + count]}


def codes_of(packed: np.ndarray) -> CodeAgreement:
    found = measure_agreement(Giving("packed", packed), "edge", REFERENCE)
    assert isinstance(found, CodeAgreement)
    return found


def flipped(*places: tuple[int, int]) -> np.ndarray:
    bits = BITS.copy()
    for clip, bit in places:
        bits[clip, bit] ^= 1
    return np.packbits(bits, axis=1)


def test_equal_codes_agree() -> None:
    found = codes_of(REFERENCE.packed.astype(np.int32))  # as an engine without bytes gives them
    assert found == CodeAgreement(240, 0, 0.0)
    assert found.is_within(Tolerance(0.0, 0.0, 0.0))
    assert str(found) == "0 of 240 bits differ, 0.0000%, with margins of up to 0 of the median"


def test_one_bit_far_from_the_threshold_is_too_much() -> None:
    near, far = codes_of(flipped((0, 3))), codes_of(flipped((2, 59)))
    assert near == CodeAgreement(240, 1, pytest.approx(0.03, rel=1e-3))
    assert far == CodeAgreement(240, 1, 1.0)
    assert near.is_within(TOLERANCE)
    assert not far.is_within(TOLERANCE)
    assert far.as_dict() == {
        "flipped_share": 1 / 240,
        "num_bits": 240,
        "num_flipped": 1,
        "largest_flipped_margin": 1.0,
    }


def test_bits_next_to_the_threshold_are_counted_against_the_share() -> None:
    places = [(clip, bit) for clip in range(NUM_CLIPS) for bit in range(4)]
    assert codes_of(flipped(*places[:12])).is_within(TOLERANCE)  # 5 % of 240
    assert not codes_of(flipped(*places[:13])).is_within(TOLERANCE)


def test_a_few_bits_next_to_the_threshold_are_no_share_of_a_small_code() -> None:
    strict = replace(TOLERANCE, max_flipped_share=0.001)
    assert codes_of(flipped((0, 1), (1, 2), (3, 7))).is_within(strict)
    assert not codes_of(flipped((0, 1), (1, 2), (3, 7), (3, 6))).is_within(strict)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (REFERENCE.packed | 1, "must fill the last byte with zero bits"),
        (REFERENCE.packed.astype(np.int32) + 256, "must give bytes, found values from 2"),
        (REFERENCE.packed.astype(np.int32) - 256, "must give bytes, found values from -2"),
        (REFERENCE.packed[:, 1:], r"the edge graph must give packed \(4, 8\), found \(4, 7\)"),
    ],
)
def test_what_is_no_code_is_refused(packed: np.ndarray, message: str) -> None:
    with pytest.raises(GateError, match=message):
        codes_of(packed)


def test_an_answer_is_measured_against_the_largest_value() -> None:
    found = compare_answers(REFERENCE.answer + 0.11, REFERENCE.answer)
    assert found == AnswerAgreement(4, 4, pytest.approx(0.11, rel=1e-5), 11.0)
    assert found.is_within(TOLERANCE)
    assert not found.is_within(replace(TOLERANCE, max_answer_error=0.009))
    assert str(found) == "answers of up to 11 differ by up to 0.11, 4 of 4 have the same class"


def test_an_answer_that_is_no_number_never_agrees() -> None:
    answer = REFERENCE.answer.copy()
    answer[2, 1] = np.nan
    assert not compare_answers(answer, REFERENCE.answer).is_within(Tolerance(1.0, float("inf")))


@pytest.mark.parametrize(("max_batch", "batches"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (8, [4])])
def test_a_graph_is_asked_in_batches_as_large_as_it_takes(max_batch: int, batches: list[int]) -> None:
    graph = Giving("answer", REFERENCE.answer, max_batch)
    assert measure_agreement(graph, "server", REFERENCE) == AnswerAgreement(4, 4, 0.0, 11.0)
    assert graph.batches == batches


def test_the_unsplit_model_is_compared_with_its_own_answers() -> None:
    whole = replace(REFERENCE, whole_answer=REFERENCE.answer[:, ::-1])
    found = measure_agreement(Giving("answer", REFERENCE.answer), "whole", whole)
    assert found == AnswerAgreement(4, 0, 2.0, 11.0)
    with pytest.raises(ValueError, match="the reference must hold whole_answer"):
        measure_agreement(Giving("answer", REFERENCE.answer), "whole", REFERENCE)


@pytest.mark.parametrize("dynamic_batch", [None, 3])
def test_the_graphs_of_an_artefact_give_its_reference(
    dynamic_batch: int | None, small_artefact: Callable[..., Path]
) -> None:
    artefact = load_artefact(small_artefact(whole=True, dynamic_batch=dynamic_batch))
    for role in ("edge", "server", "whole"):
        found = measure_agreement(open_graph(artefact, role), role, load_reference(artefact))
        assert found.is_within(Tolerance(0.0, 1e-5, 0.0))
