"""The whole model on the device."""

from __future__ import annotations

import time

import numpy as np

from approxbit.edge.arms.arm import Encoded, ms_since
from approxbit.engines.answers import content_of
from approxbit.engines.questions import IN_WORDS, QuestionRunner, objection_to, say
from approxbit.engines.runner import WholeRunner
from approxbit.select import EDGE_ONLY
from approxbit.tasks import Classification, QuestionAnswering
from approxbit.wire import Request
from approxbit.wire.content import DEFAULT_WANTED
from approxbit.wire.request import NOTHING_SAID


class EdgeOnlyArm:
    """Answers without a server, in the same kind as one would.

    Args:
        whole: The unsplit model.
        task: What its classes are.
    """

    name = EDGE_ONLY
    code_format = None
    crosses_link = False

    def __init__(self, whole: WholeRunner, task: Classification):
        self._whole = whole
        self._task = task

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The answer to a clip; see `EdgeArm`.

        Raises:
            ValueError: The request is none that a classifier answers.
        """
        start = time.perf_counter()
        clip = self._whole.clip_format.prepare(frames)
        edge_ms = ms_since(start)
        result = self._whole.run(clip)
        start = time.perf_counter()
        answer = content_of(result.logits, request.wanted or DEFAULT_WANTED, self._task)
        return Encoded(edge_ms + result.whole_ms, ms_since(start), answer=answer)


class EdgeOnlyQuestionsArm:
    """Answers questions without a server; without one, it says nothing: an empty text.

    Several questions in a row about the same array of frames need the visual tokens once.

    Args:
        whole: The unsplit model, up to its visual tokens.
        questions: What reads them for a question.
        task: What its answers mean.
    """

    name = EDGE_ONLY
    code_format = None
    crosses_link = False

    def __init__(self, whole: WholeRunner, questions: QuestionRunner, task: QuestionAnswering):
        self._whole, self._questions, self._task = whole, questions, task
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The answer to the question about a clip; see `EdgeArm`.

        Raises:
            ValueError: The question is none that the model takes.
        """
        start = time.perf_counter()
        wanted = request.wanted or IN_WORDS
        objection = objection_to(request, wanted, self._task, self._questions)
        if objection:
            raise ValueError(objection)
        if self._last is None or self._last[0] is not frames:
            visual = self._whole.run(self._whole.clip_format.prepare(frames)).logits
            # An array that others write to is another clip the next time.
            self._last = None if frames.flags.writeable else (frames, visual)
        else:
            visual = self._last[1]
        edge_ms = ms_since(start)
        start = time.perf_counter()
        answer = say(visual, request, wanted, self._task, self._questions)
        return Encoded(edge_ms, ms_since(start), answer=answer)
