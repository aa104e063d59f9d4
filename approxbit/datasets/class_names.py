"""Names of classes in a file of their own."""

from __future__ import annotations

import os

from approxbit.datasets.something_something import read_labels
from approxbit.errors import DatasetError
from approxbit.files import PathLike, parse_json, read_bytes
from approxbit.files import from_json as read_json


def read_class_names(path: PathLike) -> list[str]:
    """Names of classes in the order of their indices.

    Args:
        path: Text with a name on each line; a JSON list of names; or a JSON table of name -> index, as
            Something-Something-v2 has it.

    Raises:
        DatasetError: The file cannot be read or is none of these, or a name is there twice.
    """
    source, content = os.fspath(path), read_bytes(path, DatasetError)
    start = content.lstrip()[:1]
    if start == b"{":
        return read_labels(path)
    if start == b"[":
        names = read_json(list[str], parse_json(content, source, DatasetError), source, DatasetError)
    else:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise DatasetError(f"{source}: expected text in UTF-8, found {error}") from error
        names = [line.strip() for line in text.splitlines() if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        found = f"{', '.join(twice[:5])} more than once" if twice else "none"
        raise DatasetError(f"{source}: expected names of classes, each once, found {found}")
    return names
