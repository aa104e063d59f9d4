"""From logits to answers, and from answers to names."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.engines.answers import content_of, rank
from approxbit.tasks import Classification, LabelSet
from approxbit.wire import AnswerKind, Logits, Text, TopK, Wanted

PETS = LabelSet("pets", ("kitten", "cat", "dog"))
TASK = Classification((PETS, LabelSet("animals", ("cat", "dog"), (0, 0, 1))), asked="animals")
LOGITS = np.log(np.array([0.3, 0.3, 0.4], np.float32))
ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)


def test_the_likeliest_classes_are_those_of_the_label_set_that_is_asked() -> None:
    best = content_of(LOGITS, Wanted(), TASK)
    assert isinstance(best, TopK)
    assert best.classes == (0, 1)
    assert np.exp(best.scores) == pytest.approx([0.6, 0.4], abs=1e-3)
    finer = content_of(LOGITS, Wanted(AnswerKind.TOP_K, 1), TASK.asking("pets"))
    assert isinstance(finer, TopK)
    assert finer.classes == (2,)


def test_logits_are_those_of_the_models_own_classes() -> None:
    assert content_of(LOGITS, ALL_LOGITS, TASK) == Logits(LOGITS)


def test_a_classifier_says_no_text() -> None:
    with pytest.raises(ValueError, match="expected LOGITS or TOP_K of a classifier, found TEXT"):
        content_of(LOGITS, Wanted(AnswerKind.TEXT, 0), TASK)


def test_both_kinds_of_answers_have_the_same_names() -> None:
    for wanted in (Wanted(), ALL_LOGITS):
        ranked = rank(content_of(LOGITS, wanted, TASK), TASK)
        assert [name for name, _ in ranked] == ["cat", "dog"]
        assert [share for _, share in ranked] == pytest.approx([0.6, 0.4], abs=1e-3)


def test_logits_have_names_in_every_label_set() -> None:
    assert rank(Logits(LOGITS), TASK, "pets")[0] == ("dog", pytest.approx(0.4))


def test_an_answer_without_names_in_a_label_set_is_refused() -> None:
    with pytest.raises(ValueError, match="answers in pets need logits, found the likeliest of animals"):
        rank(TopK((0,), (0.0,)), TASK, "pets")
    with pytest.raises(TypeError, match="expected Logits or TopK, found Text"):
        rank(Text("a cat"), TASK)


def test_classes_without_names_have_numbers() -> None:
    assert rank(TopK((7,), (0.0,)), Classification.of_names()) == [("class 7", 1.0)]
