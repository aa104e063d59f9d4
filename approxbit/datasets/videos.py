"""Clips of video files: those of a listing, Something-Something-v2, Kinetics-600."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from approxbit.datasets.dataset import VideoDataset
from approxbit.datasets.kinetics import Kinetics600, read_label_names
from approxbit.datasets.listing import UNLABELED, Listing, find_in
from approxbit.datasets.something_something import SomethingSomethingV2, read_labels
from approxbit.datasets.source import ClipSource
from approxbit.datasets.transforms import clip_transform
from approxbit.errors import DatasetError
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
        num_frames: Frames of a clip; by default those of the backbone, which `fitted` says.
        size: Height and width of a clip, as `num_frames`.
        short_side: Length of the shorter side before the crop; `size` by default.
    """

    def __init__(
        self, num_frames: int | None = None, size: int | None = None, short_side: int | None = None
    ) -> None:
        self.num_frames, self.size, self.short_side = num_frames, size, short_side
        self._listings: dict[str, Listing] = {}

    def listing(self, split: str) -> Listing:
        """Videos and class indices of a split; its files are read once.

        Raises:
            DatasetError: The files are not there, not in their format, or name no video.
        """
        if split not in self._listings:
            found = self.read_listing(split)
            if not found:
                raise DatasetError(f"{self.title}: expected videos in the split {split}, found none")
            self._listings[split] = found
        return self._listings[split]

    @abstractmethod
    def read_listing(self, split: str) -> Listing:
        """Videos and class indices of a split, from its files."""

    @cached_property
    def task(self) -> Classification:  # type: ignore[override]
        """The classes that the first split names."""
        return Classification.of_names(self.listing(self.splits[0]).label_names)

    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        """One clip for each video; see `VideoDataset`.

        Raises:
            ValueError: Nobody has said how many frames a clip has, or how large they are.
        """
        num_frames, size = required_shape(self)
        return VideoDataset(
            self.listing(split),
            num_frames,
            clip_transform(size, _NO_MEAN, _UNIT_STD, training, self.short_side),
            on_error="skip" if training else "raise",
            index_rule=random_in_segments if training else uniform_indices,
        )

    def names(self, split: str, num_clips: int) -> list[str]:
        """The paths of the first videos."""
        return [str(path) for path, _ in self.listing(split)[:num_clips]]


def required_shape(source: ClipSource) -> tuple[int, int]:
    """Frames, and height and width, of the clips of a source.

    Raises:
        ValueError: Nobody has said them.
    """
    if source.num_frames is None or source.size is None:
        raise ValueError(
            f"the clips of {source.title} have the shape of a backbone's: give num_frames and size, or call "
            f"fitted(backbone.clip_shape); found num_frames={source.num_frames} and size={source.size}"
        )
    return source.num_frames, source.size


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
        num_frames: int | None = None,
        size: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        if len({each.label_names for each in listings.values()}) != 1:
            raise ValueError("listings: expected one or more of the same label names")
        self.listings, self.splits = dict(listings), tuple(listings)

    def read_listing(self, split: str) -> Listing:
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
        root: Folder of `something-something-v2-labels.json`, `-train.json` and `-validation.json`, or of
            `labels/labels.json`, `labels/train.json` and `labels/validation.json`.
        videos: Folder of `{id}.webm`; by default `20bn-something-something-v2` or `videos` in `root`.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    title = "Something-Something-v2"

    def __init__(
        self,
        root: str,
        videos: str | None = None,
        num_frames: int | None = None,
        size: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.root, self.videos = Path(root), videos

    @cached_property
    def task(self) -> Classification:  # type: ignore[override]
        """The classes of the labels file."""
        return Classification.of_names(read_labels(self._file("labels")))

    def read_listing(self, split: str) -> Listing:
        """Videos and class indices of a split, from its files."""
        videos = self.videos or find_in(self.root, ("20bn-something-something-v2", "videos"))
        file = self._file("train" if split == "train" else "validation")
        missing = "skip" if split == "train" else "raise"
        return SomethingSomethingV2(videos, self._file("labels"), file, missing)

    def _file(self, name: str) -> Path:
        return find_in(self.root, (f"something-something-v2-{name}.json", f"labels/{name}.json"))


class KineticsClips(VideoClips):
    """Kinetics-600 in its official csv files; its `test` is the validation split, as in the paper.

    Args:
        root: Folder of `train.csv` and `validate.csv` (or `validation.csv`, `val.csv`).
        videos: Folder of `{youtube id}_{start}_{end}.mp4`, or of one folder for each class; by default
            `videos` in `root`, or a folder there for each split: `train` and `val` (or as its csv).
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    title = "Kinetics-600"

    def __init__(
        self,
        root: str,
        videos: str | None = None,
        num_frames: int | None = None,
        size: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.root, self.videos = Path(root), videos

    @cached_property
    def task(self) -> Classification:  # type: ignore[override]
        """The classes of the train csv."""
        return Classification.of_names(read_label_names(self.root / "train.csv"))

    def read_listing(self, split: str) -> Listing:
        """Videos and class indices of a split, from its files."""
        names = ("train",) if split == "train" else ("validate", "validation", "val")
        videos = self.videos or find_in(self.root, ("videos", *names))
        file = find_in(self.root, [f"{each}.csv" for each in names])
        # Years after its release, many of the videos are gone from the web.
        return Kinetics600(videos, file, self.root / "train.csv", missing="skip")
