"""The one DataModule: clips of whatever source, batch by batch."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from approxbit.backbones.base import Backbone
from approxbit.datasets.check import match_source
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import open_source
from approxbit.tasks import QuestionAnswering, Task


class ClipData(L.LightningDataModule):
    """Batches of `(clip of RGB in [0, 1], targets)`; the trained module normalises clips for its backbone.

    Args:
        source: Where clips come from, or its name as on a command line, such as `folders:clips/`.
        batch_size: Clips of a training batch.
        evaluation_batch_size: Clips of a validation or test batch; by default as many.
        num_workers: Processes that make clips.
    """

    def __init__(
        self,
        source: ClipSource | str,
        batch_size: int = 16,
        evaluation_batch_size: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.source = open_source(source) if isinstance(source, str) else source
        self.batch_size, self.num_workers = batch_size, num_workers
        self.evaluation_batch_size = evaluation_batch_size or batch_size

    @property
    def task(self) -> Task:
        """What the targets answer."""
        return self.source.task

    def match(self, task: Task, backbone: Backbone) -> Task:
        """Take the backbone's clip shape where none was asked for, and make sure that the clips are for it.

        Args:
            task: Of the backbone.
            backbone: Which takes the clips.

        Returns:
            The task of the backbone, or that of the clips where the backbone's classes have no names.

        Raises:
            ValueError: The clips are not for the backbone. The message says the cure.
        """
        self.source, task = match_source(self.source, "train", task, backbone)
        return task

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


def match_data(module: L.LightningModule, task: Task, backbone: Backbone) -> Task:
    """What `ClipData.match` says of the data that a module is about to see.

    Of a DataModule without `match`, nothing is known.
    """
    data = getattr(module.trainer, "datamodule", None)
    if data is None or not hasattr(data, "match"):
        return task
    matched: Task = data.match(task, backbone)
    if isinstance(matched, QuestionAnswering):
        what = f"questions ({', '.join(matched.question_types)})"
    else:
        what = f"{matched.num_classes} classes"
    rank_zero_info(
        f"{data.source.title}: {what}, clips {list(backbone.clip_shape)} of RGB in "
        f"[0, 1], normalised with mean {list(backbone.mean)} and std {list(backbone.std)}"
    )
    return matched
