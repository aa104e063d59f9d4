"""Free-text answers to questions about a clip: exact match, and whether the right one is contained."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Mapping, NamedTuple, Sequence, Tuple

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

    json_kind: ClassVar[str] = "question_answering"
    asked: ClassVar[str] = ""
    class_names: ClassVar[Tuple[str, ...]] = ()
    question_types: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.question_types)) < len(self.question_types):
            raise ValueError(f"question_types: expected different ones, found {list(self.question_types)}")

    def asking(self, label_set: str) -> "QuestionAnswering":
        """The task itself, which has no label sets.

        Raises:
            ValueError: One is asked for.
        """
        if label_set:
            raise ValueError(f"expected no label set, which question answering has not, found {label_set!r}")
        return self

    def check_model(self, num_classes: int) -> None:
        """Whatever the length of a model's logits, it may answer questions."""

    @property
    def figures(self) -> Tuple[str, ...]:
        """`exact_match`, and `exact_match_<question type>` for each."""
        return ("exact_match", *(f"exact_match_{name}" for name in self.question_types))

    def score(self, answers: Sequence[str], targets: Sequence[Target]) -> Dict[str, float]:
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
        hits: Dict[str, List[bool]] = {name: [] for name in ("", *self.question_types)}
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

    @staticmethod
    def macro(scores: Mapping[str, float]) -> float:
        """The mean over all question types that occur; of all questions where none has a type.

        Args:
            scores: As `score` gives them.

        Example:
            >>> QuestionAnswering.macro({"exact_match": 60, "exact_match_what": 50, "exact_match_who": 80})
            65.0
        """
        by_type = [value for name, value in scores.items() if name != "exact_match"]
        return round(sum(by_type) / len(by_type), 3) if by_type else scores["exact_match"]

    def describe(self, answer: Any) -> List[Tuple[str, float]]:
        """The answer itself, whose probability nobody knows: 1."""
        return [(answer, 1.0)]


def contains(answer: str, target: str) -> bool:
    """Whether an answer holds the right one, word for word and in its order, after `normalise`.

    Example:
        >>> contains("It is a red cat, I think.", "the red cat"), contains("a category", "cat")
        (True, False)
    """
    words, right = normalise(answer), normalise(target)
    return f" {right} " in f" {words} " if right else not words


def normalise(answer: str) -> str:
    """An answer in small letters, without punctuation, articles and doubled spaces.

    Example:
        >>> normalise("  The  red Cat! ")
        'red cat'
    """
    return " ".join(_DROPPED.sub(" ", answer.lower()).split())
