"""What a device opens of a family: one file that names an exported artefact for each configuration.

    <family>-<digest>.json              `PreparedFamily`: which artefacts, and what no card of theirs says
    <family>--<configuration>-.../      the artefacts, beside the file; one of them holds the unsplit model

It needs no torch: `approxbit.exporting.prepare` writes these files on a host that has it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Union

from approxbit.configuration import Configuration
from approxbit.engines.artefact import load_card
from approxbit.engines.artefact_file import write_text
from approxbit.engines.first_bits import FirstBitsRunner
from approxbit.engines.onnx_runner import OnnxEdgeRunner, OnnxWholeRunner
from approxbit.engines.runner import EdgeRunner
from approxbit.errors import ArtefactError

PathLike = Union[str, "os.PathLike[str]"]

FORMAT = "approxbit-prepared"
VERSION = 1

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class PreparedFamily:
    """The exported configurations of a family, and the facts about them that their cards do not hold.

    Attributes:
        family: Such as `digits-movinet`.
        label_set: Which question the configurations were trained to answer.
        action_names: Where the logits are those of action x digit and the question is the action: the names
            of the actions; else empty.
        whole: The artefact that holds the unsplit model.
        artefacts: By configuration; nested ones have that of the codec which holds them.
        feature_bytes: By configuration, the size of its feature as float32.
    """

    family: str
    label_set: str
    action_names: tuple[str, ...]
    whole: Path
    artefacts: Mapping[str, Path]
    feature_bytes: Mapping[str, int]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the logits' classes; empty if they are not known.

        Raises:
            ArtefactError: The card of the unsplit model's artefact cannot be read.
        """
        return load_card(self.whole).label_names

    def open_whole(self, num_threads: int = 1) -> OnnxWholeRunner:
        """A runner of the unsplit model.

        Raises:
            ArtefactError: The artefact is not whole.
            ImportError: onnxruntime is not installed.
            ValueError: `num_threads` is below 1.
        """
        return OnnxWholeRunner(self.whole, num_threads)

    def open_runners(self, num_threads: int = 1) -> dict[str, EdgeRunner]:
        """A runner for each configuration; those that are nested in one artefact share what computes.

        Raises:
            ArtefactError: An artefact is not whole, or is another configuration's or another backbone's.
            ImportError: onnxruntime is not installed.
            ValueError: `num_threads` is below 1.
        """
        clip_format = load_card(self.whole).clip_format
        opened = {folder: OnnxEdgeRunner(folder, num_threads) for folder in set(self.artefacts.values())}
        for folder, runner in opened.items():
            if runner.clip_format != clip_format:
                raise ArtefactError(
                    f"{folder}: expected the backbone {clip_format.fingerprint:016x} of {self.whole}, "
                    f"found {runner.clip_format.fingerprint:016x}"
                )
        return {name: _choose_bits(opened[folder], name, folder) for name, folder in self.artefacts.items()}


def _choose_bits(runner: OnnxEdgeRunner, name: str, folder: Path) -> EdgeRunner:
    """The runner itself, or its first bits, whichever has the configuration."""
    found, wanted = runner.code_format.configuration, Configuration.parse(name)
    if found == wanted:
        return runner
    if wanted.codebook_size > found.codebook_size or found != replace(
        wanted, codebook_size=found.codebook_size
    ):
        raise ArtefactError(f"{folder}: expected the configuration {name}, found {found}")
    return FirstBitsRunner(runner, wanted.codebook_size)


def describe_backend() -> str:
    """What the runners compute with, such as `onnxruntime 1.22.0`.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def save_prepared(path: PathLike, prepared: PreparedFamily) -> None:
    """Write the file; it appears whole or not at all. The artefacts must lie beside it."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "family": prepared.family,
        "label_set": prepared.label_set,
        "action_names": list(prepared.action_names),
        "whole": prepared.whole.name,
        "configurations": {
            name: {"artefact": folder.name, "feature_bytes": prepared.feature_bytes[name]}
            for name, folder in prepared.artefacts.items()
        },
    }
    write_text(Path(path), json.dumps(document, indent=2) + "\n")


def load_prepared(path: PathLike) -> PreparedFamily:
    """Read what `save_prepared` wrote; equal to what was saved.

    Raises:
        ArtefactError: The file cannot be read or is not well-formed. The message names file and entry.
    """
    file = Path(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{file}: expected JSON, found {error}") from error
    try:
        return _read(file.parent, document)
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from error


def _read(root: Path, document: Any) -> PreparedFamily:
    head = ("format", "version", "family", "label_set", "action_names", "whole", "configurations")
    _check_keys("the file", document, head)
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        _check(key, document[key] == expected and document[key] is not True, repr(expected), document[key])
    for key in ("family", "label_set"):
        _check(key, isinstance(document[key], str), "text", document[key])
    names, configurations = document["action_names"], document["configurations"]
    are_texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    _check("action_names", are_texts, "a list of texts", names)
    is_filled = isinstance(configurations, dict) and len(configurations) > 0
    _check("configurations", is_filled, "at least one configuration", configurations)
    artefacts, feature_bytes = {}, {}
    for name, entry in configurations.items():
        where = f"configurations.{name}"
        _check_keys(where, entry, ("artefact", "feature_bytes"))
        size = entry["feature_bytes"]
        _check(where + ".feature_bytes", type(size) is int and size > 0, "a whole number above 0", size)
        artefacts[name] = _folder(root, where + ".artefact", entry["artefact"])
        feature_bytes[name] = size
    return PreparedFamily(
        document["family"],
        document["label_set"],
        tuple(names),
        _folder(root, "whole", document["whole"]),
        artefacts,
        feature_bytes,
    )


def _folder(root: Path, entry: str, name: Any) -> Path:
    is_name = isinstance(name, str) and _FOLDER.fullmatch(name) is not None
    _check(entry, is_name, "the name of a folder beside the file", name)
    return root / str(name)


def _check_keys(entry: str, values: Any, keys: tuple[str, ...]) -> None:
    is_exact = isinstance(values, dict) and sorted(values) == sorted(keys)
    found = sorted(values) if isinstance(values, dict) else values
    _check(entry, is_exact, "an object with " + ", ".join(keys), found)


def _check(entry: str, holds: bool, expected: str, found: object) -> None:
    if not holds:
        text = repr(found)
        raise ArtefactError(f"{entry}: expected {expected}, found {text if len(text) < 80 else text[:77]}")
