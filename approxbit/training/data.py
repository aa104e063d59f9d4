"""DataModules: clips of RGB in [0, 1] with labels, batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from approxbit.data.digits import DigitsInMotion


def to_clip(frames: UInt8[Tensor, "batch time height width"]) -> Float[Tensor, "batch 3 time height width"]:
    """Grey frames -> a clip of RGB in [0, 1]."""
    return (frames.float() / 255.0).unsqueeze(1).expand(-1, 3, -1, -1, -1)


def _as_batch(batch: Any) -> tuple[Float[Tensor, "batch 3 time height width"], Int64[Tensor, " batch"]]:
    # `DigitsInMotion` hands over whole batches already.
    frames, labels = batch
    return to_clip(frames), labels


class DigitsData(L.LightningDataModule):
    """Digits-in-Motion, rendered straight to tensors.

    Args:
        batch_size: Clips of a training batch.
        num_train: Clips for training.
        num_validation: Clips for validation.
        num_test: Clips for the test.
        evaluation_batch_size: Clips of a validation or test batch.
        cache: Folder for rendered clips; see `DigitsInMotion`.
    """

    def __init__(
        self,
        batch_size: int = 32,
        num_train: int = 24_000,
        num_validation: int = 1_200,
        num_test: int = 2_400,
        evaluation_batch_size: int = 50,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.evaluation_batch_size = evaluation_batch_size
        self.num_clips = {"train": num_train, "validation": num_validation, "test": num_test}
        self.cache = Path(cache) if cache else None

    def loader(self, split: str, shuffle: bool = False) -> DataLoader[Any]:
        """Batches of one split: `(clip [batch, 3, time, height, width] in [0, 1], joint labels [batch])`."""
        return DataLoader(
            DigitsInMotion(split, self.num_clips[split], cache=self.cache),
            batch_size=self.batch_size if shuffle else self.evaluation_batch_size,
            shuffle=shuffle,
            drop_last=shuffle,
            collate_fn=_as_batch,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of the training clips."""
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation clips in order."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """The test clips in order."""
        return self.loader("test")
