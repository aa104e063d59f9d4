"""Video files of one's own: a folder for each class, or a csv with a label for each file."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from approxbit.datasets.listing import Listing, find_in, join_names, read_rows
from approxbit.datasets.videos import VideoClips
from approxbit.errors import DatasetError

VIDEO_SUFFIXES = (".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg")

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "val", "validate"), "test": ("test",)}
"""What folders, and the column `split` of a csv, may call each split."""

TEST_SHARE, VALIDATION_SHARE = 0.15, 0.15


class LabeledFile(NamedTuple):
    """A video file, what it shows, and its split; the split is empty where nobody chose it."""

    path: Path
    label: str
    split: str = ""


class _LabeledClips(VideoClips):
    """What class folders and a csv share: labels by name, and a split where none was chosen."""

    title = "own files"
    place: Path

    def read_files(self) -> list[LabeledFile]:
        """All video files.

        Raises:
            DatasetError: A file or folder is not there, or not in its format.
        """
        raise NotImplementedError

    @cached_property
    def _by_split(self) -> dict[str, Listing]:
        return split_files(self.read_files(), self.place)

    def read_listing(self, split: str) -> Listing:
        """Videos and class indices of a split."""
        return self._by_split[split]


class FolderClips(_LabeledClips):
    """A folder of videos for each class.

    Either `root/train/<class>/*.mp4` and the same in `root/validation` and `root/test`, of which one may be
    missing and then is the other; or `root/<class>/*.mp4`, of which about 70 % are for training and 15 % each
    for validation and test. There the hash of class and file name chooses: a file stays in its split whatever
    files come or go. Several clips of one recording are better parted by hand.

    Args:
        root: The folder.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    def __init__(
        self,
        root: str,
        num_frames: int | None = None,
        size: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.place = Path(root)

    def read_files(self) -> list[LabeledFile]:
        """The videos of all classes, of all splits where there is a folder for each."""
        if not self.place.is_dir():
            raise DatasetError(f"{self.place}: expected a folder of one folder of videos for each class")
        train = self.place / "train"
        if not (train.is_dir() and any(path.is_dir() for path in train.iterdir())):
            return _read_classes(self.place)
        found = _read_classes(train, "train")
        for split in ("validation", "test"):
            if any((self.place / name).is_dir() for name in SPLIT_NAMES[split]):
                found += _read_classes(find_in(self.place, SPLIT_NAMES[split]), split)
        return found


class CsvClips(_LabeledClips):
    """A csv with the header `path,label` or `path,label,split`, one line for each video.

    Paths are absolute, or relative to the folder of the csv. A split is `train`, `validation` or `test`;
    where there is no such column, it is chosen as `FolderClips` does it.

    Args:
        file: The csv.
        num_frames: See `VideoClips`, as all that follow.
        size: Height and width of a clip.
        short_side: Length of the shorter side before the crop.
    """

    def __init__(
        self,
        file: str,
        num_frames: int | None = None,
        size: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__(num_frames, size, short_side)
        self.place = Path(file)

    def read_files(self) -> list[LabeledFile]:
        """The videos of all lines."""
        if not self.place.is_file():
            raise DatasetError(
                f"{self.place}: expected a csv of the columns path,label[,split], found no file"
            )
        rows = read_rows(self.place, ("path", "label"), "path,label[,split]")
        files = [self._read_row(row, line) for line, row in rows]
        if absent := [str(each.path) for each in files if not each.path.is_file()]:
            count = f"{len(absent)} of {len(files)} are missing: {join_names(absent)}"
            raise DatasetError(f"{self.place}: expected a file for each line, {count}")
        return files

    def _read_row(self, row: dict[str, str], line: int) -> LabeledFile:
        path, label, split = (row.get(key) or "" for key in ("path", "label", "split"))
        if not path or not label:
            raise DatasetError(f"{self.place}: line {line}: expected a path and a label, found {row}")
        named = [split for split, names in SPLIT_NAMES.items() if row.get("split") in names]
        if "split" in row and not named:
            expected = ", ".join(SPLIT_NAMES)
            raise DatasetError(f"{self.place}: line {line}: expected a split of {expected}, found {split!r}")
        return LabeledFile(self.place.parent / path, label, *named)


def choose_split(label: str, name: str) -> str:
    """The split of a file, by the hash of its class and its name alone.

    Example:
        >>> [choose_split("wave", f"{number}.mp4") for number in (1, 3, 9)]
        ['test', 'train', 'validation']
    """
    digest = hashlib.sha256(f"{label}/{name}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def split_files(files: Iterable[LabeledFile], place: Path) -> dict[str, Listing]:
    """Listings of all splits; classes are sorted by name, and a warning names those with none to train on.

    Args:
        files: Of all splits. Where validation or test has none, it is the other.
        place: Where they come from, for messages.

    Raises:
        DatasetError: A split has no files, or a video is in two splits or has two labels.
    """
    chosen = [
        each if each.split else each._replace(split=choose_split(each.label, each.path.name))
        for each in files
    ]
    _check_each_is_one_thing(chosen, place)
    label_names = sorted({each.label for each in chosen})
    numbers = {name: index for index, name in enumerate(label_names)}
    parts = {
        split: [(each.path, numbers[each.label]) for each in chosen if each.split == split]
        for split in SPLIT_NAMES
    }
    parts["validation"] = parts["validation"] or parts["test"]
    parts["test"] = parts["test"] or parts["validation"]
    if empty := [split for split, samples in parts.items() if not samples]:
        raise DatasetError(
            f"{place}: expected videos for train and for validation or test, found {len(chosen)} in all and "
            f"none for {' and '.join(empty)}: add files, or choose the splits by hand (train/<class>/, "
            "validation/<class>/ and test/<class>/, or a csv of path,label,split)"
        )
    learned = {label for _, label in parts["train"]}
    if unseen := [name for name in label_names if numbers[name] not in learned]:
        warnings.warn(f"{place}: no videos to train on of the classes {join_names(unseen)}", stacklevel=2)
    return {split: Listing(samples, label_names) for split, samples in parts.items()}


def _check_each_is_one_thing(files: Iterable[LabeledFile], place: Path) -> None:
    """A video in two splits makes its figures too good, and with two labels one of them is wrong."""
    seen: dict[Path, LabeledFile] = {}
    for each in files:
        first = seen.setdefault(Path(os.path.abspath(each.path)), each)
        if (first.label, first.split) != (each.label, each.split):
            raise DatasetError(
                f"{place}: expected each video in one split and with one label, found {each.path} as "
                f"{first.label!r} in {first.split} and as {each.label!r} in {each.split}"
            )


def _read_classes(folder: Path, split: str = "") -> list[LabeledFile]:
    """The videos in the folders of a folder, each called for its class, in the order of their names."""
    found = [
        LabeledFile(path, path.parent.name, split)
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        there = join_names(sorted(os.listdir(folder))) or "nothing"
        raise DatasetError(
            f"{folder}: expected a folder of videos ({', '.join(VIDEO_SUFFIXES[:3])}, ...) for each class, "
            f"found {there}"
        )
    return found
