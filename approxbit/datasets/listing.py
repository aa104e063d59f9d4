"""What the loaders of all data sets share: a checked list of (video file, class index). No torch."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from approxbit.errors import DatasetError
from approxbit.files import PathLike

UNLABELED = -1
"""Class index of videos whose annotations carry no class, as in test splits."""

_NAMED_IN_MESSAGES = 5


class Listing(Sequence[tuple[Path, int]]):
    """A data set as a sequence of (path, class index), with the names of its classes.

    Example:
        >>> listing = Listing([(Path("1.webm"), 1)], label_names=["push", "pull"])
        >>> listing[0], listing.label_names[listing[0][1]]
        ((PosixPath('1.webm'), 1), 'pull')
    """

    def __init__(
        self, samples: Iterable[tuple[Path, int]], label_names: Iterable[str], missing: Iterable[str] = ()
    ):
        """A listing.

        Args:
            samples: Video files with class indices into `label_names`, or `UNLABELED`.
            label_names: Names of the classes, in the order of their indices.
            missing: Names of annotated videos that have no file and were left out.
        """
        self.samples = tuple(samples)
        self.label_names = tuple(label_names)
        self.missing = tuple(missing)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]


def read_rows(path: PathLike, columns: Sequence[str], expected: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a csv in UTF-8, each with the line on which it ends.

    Args:
        path: The csv.
        columns: Those that its header must have.
        expected: The same for messages.

    Raises:
        DatasetError: It is no csv in UTF-8, or has other columns.
    """
    name = os.fspath(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if not set(columns) <= set(header):
                found = ", ".join(header) or "none"
                raise DatasetError(f"{name}: expected the columns {expected}, found {found:.200}")
            return [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{name}: expected a csv in UTF-8, found another file: {error}") from error


def find_videos(
    folder: PathLike, extensions: Sequence[str], subfolders: Iterable[str] = ()
) -> dict[str, Path]:
    """Video files of a folder by name without extension, from one directory scan each.

    Args:
        folder: Where the videos are.
        extensions: Accepted ones with their dots; of two files of one name the earlier extension wins.
        subfolders: Further folders inside `folder`, searched where they exist.

    Raises:
        DatasetError: There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatasetError(f"{root}: expected a folder of {' or '.join(extensions)} files, found none")
    names = set(os.listdir(root))
    folders = [root, *(root / name for name in sorted(set(subfolders)) if name in names)]
    found: dict[str, Path] = {}
    for place in folders:
        files = names if place is root else os.listdir(place)
        for extension in reversed(extensions):
            found.update(
                {name[: -len(extension)]: place / name for name in files if name.endswith(extension)}
            )
    return found


def find_in(root: PathLike, names: Sequence[str]) -> Path:
    """The first of several names under which a folder may hold the same thing.

    Raises:
        DatasetError: It holds none of them.
    """
    for name in names:
        if (Path(root) / name).exists():
            return Path(root) / name
    found = join_names(sorted(os.listdir(root))) if Path(root).is_dir() else ""
    raise DatasetError(f"{os.fspath(root)}: expected {' or '.join(names)} in it, found {found or 'nothing'}")


def check_missing(wanted: Sequence[str], found: dict[str, Path], folder: PathLike, missing: str) -> list[str]:
    """Names in `wanted` that have no file, in order and once each.

    Args:
        wanted: Names of videos without extension.
        found: Files by name, from `find_videos`.
        folder: Named in messages.
        missing: `"raise"` refuses missing files, `"skip"` counts them in a warning.

    Raises:
        DatasetError: Files are missing and `missing` is `"raise"`, or all of them are.
        ValueError: `missing` is neither `"raise"` nor `"skip"`.
    """
    if missing not in ("raise", "skip"):
        raise ValueError(f"missing must be 'raise' or 'skip', found {missing!r}")
    unique = list(dict.fromkeys(wanted))
    absent = [name for name in unique if name not in found]
    if not absent:
        return []
    count = f"{len(absent)} of {len(unique)} videos are missing: {join_names(absent)}"
    if missing == "raise" or len(absent) == len(unique):
        raise DatasetError(f"{os.fspath(folder)}: expected a file for each annotated video, {count}")
    warnings.warn(f"{os.fspath(folder)}: skipped, {count}", stacklevel=3)
    return absent


def join_names(names: Sequence[str]) -> str:
    """The first few names, for a message.

    Example:
        >>> join_names(list("abcdefg"))
        'a, b, c, d, e, ...'
    """
    return ", ".join(names[:_NAMED_IN_MESSAGES]) + (", ..." if len(names) > _NAMED_IN_MESSAGES else "")


def get_text(entry: dict[str, Any], key: str, path: PathLike, index: int) -> str:
    """Text or number `entry[key]` as text, where `entry` is number `index` of the list in a JSON file.

    Raises:
        DatasetError: The entry has no such field, or it is neither.
    """
    if key not in entry:
        found = ", ".join(map(repr, entry))
        raise DatasetError(f"{os.fspath(path)}: entry {index}: expected the field {key!r}, found {found}")
    if not isinstance(entry[key], (str, int)):
        raise DatasetError(f"{os.fspath(path)}: entry {index}: {key}: expected text, found {entry[key]!r}")
    return str(entry[key])
