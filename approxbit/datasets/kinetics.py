"""Kinetics-600 in its official files."""

from __future__ import annotations

import os
from pathlib import Path

from approxbit.datasets.listing import Listing, check_missing, find_videos, read_rows
from approxbit.errors import DatasetError
from approxbit.files import PathLike

COLUMNS = ("label", "youtube_id", "time_start", "time_end")
"""Columns that a split must have; a further `split` column is ignored."""


class Kinetics600(Listing):
    """Videos and classes of one split.

    A split is a csv with the header `label,youtube_id,time_start,time_end[,split]`. The video of a row is
    `{youtube_id}_{time_start:06d}_{time_end:06d}.mp4`, in the folder itself or in one named like its label.
    Class indices are the places of the labels in the sorted labels of the *train* csv.
    """

    def __init__(self, videos: PathLike, split: PathLike, train: PathLike, missing: str = "raise"):
        """One split.

        Args:
            videos: Folder of video files, or of one folder for each label.
            split: The csv of the split.
            train: The csv of the train split, which fixes the class indices; the same file for training.
            missing: `"raise"` refuses a split with missing video files, `"skip"` leaves them out with
                a counted warning (`.missing` names them); Kinetics loses videos every year.

        Raises:
            DatasetError: A file is not in its format, or videos are missing.
            ValueError: `missing` is neither `"raise"` nor `"skip"`.
        """
        rows = _read_rows(split)
        label_names = read_label_names(train)
        indices = {name: index for index, name in enumerate(label_names)}
        for number, (label, _) in enumerate(rows, start=2):
            if label not in indices:
                raise DatasetError(
                    f"{os.fspath(split)}: line {number}: expected one of the {len(indices)} labels of "
                    f"{os.fspath(train)}, found {label!r}"
                )
        found = find_videos(videos, (".mp4",), subfolders=label_names)
        absent = check_missing([name for _, name in rows], found, videos, missing)
        samples = ((found[name], indices[label]) for label, name in rows if name in found)
        super().__init__(samples, label_names, absent)


def read_label_names(train: PathLike) -> list[str]:
    """Names of the classes in the order of their indices, from the csv of the train split.

    Raises:
        DatasetError: The file is not in its format.
    """
    return sorted({label for label, _ in _read_rows(train)})


def _read_rows(path: PathLike) -> list[tuple[str, str]]:
    """Label and file name without extension of each row."""
    if not Path(path).is_file():
        raise DatasetError(f"{os.fspath(path)}: expected a Kinetics csv, found no file")
    rows = read_rows(path, COLUMNS, ", ".join(COLUMNS))
    if unnamed := [line for line, row in rows if not row["label"]]:
        raise DatasetError(f"{os.fspath(path)}: line {unnamed[0]}: expected a label, found none")
    return [(row["label"], _file_stem(row, path, line)) for line, row in rows]


def _file_stem(row: dict[str, str], path: PathLike, line: int) -> str:
    try:
        start, end = int(row["time_start"]), int(row["time_end"])
    except (TypeError, ValueError):
        raise DatasetError(
            f"{os.fspath(path)}: line {line}: expected whole seconds in time_start and time_end, "
            f"found {row['time_start']!r} and {row['time_end']!r}"
        ) from None
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"
