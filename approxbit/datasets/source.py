"""What training, measuring and priors know of data: clips of a task, split by split."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from copy import copy
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from approxbit.tasks import Task

SPLITS = ("train", "validation", "test")

ClipShape = tuple[int, int, int, int]
"""Channels, frames, height and width."""

Source = TypeVar("Source", bound="ClipSource")


class ClipSource(ABC):
    """Clips of a data set, split by split, and the task that their targets answer.

    A batch is `(clip [batch, 3, time, height, width] of RGB in [0, 1], targets [batch])`. A target of
    classes is one of the task's first label set, or `UNLABELED`.

    Attributes:
        title: What people call the data.
        task: What an answer to a clip means.
        splits: Choices are made on `validation`; what a card says is measured on `test`.
        num_frames: Frames of a clip; None until a backbone says it.
        size: Height and width of a clip, as `num_frames`.
        arguments: What the source was made with, by the names of its parameters.
        origin: What made it, as a card names it, where that was not its class itself.
        local: Names of arguments that are matters of this machine and no property of the clips.
    """

    title: str
    task: Task
    splits: tuple[str, ...] = SPLITS
    num_frames: int | None = None
    size: int | None = None
    arguments: dict[str, Any]
    origin: str = ""
    local: tuple[str, ...] = ()

    def __new__(cls: type[Source], *arguments: Any, **named: Any) -> Source:
        """Remember the arguments, so that a card can say which clips these are."""
        source = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        (_, *given) = signature.bind_partial(source, *arguments, **named).arguments.items()
        source.arguments = {}
        for name, value in given:
            is_rest = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            source.arguments |= value if is_rest else {name: value}
        return source

    @abstractmethod
    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        """The samples of a split in order, such as `(clip, target)`; with `training`, augmented."""

    def first_clips(self, split: str, num_clips: int) -> Dataset[Any]:
        """The first so many samples of a split, or all of them where there are fewer."""
        dataset: Any = self.clips(split)
        return Subset(dataset, range(num_clips)) if num_clips < len(dataset) else dataset

    def to_batch(self, samples: Any) -> Any:
        """A batch, of what the data set of `clips` gives for several indices."""
        return default_collate(samples)

    def names(self, split: str, num_clips: int) -> list[str]:
        """What people call the first clips of a split."""
        return [f"clip {index}" for index in range(num_clips)]

    def groups(self, split: str, num_clips: int) -> list[str]:
        """What the first clips are drawn by together when chance is measured, such as videos or writers.

        By default what `names` calls them: clips of one name are no independent ones.
        """
        return self.names(split, num_clips)

    def answers(self, split: str) -> list[str]:
        """All right answers in words of a split, where they can be had without its clips; else none."""
        return []

    def fitted(self: Source, clip_shape: ClipShape) -> Source:
        """The same clips, of the shape that a backbone takes wherever none was asked for.

        Args:
            clip_shape: Channels, frames, height and width.
        """
        _, num_frames, height, _ = clip_shape
        fitted = copy(self)
        fitted.num_frames = num_frames if self.num_frames is None else self.num_frames
        fitted.size = height if self.size is None else self.size
        return fitted

    def with_frames(self: Source, num_frames: int) -> Source:
        """The same clips with another number of frames."""
        changed = copy(self)
        changed.num_frames = num_frames
        return changed

    def loader(
        self,
        split: str,
        batch_size: int,
        training: bool = False,
        num_workers: int = 0,
        num_clips: int | None = None,
    ) -> DataLoader[Any]:
        """Batches of a split.

        Args:
            split: One of `splits`.
            batch_size: Clips of a batch.
            training: Shuffled and augmented, without the clips that fill no batch; else in order and all.
            num_workers: Processes that make clips.
            num_clips: The first so many clips at most, which are never augmented; by default all.

        Raises:
            ValueError: There is no such split.
        """
        if split not in self.splits:
            raise ValueError(f"expected one of the splits {', '.join(self.splits)}, found {split!r}")
        dataset = self.clips(split, training) if num_clips is None else self.first_clips(split, num_clips)
        return DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=training,
            drop_last=training,
            num_workers=num_workers,
            collate_fn=self.to_batch,
            pin_memory=torch.cuda.is_available(),
        )
