"""Clips of video files: a listing of one's own, Something-Something-v2, Kinetics-600."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from approxbit.datasets.dataset import VideoDataset
from approxbit.datasets.kinetics import Kinetics600
from approxbit.datasets.listing import UNLABELED, Listing
from approxbit.datasets.something_something import SomethingSomethingV2, read_labels
from approxbit.datasets.source import ClipSource
from approxbit.datasets.transforms import clip_transform
from approxbit.files import PathLike
from approxbit.tasks import Classification
from approxbit.video.sampling import random_in_segments, uniform_indices

_NO_MEAN, _UNIT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class VideoClips(ClipSource):
    """The paper's protocol: one clip for each video, random crop in training, centre crop otherwise.

    A clip has a frame of each of `num_frames` equal segments of its video: a random one in training, as
    SlowFast takes it, the middle one otherwise. Bad files are skipped with a counted warning in training, and
    stop any other use.

    Args:
        num_frames: Frames of a clip: 32 for MViTv2, 50 for MoViNet.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop; `size` by default.
    """

    def __init__(self, num_frames: int = 32, size: int = 224, short_side: int | None = None) -> None:
        self.num_frames, self.size, self.short_side = num_frames, size, short_side

    @abstractmethod
    def listing(self, split: str) -> Listing:
        """Videos and class indices of a split."""

    @cached_property
    def task(self) -> Classification:  # type: ignore[override]
        """The classes that the first split names."""
        return Classification.of_names(self.listing(self.splits[0]).label_names)

    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        """One clip for each video; see `VideoDataset`."""
        return VideoDataset(
            self.listing(split),
            self.num_frames,
            clip_transform(self.size, _NO_MEAN, _UNIT_STD, training, self.short_side),
            on_error="skip" if training else "raise",
            index_rule=random_in_segments if training else uniform_indices,
        )

    def names(self, split: str, num_clips: int) -> list[str]:
        """The paths of the first videos."""
        return [str(path) for path, _ in self.listing(split)[:num_clips]]


class ListedClips(VideoClips):
    """Any video files, listed in Python.

    Args:
        listings: By split; all have the same label names.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.

    Raises:
        ValueError: There are no listings, or their label names differ.
    """

    title = "own files"

    def __init__(
        self,
        listings: Mapping[str, Listing],
        num_frames: int = 32,
        size: int = 224,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        if len({each.label_names for each in listings.values()}) != 1:
            raise ValueError("listings: expected one or more of the same label names")
        self.listings, self.splits = dict(listings), tuple(listings)

    def listing(self, split: str) -> Listing:
        """Videos and class indices of a split."""
        return self.listings[split]


def clips_of_files(
    paths: Sequence[PathLike], clip_shape: tuple[int, int, int, int], split: str = "video"
) -> ListedClips:
    """A source of video files whose classes nobody knows.

    Args:
        paths: The files.
        clip_shape: Channels, frames, height and width of their clips.
        split: What their split is called.
    """
    _, num_frames, size, _ = clip_shape
    listing = Listing([(Path(path), UNLABELED) for path in paths], label_names=())
    return ListedClips({split: listing}, num_frames, size)


class SomethingSomethingClips(VideoClips):
    """Something-Something-v2 in its official files; its `test` is the validation split, as in the paper.

    Args:
        videos: Folder of `{id}.webm`.
        labels: `something-something-v2-labels.json`.
        train: `something-something-v2-train.json`.
        validation: `something-something-v2-validation.json`.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    title = "Something-Something-v2"

    def __init__(
        self,
        videos: str,
        labels: str,
        train: str,
        validation: str,
        num_frames: int = 32,
        size: int = 224,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.videos, self.labels = videos, labels
        self.files = {"train": train, "validation": validation, "test": validation}

    @cached_property
    def task(self) -> Classification:  # type: ignore[override]
        """The classes of the labels file."""
        return Classification.of_names(read_labels(self.labels))

    def listing(self, split: str) -> Listing:
        """Videos and class indices of a split."""
        missing = "skip" if split == "train" else "raise"
        return SomethingSomethingV2(self.videos, self.labels, self.files[split], missing)


class KineticsClips(VideoClips):
    """Kinetics-600 in its official csv files; its `test` is the validation split, as in the paper.

    Args:
        videos: Folder of `{youtube id}_{start}_{end}.mp4`, or of one folder for each class.
        train: The train csv.
        validation: The validation csv.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    title = "Kinetics-600"

    def __init__(
        self,
        videos: str,
        train: str,
        validation: str,
        num_frames: int = 50,
        size: int = 224,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.videos = videos
        self.files = {"train": train, "validation": validation, "test": validation}

    def listing(self, split: str) -> Listing:
        """Videos and class indices of a split."""
        # Years after its release, many of the videos are gone from the web.
        return Kinetics600(self.videos, self.files[split], self.files["train"], missing="skip")
