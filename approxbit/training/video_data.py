"""DataModules over real video files: Something-Something-v2 and Kinetics-600."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from approxbit.datasets.dataset import VideoDataset
from approxbit.datasets.kinetics import Kinetics600
from approxbit.datasets.listing import Listing
from approxbit.datasets.something_something import SomethingSomethingV2
from approxbit.datasets.transforms import clip_transform
from approxbit.video.sampling import random_in_segments, uniform_indices

_NO_MEAN, _UNIT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class VideoData(L.LightningDataModule):
    """The paper's protocol: one clip for each video, random crop in training, centre crop otherwise.

    A clip has a frame of each of `num_frames` equal segments of its video: a random one in training, as
    SlowFast takes it, the middle one otherwise.

    Batches are `(clip [batch, 3, time, height, width] of RGB in [0, 1], class indices)`; the training
    module normalises them for its backbone. Bad files are skipped with a counted warning in training, and
    stop a validation or test.

    Args:
        num_frames: Frames of a clip: 32 for MViTv2, 50 for MoViNet.
        size: Height and width of a clip.
        batch_size: Clips of a batch.
        num_workers: Processes that decode.
        short_side: Length of the shorter side before the crop; `size` by default.
    """

    def __init__(
        self,
        num_frames: int = 32,
        size: int = 224,
        batch_size: int = 16,
        num_workers: int = 8,
        short_side: int | None = None,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.size = size
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.short_side = short_side

    @abstractmethod
    def listing(self, split: str) -> Listing:
        """Videos and class indices of `train`, `validation` or `test`."""

    def loader(self, split: str, shuffle: bool = False) -> DataLoader[Any]:
        """Batches of one split; with `shuffle`, as training wants them."""
        transform = clip_transform(self.size, _NO_MEAN, _UNIT_STD, shuffle, self.short_side)
        dataset = VideoDataset(
            self.listing(split),
            self.num_frames,
            transform,
            on_error="skip" if shuffle else "raise",
            index_rule=random_in_segments if shuffle else uniform_indices,
        )
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=shuffle,
            drop_last=shuffle,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled training clips."""
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation clips in order."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """The validation clips: what the paper calls its test."""
        return self.loader("test")


class SomethingSomethingData(VideoData):
    """Something-Something-v2 in its official files.

    Args:
        videos: Folder of `{id}.webm`.
        labels: `something-something-v2-labels.json`.
        train: `something-something-v2-train.json`.
        validation: `something-something-v2-validation.json`.
        num_frames: See `VideoData`, as all that follow.
        size: Height and width of a clip.
        batch_size: Clips of a batch.
        num_workers: Processes that decode.
    """

    def __init__(
        self,
        videos: str,
        labels: str,
        train: str,
        validation: str,
        num_frames: int = 32,
        size: int = 224,
        batch_size: int = 16,
        num_workers: int = 8,
    ) -> None:
        super().__init__(num_frames, size, batch_size, num_workers)
        self.videos = videos
        self.labels = labels
        self.splits = {"train": train, "validation": validation, "test": validation}

    def listing(self, split: str) -> Listing:
        """Videos and class indices of `train`, `validation` or `test`."""
        missing = "skip" if split == "train" else "raise"
        return SomethingSomethingV2(self.videos, self.labels, self.splits[split], missing)


class KineticsData(VideoData):
    """Kinetics-600 in its official csv files.

    Args:
        videos: Folder of `{youtube id}_{start}_{end}.mp4`, or of one folder for each class.
        train: The train csv.
        validation: The validation csv.
        num_frames: See `VideoData`, as all that follow.
        size: Height and width of a clip.
        batch_size: Clips of a batch.
        num_workers: Processes that decode.
    """

    def __init__(
        self,
        videos: str,
        train: str,
        validation: str,
        num_frames: int = 50,
        size: int = 224,
        batch_size: int = 16,
        num_workers: int = 8,
    ) -> None:
        super().__init__(num_frames, size, batch_size, num_workers)
        self.videos = videos
        self.splits = {"train": train, "validation": validation, "test": validation}

    def listing(self, split: str) -> Listing:
        """Videos and class indices of `train`, `validation` or `test`."""
        # Years after its release, many of the videos are gone from the web.
        return Kinetics600(self.videos, self.splits[split], self.splits["train"], missing="skip")
