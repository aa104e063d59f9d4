"""What training, profiling and priors know of data: clips of a task, split by split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from approxbit.tasks import Classification

SPLITS = ("train", "validation", "test")


class ClipSource(ABC):
    """Clips of a data set, split by split, and the task that their targets answer.

    A batch is `(clip [batch, 3, time, height, width] of RGB in [0, 1], targets [batch])`. A target is a class
    of the task's first label set, or `UNLABELED`.

    Attributes:
        title: What people call the data.
        task: What an answer to a clip means.
        splits: Choices are made on `validation`; what a card says is measured on `test`.
    """

    title: str
    task: Classification
    splits: tuple[str, ...] = SPLITS

    @abstractmethod
    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        """The samples of a split in order, such as `(clip, target)`; with `training`, augmented."""

    def to_batch(self, samples: Any) -> Any:
        """A batch, of what the data set of `clips` gives for several indices."""
        return default_collate(samples)

    def names(self, split: str, num_clips: int) -> list[str]:
        """What people call the first clips of a split."""
        return [f"clip {index}" for index in range(num_clips)]

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
            num_clips: The first so many clips at most; by default all.

        Raises:
            ValueError: There is no such split.
        """
        if split not in self.splits:
            raise ValueError(f"expected one of the splits {', '.join(self.splits)}, found {split!r}")
        dataset: Any = self.clips(split, training)
        if num_clips is not None and num_clips < len(dataset):
            dataset = Subset(dataset, range(num_clips))
        return DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=training,
            drop_last=training,
            num_workers=num_workers,
            collate_fn=self.to_batch,
            pin_memory=torch.cuda.is_available(),
        )
