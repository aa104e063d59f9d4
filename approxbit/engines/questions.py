"""Questions about a clip: which ones a model takes, and what it says, on a server as on a device.

clip or code -> the model -> visual tokens, once -> `QuestionRunner.ask` -> words, for each question
"""

from __future__ import annotations

from typing import Protocol, Sequence

import numpy as np

from approxbit.engines.answers import content_of
from approxbit.tasks import Classification, Task
from approxbit.wire import AnswerKind, Content, Request, Text, Wanted
from approxbit.wire.request import MAX_QUESTION_BYTES

IN_WORDS = Wanted(AnswerKind.TEXT, 0)
"""The answer that a question wants."""

FIRST_QUESTION = Text("what is there")
"""Asked where any question will do: so that nobody waits for what is only done once, and to take times."""

OF_LOGITS = (AnswerKind.LOGITS, AnswerKind.TOP_K)


class QuestionRunner(Protocol):
    """The part of a model that reads visual tokens for a question."""

    def check(self, question: str) -> None:
        """Let only questions pass that the model takes, before anything is computed.

        Raises:
            ValueError: It is another one, such as one that is too long.
        """

    def ask(self, visual: np.ndarray, questions: Sequence[str]) -> list[str]:
        """An answer to each question about one clip.

        Args:
            visual: Its visual tokens, float32 `[token, channel]`.
            questions: Those that `check` lets pass.
        """


def as_question(question: object) -> Text:
    """A question as it crosses the link.

    Raises:
        ValueError: It is no text, or it is empty, too long or has control characters.

    Example:
        >>> as_question("what is red")
        Text(value='what is red')
    """
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"expected a question in words, found {question!r:.100}")
    try:
        num_bytes = len(question.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ValueError(f"expected a question of Unicode characters, found {question!r:.100}") from error
    if num_bytes > MAX_QUESTION_BYTES:
        raise ValueError(f"expected a question of at most {MAX_QUESTION_BYTES} bytes, found {num_bytes}")
    return Text(question)


def objection_to(
    request: Request, wanted: Wanted, task: Task, questions: QuestionRunner | None = None
) -> str:
    """Why a model does not answer a request; empty if it does.

    Args:
        request: With or without a question.
        wanted: Which answer it wants.
        task: Of the model.
        questions: Of a model that answers questions.
    """
    if isinstance(task, Classification):
        if request.question is not None:
            return "request: expected no question, the models here tell classes of clips and answer none"
        if wanted.kind not in OF_LOGITS:
            return f"request: expected logits or the likeliest classes, found {wanted.kind.name}"
        return ""
    if wanted.kind != AnswerKind.TEXT:
        return (
            f"request: the models here answer questions, expected TEXT to be wanted, found {wanted.kind.name}"
        )
    if request.question is None or questions is None:
        return ""
    if not isinstance(request.question, Text):
        return "request: expected a question in words, found one of token ids"
    try:
        questions.check(as_question(request.question.value).value)
    except ValueError as error:
        return f"request: {error}"
    return ""


def say(
    output: np.ndarray, request: Request, wanted: Wanted, task: Task, questions: QuestionRunner | None = None
) -> Content:
    """What is said of a clip to a request to which there is no objection.

    Args:
        output: Of the model: float32 logits `[class]`, or visual tokens `[token, channel]`.
        request: Without a question, a model that answers questions says nothing: an empty text.
        wanted: Which answer it wants.
        task: Of the model.
        questions: Of a model that answers questions.

    Raises:
        ValueError: The model answers in another way, or with what no answer may hold.
    """
    if isinstance(task, Classification):
        return content_of(output, wanted, task)
    if request.question is None:
        return Text("")
    if questions is None or not isinstance(request.question, Text):
        raise ValueError("expected a question in words, and a model that answers such questions")
    (words,) = questions.ask(output, [request.question.value])
    return Text(words)
