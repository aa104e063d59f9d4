"""Free-text answers to questions about a clip, scored by exact match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Sequence

_DROPPED = re.compile(r"[^\w\s]|\b(a|an|the)\b")


class Target(NamedTuple):
    """The right answer to one question.

    Attributes:
        answer: Free text.
        question_type: Such as `what` or `how many`; figures are given for each.
    """

    answer: str
    question_type: str = ""


@dataclass(frozen=True)
class QuestionAnswering:
    """What does a clip show, by a question in words?

    Two answers are the same when they are after `normalise`.

    Attributes:
        question_types: Those that get a figure of their own.

    Raises:
        ValueError: Two question types are the same.
    """

    question_types: tuple[str, ...] = ()

    def __post_init__(self):
        if len(set(self.question_types)) < len(self.question_types):
            raise ValueError(f"question_types: expected different ones, found {list(self.question_types)}")

    @property
    def figures(self) -> tuple[str, ...]:
        """`exact_match`, and `exact_match_<question type>` for each."""
        return ("exact_match", *(f"exact_match_{name}" for name in self.question_types))

    def score(self, answers: Sequence[str], targets: Sequence[Target]) -> dict[str, float]:
        """Exact matches in percent: of all questions, and of each question type that occurs.

        Raises:
            ValueError: There are no answers or not as many targets, or a question type is unknown.

        Example:
            >>> task = QuestionAnswering(("what", "who"))
            >>> task.score(["The cat.", "two"], [Target("a cat", "what"), Target("three", "what")])
            {'exact_match': 50.0, 'exact_match_what': 50.0}
        """
        if len(answers) == 0 or len(answers) != len(targets):
            raise ValueError(
                f"expected a target for each of one or more answers, found {len(answers)} and {len(targets)}"
            )
        hits: dict[str, list] = {name: [] for name in ("", *self.question_types)}
        for answer, target in zip(answers, targets):
            is_right = normalise(answer) == normalise(target.answer)
            hits[""].append(is_right)
            if target.question_type and target.question_type not in hits:
                known = ", ".join(self.question_types) or "(none)"
                raise ValueError(f"expected a question type of {known}, found {target.question_type!r}")
            if target.question_type:
                hits[target.question_type].append(is_right)
        return {
            f"exact_match_{name}" if name else "exact_match": round(100 * sum(found) / len(found), 3)
            for name, found in hits.items()
            if found
        }

    def to_json(self) -> dict[str, Any]:
        """What `read_task` reads."""
        return {"kind": "question_answering", "question_types": list(self.question_types)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> QuestionAnswering:
        """The inverse of `to_json`, without its `kind`.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        types = fields.get("question_types")
        if set(fields) != {"question_types"} or not isinstance(types, list):
            raise ValueError(
                f"question answering: expected a list question_types, found {dict(fields)!r:.80}"
            )
        if not all(isinstance(each, str) and each for each in types):
            raise ValueError(f"question_types: expected a list of texts, found {types!r:.80}")
        return cls(tuple(types))


def normalise(answer: str) -> str:
    """An answer in small letters, without punctuation, articles and doubled spaces.

    Example:
        >>> normalise("  The  red Cat! ")
        'red cat'
    """
    return " ".join(_DROPPED.sub(" ", answer.lower()).split())
