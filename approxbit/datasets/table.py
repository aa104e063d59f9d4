"""Sources of clips by name: on a command line, in a recipe and in a card.

    on a command line        in a card
    digits                   {"source": "digits"}
    folders:clips/           {"source": "folders", "arguments": {"root": "clips/"}}
    my_package.data:make     {"source": "my_package.data:make"}

`README.md` in this folder shows which files each of them reads.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from approxbit.datasets.source import ClipSource
from approxbit.errors import DatasetError
from approxbit.families import BackboneCard, DataRecord, card, locate, split_name
from approxbit.families.folder import find_configurations
from approxbit.trust import find_named, is_import_path, trust_package_of

_CLASSES = {
    "digits": "approxbit.datasets.digits:DigitsClips",
    "scenes": "approxbit.datasets.scenes.clips:SceneClips",
    "folders": "approxbit.datasets.own_files:FolderClips",
    "list": "approxbit.datasets.own_files:CsvClips",
    "kinetics": "approxbit.datasets.videos:KineticsClips",
    "ssv2": "approxbit.datasets.videos:SomethingSomethingClips",
    "msvd_qa": "approxbit.datasets.questions:MSVDQAClips",
}


def _make(path: str, **arguments: Any) -> ClipSource:
    """By a class whose module is imported now, as some take seconds."""
    module, _, name = path.partition(":")
    source: ClipSource = getattr(importlib.import_module(module), name)(**arguments)
    return source


SOURCES: Mapping[str, Callable[..., ClipSource]] = {
    name: partial(_make, path) for name, path in _CLASSES.items()
}
"""What makes a source, by its short name."""

_PLACES = {"list": "file"}
"""The parameter that says where the files are, where it is not `root`."""
_WITHOUT_FILES = ("digits", "scenes")
"""Sources whose clips are drawn here."""


def parse_source(text: str) -> DataRecord:
    """What a command line or a recipe names.

    Raises:
        ValueError: It is neither a short name with its `:root`, if it has one, nor an import path.

    Example:
        >>> parse_source("folders:clips/")
        DataRecord(source='folders', arguments={'root': 'clips/'})
    """
    name, _, place = text.partition(":")
    if name in SOURCES and not place and name not in _WITHOUT_FILES:
        raise ValueError(f"expected {name} with its folder or file, such as {name}:PATH, found {text!r}")
    if name in SOURCES:
        return DataRecord(name, {_PLACES.get(name, "root"): place} if place else {})
    if is_import_path(text):
        return DataRecord(text)
    raise ValueError(
        f"expected data such as folders:clips/ (one of {', '.join(SOURCES)}, with the folder or file that it "
        f"reads) or an import path of your own, such as my_package.data:make, found {text!r}"
    )


def open_source(text: str) -> ClipSource:
    """The source that a user names himself; an import path is trusted by that.

    Raises:
        ValueError: There is no such source, or it cannot be made.
        DatasetError: Its files are not there, or not in their format.
    """
    record = parse_source(text)
    trust_package_of(record.source)
    try:
        return make_source(record)
    except ValueError as error:
        if record.source in SOURCES:
            raise
        raise ValueError(f"{error}; data known by a short name: {', '.join(SOURCES)}") from error


def make_source(record: DataRecord) -> ClipSource:
    """The source that a card names; the inverse of `record_of`.

    Raises:
        UntrustedError: It is of a package that the user does not trust.
        ValueError: There is no such source, it does not take these arguments, or it is no `ClipSource`.
        DatasetError: Its files are not there, or not in their format.
    """
    make = find_named(record.source, SOURCES, "source of clips")
    try:
        source = make(**record.arguments)
    except TypeError as error:
        given = ", ".join(record.arguments) or "nothing"
        raise ValueError(f"the data {record.source} cannot be made of {given}: {error}") from error
    if not isinstance(source, ClipSource):
        found = type(source).__name__
        raise ValueError(f"{record.source}: expected a ClipSource (approxbit.datasets.source), found {found}")
    if local := set(record.arguments) & set(source.local):
        raise ValueError(f"{record.source}: a card says nothing of this machine, found {', '.join(local)}")
    source.origin = record.source
    source.arguments = dict(record.arguments)
    return source


def record_of(source: ClipSource) -> DataRecord | None:
    """What a card says of a source; None where its arguments are no plain values or its class has no path."""
    cls = type(source)
    path = f"{cls.__module__}:{cls.__qualname__}"
    short = next((name for name, place in _CLASSES.items() if place == path), "")
    name = source.origin or short or path  # of a function, its own and not that of what it gave
    if name not in SOURCES and not is_import_path(name):
        return None
    given = {key: value for key, value in source.arguments.items() if value is not None}
    plain = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value
        for key, value in given.items()
        if key not in source.local
    }
    try:
        return DataRecord(name, json.loads(json.dumps(plain, allow_nan=False)))
    except (TypeError, ValueError):
        return None


def find_source(name: str, checkpoints: str | os.PathLike[str] | None = None) -> ClipSource:
    """The clips that a family or a codec was trained on, as its cards say.

    Args:
        name: A family (`digits-movinet`) or a codec (`digits-movinet/16-Enc-B5`).
        checkpoints: Folder of all families; by default as `find_checkpoints` says.

    Raises:
        ValueError: The cards do not say it.
        DatasetError: These clips cannot be had here.
        UntrustedError: As for `make_source`.
        WeightsError: A card cannot be read.
    """
    record = _find_record(name, checkpoints)
    if record is None:
        raise ValueError(
            f"the cards of {name} do not say which clips it was trained on: name them by --data, such as "
            "--data folders:clips/, or pass a source"
        )
    try:
        source = make_source(record)
        _ = source.task  # which reads the files
    except (ValueError, DatasetError) as error:
        raise DatasetError(
            f"{error}\nThis is what the cards of {name} say of its data ({record.source}): where the clips "
            "are elsewhere, name them by --data, such as --data folders:clips/"
        ) from error
    return source


def _find_record(name: str, checkpoints: str | os.PathLike[str] | None) -> DataRecord | None:
    """Of a codec, of the codecs of a family, else of their backbone."""
    root, name = locate(name, checkpoints)
    family, configuration = split_name(name)
    known = sorted(find_configurations(root / family))
    names = [name] if configuration else [f"{family}/{each}" for each in known]
    backbone = family
    for codec in names:
        found = card(codec, root)
        if found.provenance.data is not None:
            return found.provenance.data
        assert not isinstance(found, BackboneCard)
        backbone = found.backbone
    return card(backbone, root).provenance.data
