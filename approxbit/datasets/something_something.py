"""Something-Something-v2 in its official files."""

from __future__ import annotations

import os
from typing import Any

from approxbit.datasets.listing import (
    UNLABELED,
    Listing,
    check_missing,
    find_videos,
    get_text,
)
from approxbit.errors import DatasetError
from approxbit.files import PathLike, load_json


class SomethingSomethingV2(Listing):
    """Videos and classes of one split; the paper's "test" videos are the validation split.

    Official files: `something-something-v2-labels.json` maps each class to its index as a string;
    `-train.json` and `-validation.json` list `{"id": "74225", "template": "Holding [something]", ...}`, whose
    class is the template without brackets; `-test.json` lists ids only, which come out `UNLABELED`. The
    video of an id is `{id}.webm`, or `{id}.mp4` where there is no webm.

    Example:
        >>> validation = SomethingSomethingV2(videos, labels, split)  # doctest: +SKIP
        >>> validation[0], validation.label_names[validation[0][1]]  # doctest: +SKIP
        ((PosixPath('videos/74225.webm'), 41), 'Holding something')
    """

    def __init__(self, videos: PathLike, labels: PathLike, split: PathLike, missing: str = "raise"):
        """One split.

        Args:
            videos: Folder of video files.
            labels: The labels JSON.
            split: The train, validation or test JSON.
            missing: `"raise"` refuses a split with missing video files, `"skip"` leaves them out with
                a counted warning (`.missing` names them).

        Raises:
            DatasetError: A file is not in its format, or videos are missing.
            ValueError: `missing` is neither `"raise"` nor `"skip"`.
        """
        label_names = read_labels(labels)
        indices = {name: index for index, name in enumerate(label_names)}
        entries = load_json(split, list[dict[str, Any]], DatasetError)
        annotated = [
            (get_text(entry, "id", split, number), _class_of(entry, indices, split, number))
            for number, entry in enumerate(entries)
        ]
        found = find_videos(videos, (".webm", ".mp4"))
        absent = check_missing([name for name, _ in annotated], found, videos, missing)
        super().__init__(((found[n], label) for n, label in annotated if n in found), label_names, absent)


def read_labels(path: PathLike) -> list[str]:
    """Names of the classes in the order of their indices, from a labels JSON `{"name": "index"}`.

    Raises:
        DatasetError: The file is not in its format, or its indices are not 0 to n - 1.
    """
    table = load_json(path, dict[str, Any], DatasetError)
    indices = sorted(str(index) for index in table.values())
    if indices != sorted(str(index) for index in range(len(table))):
        raise DatasetError(
            f"{os.fspath(path)}: expected the {len(table)} indices 0 to {len(table) - 1}, each once, "
            f"found {', '.join(indices[:10])}"
        )
    return sorted(table, key=lambda name: int(table[name]))


def _class_of(entry: dict[str, Any], indices: dict[str, int], split: PathLike, number: int) -> int:
    """Class index of an entry; entries with nothing but an id belong to the test split."""
    if set(entry) == {"id"}:
        return UNLABELED
    name = get_text(entry, "template", split, number).replace("[", "").replace("]", "")
    if name not in indices:
        raise DatasetError(
            f"{os.fspath(split)}: entry {number}: expected one of the {len(indices)} classes, found {name!r}"
        )
    return indices[name]
