"""Free-text answers, scored by exact match."""

from __future__ import annotations

import pytest

from approxbit.errors import WeightsError
from approxbit.files import from_json, to_json
from approxbit.tasks import QuestionAnswering, Target, Task
from approxbit.tasks.question_answering import contains, normalise

TASK = QuestionAnswering(("what", "how many"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A cat.", "cat"),
        ("the  Cat an", "cat"),
        ("  two-fold\n", "two fold"),
        ("Anna's theatre", "anna s theatre"),
        ("È l'Été", "è l été"),
        ("a", ""),
    ],
)
def test_case_punctuation_articles_and_spaces_do_not_count(answer: str, expected: str) -> None:
    assert normalise(answer) == expected


def test_exact_matches_by_hand() -> None:
    targets = [Target("cat", "what"), Target("dog", "what"), Target("two", "how many"), Target("red")]
    assert TASK.score(["the cat", "cat", "2", "Red!"], targets) == {
        "exact_match": 50.0,
        "exact_match_what": 50.0,
        "exact_match_how many": 0.0,
    }
    assert TASK.figures == ("exact_match", "exact_match_what", "exact_match_how many")
    assert QuestionAnswering().figures == ("exact_match",)


def test_a_question_type_that_does_not_occur_has_no_figure() -> None:
    assert TASK.score(["x"], [Target("y", "what")]) == {"exact_match": 0.0, "exact_match_what": 0.0}


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a question type of what, how many, found 'who'"):
        TASK.score(["x"], [Target("x", "who")])
    with pytest.raises(ValueError, match=r"expected a question type of \(none\), found 'who'"):
        QuestionAnswering().score(["x"], [Target("x", "who")])
    with pytest.raises(ValueError, match="one or more answers, found 1 and 2"):
        TASK.score(["x"], [Target("x"), Target("y")])
    with pytest.raises(ValueError, match="one or more answers, found 0 and 0"):
        TASK.score([], [])
    with pytest.raises(ValueError, match=r"question_types: expected different ones, found \['a', 'a'\]"):
        QuestionAnswering(("a", "a"))


def test_there_is_nothing_but_the_text_to_ask_for_and_to_show() -> None:
    assert (TASK.asked, TASK.class_names, TASK.describe("a cat")) == ("", (), [("a cat", 1.0)])
    assert TASK.asking("") is TASK
    TASK.check_model(32_000)
    with pytest.raises(ValueError, match="no label set, which question answering has not, found 'x'"):
        TASK.asking("x")


def test_a_task_survives_json() -> None:
    assert to_json(TASK) == {"kind": "question_answering", "question_types": ["what", "how many"]}
    assert from_json(Task, to_json(TASK), "card", WeightsError) == TASK
    with pytest.raises(WeightsError, match=r"card: question_types\[0\]: expected text, found 1"):
        from_json(Task, {"kind": "question_answering", "question_types": [1]}, "card", WeightsError)


@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        ("A red cat, I think.", "the red cat", True),
        ("red, big cat", "red cat", False),
        ("a category", "cat", False),
        ("cat", "cat", True),
        ("cat", "a red cat", False),
        ("", "cat", False),
        ("cat", "the", False),
        ("", "the", True),
    ],
)
def test_an_answer_contains_the_words_of_the_right_one_in_their_order(
    answer: str, target: str, expected: bool
) -> None:
    assert contains(answer, target) is expected
