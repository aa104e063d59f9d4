"""The clips of an evaluation with all that is asked about each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from approxbit.datasets.listing import UNLABELED
from approxbit.datasets.source import ClipSource
from approxbit.tasks import Classification, Target


class Question(NamedTuple):
    """One entry: a question about a clip, or the class of a clip.

    Attributes:
        text: In words; empty for a class.
        answer: The right one; empty where it is not known.
        kind: Question type, or empty.
        label: The class of the model, or `UNLABELED`.
    """

    text: str
    answer: str
    kind: str = ""
    label: int = UNLABELED


class Batch(NamedTuple):
    """Some clips.

    Attributes:
        clip: RGB in [0, 1], `[batch, 3, time, height, width]`.
        asked: What is asked about each.
        groups: The group of each.
    """

    clip: Tensor
    asked: list[list[Question]]
    groups: list[str]


class AskedClips:
    """The first clips of a split, batch by batch, the same at every pass.

    Successive samples of one and the same clip, as MSVD-QA has them, become one clip with several questions.

    Args:
        source: Of the clips, in the shape that the model takes.
        split: Whose clips.
        num_clips: How many samples of the source at most; None for all.
        batch_size: Clips of a batch.

    Raises:
        ValueError: There is no such split.
    """

    def __init__(
        self, source: ClipSource, split: str, num_clips: int | None = None, batch_size: int = 32
    ) -> None:
        self._source, self.batch_size = source, batch_size
        self._loader = source.loader(split, batch_size, num_clips=num_clips)
        self.num_samples = len(self._loader.dataset)  # type: ignore[arg-type]
        self._groups = source.groups(split, self.num_samples)

    def __iter__(self) -> Iterator[Batch]:
        kept: list[tuple[Tensor, list[Question], str]] = []
        for (clip, target), group in zip(self._samples(), self._groups, strict=True):
            asked = self._asked(target)
            if kept and asked and not isinstance(target, int) and torch.equal(kept[-1][0], clip):
                kept[-1][1].extend(asked)
                continue
            if len(kept) == self.batch_size:
                yield _to_batch(kept)
                kept = []
            kept.append((clip, asked, group))
        if kept:
            yield _to_batch(kept)

    def _samples(self) -> Iterator[tuple[Tensor, Any]]:
        for clips, targets in self._loader:
            plain = targets.tolist() if isinstance(targets, Tensor) else targets
            yield from zip(clips, plain, strict=True)

    def _asked(self, target: Any) -> list[Question]:
        if isinstance(target, int):
            return [self._class_question(target)]
        pairs = [target] if target and isinstance(target[0], str) else target
        return [_in_words(question, right) for question, right in pairs]

    def _class_question(self, label: int) -> Question:
        task = self._source.task
        assert isinstance(task, Classification)
        name = "" if label == UNLABELED else task.label_sets[0].name_of(label)
        return Question("", name, label=label)


def _in_words(question: str, right: Target) -> Question:
    return Question(question, right.answer, right.question_type)


def _to_batch(kept: list[tuple[Tensor, list[Question], str]]) -> Batch:
    clips, asked, groups = zip(*kept, strict=True)
    return Batch(torch.stack(clips), list(asked), list(groups))
