"""What a judge may reply, and what is never guessed."""

from __future__ import annotations

import pytest

from approxbit.tasks.judging import MAX_VERDICT, Verdict, read_verdict, write_question


@pytest.mark.parametrize(
    "reply",
    [
        "{'pred': 'yes', 'score': 4}",
        '{"pred": "yes", "score": 4}',
        " {'score':4,'pred':'YES',}\n",
        "```python\n{'pred': 'yes', 'score': 4}\n```",
        "```\n{'pred': 'yes', 'score': 4}```",
    ],
)
def test_a_dictionary_is_a_verdict(reply: str) -> None:
    assert read_verdict(reply) == Verdict(True, 4)


def test_no_with_a_score_is_a_verdict() -> None:
    assert read_verdict("{'pred': 'no', 'score': 0}") == Verdict(False, 0)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes",
        "Sure: {'pred': 'yes', 'score': 4}",
        "{'pred': 'yes', 'score': 4} because",
        "{'pred': 'yes', 'score': 6}",
        "{'pred': 'yes', 'score': 45}",
        "{'pred': 'yes', 'score': 4.5}",
        "{'pred': 'yes', 'score': -1}",
        "{'pred': 'yes', 'score': '4'}",
        "{'pred': 'maybe', 'score': 3}",
        "{'pred': True, 'score': 3}",
        "{'pred': 'yes\", 'score': 3}",
        "{'pred': 'yes'}",
        "{'pred': 'yes', 'score': 4, 'why': 'x'}",
        "{'pred': 'yes', 'score': 4}\n{'pred': 'no', 'score': 0}",
        "{'pred': 'yes', 'score': 4}" + " " * 9 + "(" * MAX_VERDICT,
        "{" * 100_000,
    ],
)
def test_anything_else_is_none(reply: str) -> None:
    assert read_verdict(reply) is None


def test_an_answer_that_looks_like_a_template_stays_as_it_is() -> None:
    asked = write_question("{question}?", "a {man}", "{0} {reference}")
    assert "Question: {question}?\nReference answer: a {man}\nSystem's answer: {0} {reference}\n" in asked
    assert "{'pred': 'no', 'score': 1}" in asked
