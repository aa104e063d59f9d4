"""What a device opens of a family: one file that names an exported artefact for each configuration.

    <family>-<digest>.json              `PreparedFamily`: which artefacts, and what no card of theirs says
    <family>--<configuration>-.../      the artefacts, beside the file; one of them holds the unsplit model

It needs no torch: `approxbit.exporting.prepare` writes these files on a host that has it.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Mapping, Sequence

from approxbit.configuration import Configuration
from approxbit.engines.artefact import load_card
from approxbit.engines.opening import open_edge, open_whole
from approxbit.engines.runner import EdgeRunner, WholeRunner
from approxbit.errors import ArtefactError
from approxbit.files import PathLike, load_json, save_json
from approxbit.tasks import Task

_HEADER = {"format": "approxbit-prepared", "version": 1}
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class PreparedFamily:
    """The exported configurations of a family, and the facts about them that their cards do not hold.

    Attributes:
        family: Such as `digits-movinet`.
        task: What an answer of theirs means.
        whole: The artefact that holds the unsplit model.
        artefacts: By configuration; nested ones have that of the codec which holds them.
        feature_bytes: By configuration, the size of its feature as float32.
    """

    family: str
    task: Task
    whole: Path
    artefacts: Mapping[str, Path]
    feature_bytes: Mapping[str, int]

    def only(self, configurations: Sequence[str]) -> "PreparedFamily":
        """Some of the configurations, and the unsplit model.

        Raises:
            ValueError: One is not prepared.
        """
        unknown = [name for name in configurations if name not in self.artefacts]
        if unknown:
            known = ", ".join(self.artefacts)
            raise ValueError(f"{self.family}: expected configurations among {known}, found {unknown[0]}")
        return replace(self, artefacts={name: self.artefacts[name] for name in configurations})

    def open_whole(self, num_threads: int = 1) -> WholeRunner:
        """A runner of the unsplit model.

        Raises:
            ArtefactError: The artefact is not whole.
            ImportError: onnxruntime is not installed.
            ValueError: `num_threads` is below 1.
        """
        return open_whole(self.whole, num_threads=num_threads)

    def open_runners(self, num_threads: int = 1) -> Dict[str, EdgeRunner]:
        """A runner for each configuration; those that are nested in one artefact share what computes.

        Raises:
            ArtefactError: An artefact is not whole, or is another configuration's or another backbone's.
            ImportError: onnxruntime is not installed.
            ValueError: `num_threads` is below 1.
        """
        clip_format = load_card(self.whole).clip_format
        folders = set(self.artefacts.values())
        opened = {folder: open_edge(folder, num_threads=num_threads) for folder in folders}
        for folder, runner in opened.items():
            if runner.clip_format != clip_format:
                raise ArtefactError(
                    f"{folder}: expected the backbone {clip_format.fingerprint:016x} of {self.whole}, "
                    f"found {runner.clip_format.fingerprint:016x}"
                )
        return {name: _choose_bits(opened[folder], name, folder) for name, folder in self.artefacts.items()}


def _choose_bits(runner: EdgeRunner, name: str, folder: Path) -> EdgeRunner:
    """The runner of the configuration: the opened one, or its first bits."""
    found, wanted = runner.code_format.configuration, Configuration.parse(name)
    is_nested = wanted.codebook_size <= found.codebook_size
    if not is_nested or found != replace(wanted, codebook_size=found.codebook_size):
        raise ArtefactError(f"{folder}: expected the configuration {name}, found {found}")
    return runner.first_bits(wanted.codebook_size)


@dataclass(frozen=True)
class _Entry:
    artefact: str
    feature_bytes: int

    def __post_init__(self) -> None:
        _check_folder("artefact", self.artefact)
        if self.feature_bytes < 1:
            raise ValueError(f"feature_bytes: expected a whole number above 0, found {self.feature_bytes}")


@dataclass(frozen=True)
class _PreparedFile:
    family: str
    task: Task
    whole: str
    configurations: Dict[str, _Entry]

    def __post_init__(self) -> None:
        _check_folder("whole", self.whole)
        if not self.configurations:
            raise ValueError("configurations: expected at least one, found none")


def _check_folder(entry: str, name: str) -> None:
    if _FOLDER.fullmatch(name) is None:
        raise ValueError(f"{entry}: expected the name of a folder beside the file, found {name!r}")


def save_prepared(path: PathLike, prepared: PreparedFamily) -> None:
    """Write the file; it appears whole or not at all. The artefacts must lie beside it."""
    sizes = prepared.feature_bytes
    entries = {name: _Entry(folder.name, sizes[name]) for name, folder in prepared.artefacts.items()}
    file = _PreparedFile(prepared.family, prepared.task, prepared.whole.name, entries)
    save_json(path, file, _HEADER)


def load_prepared(path: PathLike) -> PreparedFamily:
    """Read what `save_prepared` wrote; equal to what was saved.

    Raises:
        ArtefactError: The file cannot be read or is not well-formed. The message names file and entry.
    """
    file = load_json(path, _PreparedFile, ArtefactError, _HEADER)
    root, entries = Path(path).parent, file.configurations
    return PreparedFamily(
        file.family,
        file.task,
        root / file.whole,
        {name: root / entry.artefact for name, entry in entries.items()},
        {name: entry.feature_bytes for name, entry in entries.items()},
    )
