"""Classes, and the coarser label sets of the same logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from approxbit.errors import WeightsError
from approxbit.files import from_json, to_json
from approxbit.tasks import Classification, LabelSet, Task, match_tasks

PETS = LabelSet("pets", ("tabby", "siamese", "poodle"))
ANIMALS = LabelSet("animals", ("cat", "dog"), class_of=(0, 0, 1))
TASK = Classification((PETS, ANIMALS))


def test_logits_of_groups_are_the_log_of_summed_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4, 3)) * 50  # beyond what exp can hold in float32
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    grouped = ANIMALS.logits(logits)
    found = np.exp(grouped - grouped.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    assert found == pytest.approx(np.stack([shares[..., 0] + shares[..., 1], shares[..., 2]], axis=-1))
    assert PETS.logits(logits) is logits


def test_labels_of_an_int_and_of_an_array() -> None:
    assert ANIMALS.labels(2) == 1
    assert ANIMALS.labels(np.array([[0, 1, 2]])).tolist() == [[0, 0, 1]]
    assert PETS.labels(2) == 2


def test_the_same_answers_are_scored_in_every_label_set() -> None:
    answers = np.eye(3)[[0, 0, 2, 2]]
    targets = np.array([0, 1, 2, 0])
    assert TASK.score(answers, targets) == {"top1_pets": 50.0, "top1_animals": 75.0}
    assert list(TASK.asking("animals").score(answers, targets)) == ["top1_animals", "top1_pets"]


def test_the_group_with_the_most_probability_wins_not_the_one_with_the_likeliest_class() -> None:
    logits = np.log(np.array([0.3, 0.3, 0.4]))
    assert TASK.describe(logits)[0] == ("poodle", pytest.approx(0.4))
    assert TASK.asking("animals").describe(logits) == [
        ("cat", pytest.approx(0.6)),
        ("dog", pytest.approx(0.4)),
    ]


def test_equal_classes_keep_their_order_and_those_without_names_have_numbers() -> None:
    found = Classification.of_names().describe(np.array([0.0, math.log(2), 0.0, 0.0]))
    assert [name for name, _ in found] == ["class 1", "class 0", "class 2", "class 3"]
    assert [share for _, share in found] == pytest.approx([0.4, 0.2, 0.2, 0.2])


def test_what_is_asked_is_the_first_label_set_unless_another_is() -> None:
    assert (TASK.asked, TASK.asking("").asked, TASK.asking("animals").asked) == ("pets", "pets", "animals")
    assert TASK.label_set() is PETS
    assert TASK.label_set("animals") is ANIMALS
    assert TASK.asking("animals").asking("") == TASK.asking("animals")
    with pytest.raises(ValueError, match="expected one of the label sets pets, animals, found 'plants'"):
        TASK.asking("plants")


@pytest.mark.parametrize(
    ("task", "num_classes", "names"),
    [
        (TASK, 3, PETS.class_names),
        (Classification((LabelSet("pets"), ANIMALS)), 3, ()),
        (Classification.of_names(), 0, ()),
    ],
)
def test_the_number_of_classes_is_known_from_any_label_set(
    task: Classification, num_classes: int, names: tuple[str, ...]
) -> None:
    assert (task.num_classes, task.class_names) == (num_classes, names)
    task.check_model(3)


def test_a_model_of_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="the label set pets has 3 classes, found a model of 4"):
        TASK.check_model(4)
    with pytest.raises(ValueError, match="the label set animals is for 3 classes, found 4 logits"):
        ANIMALS.logits(np.zeros(4))
    with pytest.raises(ValueError, match="the label set pets is for 3 classes, found 4 logits"):
        TASK.score(np.zeros((1, 4)), np.zeros(1, int))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelSet(""), "name: expected the name of a label set, found ''"),
        (lambda: LabelSet("a", class_of=(0, 2)), r"class_of of a: expected every class .*, found \[0, 2\]"),
        (lambda: LabelSet("a", class_of=(-1, 0)), r"class_of of a: expected every class .*, found \[-1, 0\]"),
        (lambda: LabelSet("a", ("x",), (0, 1)), "class_names of a: expected 2, found 1"),
        (lambda: Classification(()), r"label_sets: expected that of the model's own classes.*, found \[\]"),
        (lambda: Classification((PETS, PETS)), r"all of different names, found \['pets', 'pets'\]"),
        (lambda: Classification((ANIMALS,)), r"the model's own classes, .* found \['animals'\]"),
        (
            lambda: Classification((PETS, LabelSet("plants"))),
            "class_of of plants: expected a class for each of the 3 classes of pets, found 0",
        ),
        (
            lambda: Classification((LabelSet("pets"), ANIMALS, LabelSet("two", class_of=(0, 1)))),
            "class_of of two: expected a class for each of the 3 classes of pets, found 2",
        ),
        (lambda: Classification((PETS,), "animals"), "one of the label sets pets, found 'animals'"),
        (lambda: TASK.score(np.zeros((0, 3)), np.zeros(0)), "one or more answers, found 0 and 0"),
        (lambda: TASK.score(np.zeros((2, 3)), np.zeros(1)), "one or more answers, found 2 and 1"),
    ],
)
def test_what_is_no_task_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_task_survives_json() -> None:
    task = TASK.asking("animals")
    document = to_json(task)
    assert document == {
        "kind": "classification",
        "label_sets": [
            {"name": "pets", "class_names": ["tabby", "siamese", "poodle"], "class_of": []},
            {"name": "animals", "class_names": ["cat", "dog"], "class_of": [0, 0, 1]},
        ],
        "asked": "animals",
    }
    assert from_json(Task, document, "card", WeightsError) == task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "regression"}, "card: kind: expected one of 'classification', 'question_answering', found"),
        ({"asked": "plants"}, "card: expected one of the label sets pets, animals, found 'plants'"),
        ({"asked": 1}, "card: asked: expected text, found 1"),
        ({"label_sets": [{"class_names": []}]}, r"card: label_sets\[0\]: expected the keys name, .*'name'"),
        (
            {"label_sets": [{"name": "x", "class_of": [0.5]}]},
            r"label_sets\[0\].class_of\[0\]: expected a",
        ),
        ({"label_sets": [{"name": "x", "class_of": [1]}]}, r"label_sets\[0\]: class_of of x: expected every"),
        ({"classes": []}, "missing: none; unknown: 'classes'"),
    ],
)
def test_what_is_wrong_in_a_card_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        from_json(Task, {**to_json(TASK), **changes}, "card", WeightsError)


def test_a_model_without_names_takes_over_the_task_of_its_data() -> None:
    unnamed = Classification.of_names()
    assert match_tasks(unnamed, TASK, 3) is TASK
    assert match_tasks(TASK, unnamed, 3) is TASK
    asking = TASK.asking("animals")
    assert match_tasks(asking, TASK, 3) is asking


def test_data_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"classes tabby, siamese, poodle, ..., found those of a, b, c, ..."):
        match_tasks(TASK, Classification.of_names("abc"), 3)
    with pytest.raises(ValueError, match="the label set classes has 2 classes, found a model of 3"):
        match_tasks(Classification.of_names(), Classification.of_names("ab"), 3)
