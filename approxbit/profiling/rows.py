"""The rows of a LUT, from what every arm made of some clips: classes, or answers to late questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from approxbit.edge import LocalTransport, Outcome
from approxbit.edge.answer import Parts
from approxbit.edge.arms import EdgeArm
from approxbit.edge.measure import AskedClip, answer_clips, ask_clips, median_times
from approxbit.engines.questions import QuestionRunner, as_question
from approxbit.profiling.evaluation.clips import Question
from approxbit.select import LUTRow
from approxbit.server.service import Service
from approxbit.tasks import Classification, QuestionAnswering, Target
from approxbit.wire import AnswerKind, Logits, Wanted

NUM_WARM_UP = 3
MACRO = "macro"
"""The figure that a selector reads where there are questions: the mean over their families."""
ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)
"""So that every label set can be scored, and not only the one that the family was trained to answer."""


class AskedFrames(NamedTuple):
    """A clip and what is asked about it.

    Attributes:
        frames: uint8 `[time, height, width, 3]`.
        asked: Questions, or the clip's class.
    """

    frames: NDArray[np.uint8]
    asked: Sequence[Question]


def rows_of_classes(
    arms: Sequence[EdgeArm],
    service: Service,
    clips: Sequence[AskedFrames],
    task: Classification,
    num_timed: int,
) -> tuple[LUTRow, ...]:
    """The row of every arm of a classifier, after the first clips were answered once to warm up.

    Args:
        arms: Of the device.
        service: The server, in this process.
        clips: With one class each.
        task: What the classes are; its first figure is the accuracy.
        num_timed: The first so many clips count for the latencies.
    """
    shown = track([*clips[:NUM_WARM_UP], *clips], "answers of all arms")
    frames = (each.frames for each in shown)
    outcomes = list(answer_clips(arms, LocalTransport(service), frames, ALL_LOGITS))[-len(clips) :]
    labels = np.array([each.asked[0].label for each in clips])
    rows = []
    for arm, found in zip(arms, zip(*outcomes, strict=True), strict=True):
        logits = np.stack([each.answer.values for each in found if isinstance(each.answer, Logits)])
        scores = task.score(logits, labels)
        times = median_times(each.parts for each in found[:num_timed])
        rows.append(_row(arm, times, found, scores, task.figures[0]))
    return tuple(rows)


class Witness:
    """Answers questions as another runner does, and remembers the visual tokens of the last one.

    It stands in the server and in the device at once. Whoever asked one question through an arm can then ask
    more about the same tokens in one step, which gives the same answers many times faster.

    Args:
        questions: What answers.
    """

    def __init__(self, questions: QuestionRunner):
        self._questions = questions
        self._visual: np.ndarray | None = None

    def check(self, question: str) -> None:
        """See `QuestionRunner`."""
        self._questions.check(question)

    def ask(self, visual: np.ndarray, questions: Sequence[str]) -> list[str]:
        """See `QuestionRunner`."""
        self._visual = visual
        return self._questions.ask(visual, questions)

    def ask_again(self, questions: Sequence[str]) -> list[str]:
        """The answers to more questions about the clip of the last one."""
        assert self._visual is not None
        return self._questions.ask(self._visual, questions)


def rows_of_questions(
    arms: Sequence[EdgeArm],
    service: Service,
    witness: Witness,
    clips: Sequence[AskedFrames],
    task: QuestionAnswering,
    num_timed: int,
) -> tuple[LUTRow, ...]:
    """The row of every arm of a family that answers questions, after some clips to warm up.

    The clip comes first, its questions afterwards. Times are those of the clip and one question.

    Args:
        arms: Of the device.
        service: The server, in this process.
        witness: What both answer questions with.
        clips: With at least one question each.
        task: How answers are scored. The accuracy is the mean over its question types.
        num_timed: The first so many clips count for the latencies.
    """
    warm, shown = clips[:NUM_WARM_UP], track([*clips[:NUM_WARM_UP], *clips], "answers of all arms")
    asked = ask_clips(
        arms, LocalTransport(service), ((each.frames, as_question(each.asked[0].text)) for each in shown)
    )
    for _ in range(len(warm) * len(arms)):
        next(asked)
    found: list[list[AskedClip]] = [[] for _ in arms]
    answers: list[list[str]] = [[] for _ in arms]
    targets: list[Target] = []
    for clip in clips:
        targets += [Target(each.answer, each.kind) for each in clip.asked]
        for place in range(len(arms)):
            found[place].append(next(asked))
            answers[place] += witness.ask_again([each.text for each in clip.asked])
    rows = []
    for arm, each, said in zip(arms, found, answers, strict=True):
        scores = task.score(said, targets)
        times = median_times(part for part in _parts(each[:num_timed]))
        rows.append(
            _row(arm, times, [one.clip for one in each], {MACRO: task.macro(scores), **scores}, MACRO)
        )
    return tuple(rows)


def _parts(asked: Iterable[AskedClip]) -> Iterable[Parts]:
    return (each.parts for each in asked)


def _row(
    arm: EdgeArm, times: dict[str, Any], outcomes: Sequence[Outcome], scores: dict[str, float], main: str
) -> LUTRow:
    return LUTRow(
        arm.name,
        **times,
        payload_bytes=round(mean(each.payload_bytes for each in outcomes), 2),
        accuracy=scores[main],
        scores=scores,
        raw_bytes=arm.code_format.payload_bytes if arm.code_format else None,
        packet_bytes=round(mean(each.packet_bytes for each in outcomes), 2) if arm.crosses_link else None,
    )
