"""The one DataModule: clips of whatever source, batch by batch."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch.utils.data import DataLoader

from approxbit.datasets.source import ClipSource
from approxbit.tasks import Classification


class ClipData(L.LightningDataModule):
    """Batches of `(clip of RGB in [0, 1], targets)`; the trained module normalises clips for its backbone.

    Args:
        source: Where clips come from.
        batch_size: Clips of a training batch.
        evaluation_batch_size: Clips of a validation or test batch; by default as many.
        num_workers: Processes that make clips.
    """

    def __init__(
        self,
        source: ClipSource,
        batch_size: int = 16,
        evaluation_batch_size: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self.batch_size, self.num_workers = batch_size, num_workers
        self.evaluation_batch_size = evaluation_batch_size or batch_size

    @property
    def task(self) -> Classification:
        """What the targets answer."""
        return self.source.task

    def loader(self, split: str, training: bool = False) -> DataLoader[Any]:
        """Batches of `train`, `validation` or `test`; see `ClipSource.loader`."""
        batch_size = self.batch_size if training else self.evaluation_batch_size
        return self.source.loader(split, batch_size, training, self.num_workers)

    def train_dataloader(self) -> DataLoader[Any]:
        """Training clips as training wants them."""
        return self.loader("train", training=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation clips in order."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """The test clips in order."""
        return self.loader("test")


def task_of_data(module: L.LightningModule) -> Classification:
    """The task of the data that a module is about to see; one without names where they do not say it."""
    data = getattr(module.trainer, "datamodule", None)
    task: Classification = getattr(data, "task", Classification.of_names())
    return task
