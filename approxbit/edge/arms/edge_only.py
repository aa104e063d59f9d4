"""The whole model on the device."""

from __future__ import annotations

import time

import numpy as np

from approxbit.edge.arms.arm import Encoded, ms_since
from approxbit.engines.answers import content_of
from approxbit.engines.runner import WholeRunner
from approxbit.select import EDGE_ONLY
from approxbit.tasks import Classification
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
