"""DataModules: clips of RGB in [0, 1] with labels, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from approxbit.datasets.digits import DigitsInMotion


def to_clip(frames: UInt8[Tensor, "batch time height width"]) -> Float[Tensor, "batch 3 time height width"]:
    """Grey frames -> a clip of RGB in [0, 1]."""
    return (frames.float() / 255.0).unsqueeze(1).expand(-1, 3, -1, -1, -1)


def _as_batch(batch: Any) -> tuple[Float[Tensor, "batch 3 time height width"], Int64[Tensor, " batch"]]:
    # `DigitsInMotion` hands over whole batches already.
    frames, labels = batch
    return to_clip(frames), labels


class DigitsWindows:
    """Windows of long videos of Digits-in-Motion, as they slide over a stream.

    A long video shows one action, so it moves at half the pace of a clip. The windows of a video start at
    frames 0, `every`, 2 `every` and so on.

    Args:
        num_train: Videos for training.
        num_test: Videos for the test.
        shifts: Frames from one window to the next, multiples of `every`; 4 and 8 of 16 frames are overlaps
            of 75 % and 50 %.
        num_frames: Frames of a window; a video has twice as many.
        every: Frames between the starts of neighbouring windows.
        cache: Folder for rendered videos; see `DigitsInMotion`.

    Raises:
        ValueError: A shift is not a multiple of `every` from `every` to `num_frames`.
    """

    def __init__(
        self,
        num_train: int = 400,
        num_test: int = 100,
        shifts: Sequence[int] = (4, 8),
        num_frames: int = 16,
        every: int = 4,
        cache: str | None = None,
    ) -> None:
        for shift in shifts:
            if shift % every or not every <= shift <= num_frames:
                raise ValueError(f"shifts must be multiples of {every} up to {num_frames}, found {shift}")
        self.num_videos = {"train": num_train, "test": num_test}
        self.shifts, self.num_frames, self.every = tuple(shifts), num_frames, every
        self.cache = Path(cache) if cache else None

    @property
    def num_windows(self) -> int:
        """Windows of a video."""
        return self.num_frames // self.every + 1

    def batches(self, split: str, videos_per_batch: int = 8) -> Iterator[tuple[Tensor, None]]:
        """All windows of one split, video by video: `(clips of RGB in [0, 1], None)`."""
        videos = DigitsInMotion(split, self.num_videos[split], 2 * self.num_frames, cache=self.cache)
        starts = range(0, self.num_frames + 1, self.every)
        for first in range(0, len(videos), videos_per_batch):
            frames = torch.from_numpy(videos.frames[first : first + videos_per_batch].copy())
            windows = [frames[:, start : start + self.num_frames] for start in starts]
            yield to_clip(torch.stack(windows, dim=1).flatten(0, 1)), None


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
