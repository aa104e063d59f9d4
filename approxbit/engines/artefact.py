"""An exported artefact: the folder that travels to a device.

    edge.onnx  server.onnx    the two halves
    reference.npz             clips, and what the trained model makes of them: `Reference`
    card.json                 what all of that is: `Card`

Reading it needs only numpy: the build script does so on a device that has nothing else.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

from approxbit.engines import artefact_file
from approxbit.engines.artefact_card import Card, GraphCard, TensorCard, Tolerance
from approxbit.errors import ArtefactError

__all__ = [
    "Artefact",
    "Card",
    "GraphCard",
    "Reference",
    "TensorCard",
    "Tolerance",
    "load_artefact",
    "load_card",
    "load_reference",
    "save_card",
    "save_reference",
    "sha256_of",
]

PathLike = Union[str, "os.PathLike[str]"]

CARD_FILE = "card.json"
REFERENCE_FILE = "reference.npz"


@dataclass(frozen=True)
class Reference:
    """What the trained model makes of a few clips.

    Attributes:
        clip: float32 `[n, 3, time, height, width]`.
        packed: uint8 `[n, payload_bytes]`, the packed codes of the clips.
        margin: float16 `[n, bits]`, how far each bit's logit is from the threshold: below it, rounding may
            flip the bit.
        answer: float32 `[n, ...]`, the answers to the codes.
    """

    clip: np.ndarray
    packed: np.ndarray
    margin: np.ndarray
    answer: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)


@dataclass(frozen=True)
class Artefact:
    """A folder whose card has been read and whose graphs are those that the card describes."""

    folder: Path
    card: Card

    def graph_path(self, graph: str) -> Path:
        """Where the graph `edge` or `server` lies."""
        return self.folder / self.card.graphs[graph].file


def load_artefact(folder: PathLike) -> Artefact:
    """Read the card of a folder and check that its graphs are the files that the card describes.

    Raises:
        ArtefactError: A file is missing or another than the card says, or the card is not well-formed.
    """
    path = Path(folder)
    card = load_card(path)
    for graph in card.graphs.values():
        for name, expected in graph.files.items():
            found = sha256_of(path / name)
            if found != expected:
                raise ArtefactError(f"{path / name}: expected the sha256 {expected}, found {found}")
    return Artefact(path, card)


def load_card(folder: PathLike) -> Card:
    """Read what `save_card` wrote; equal to the card that was saved.

    Raises:
        ArtefactError: The file is missing, or not a well-formed card. The message names file and entry.
    """
    return artefact_file.read(Path(folder) / CARD_FILE)


def save_card(card: Card, folder: PathLike) -> Path:
    """Write `card.json`; it appears whole or not at all."""
    path = Path(folder) / CARD_FILE
    artefact_file.write(path, card)
    return path


def load_reference(artefact: Artefact) -> Reference:
    """Read what `save_reference` wrote, and check it against the card.

    Raises:
        ArtefactError: The file is missing or broken, or an array has not the type and shape that the card
            says.
    """
    path = artefact.folder / REFERENCE_FILE
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            reference = Reference(*(arrays[name] for name in ("clip", "packed", "margin", "answer")))
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(
            f"{path}: expected the arrays clip, packed, margin and answer: {error}"
        ) from error
    card = artefact.card
    edge, server = card.graphs["edge"], card.graphs["server"]
    num_bits = card.code_format.configuration.codebook_size * card.code_format.num_positions
    _check_array(path, "clip", reference.clip, "float32", edge.inputs[0].shape[1:])
    count = len(reference)
    _check_array(path, "packed", reference.packed, "uint8", edge.outputs[0].shape[1:], count)
    _check_array(path, "margin", reference.margin, "float16", (num_bits,), count)
    _check_array(path, "answer", reference.answer, "float32", server.outputs[0].shape[1:], count)
    return reference


def _check_array(
    path: Path,
    name: str,
    array: np.ndarray,
    dtype: str,
    shape: tuple[int | None, ...],
    count: int | None = None,
) -> None:
    """Let only arrays `[count, *shape]` pass; a `count` of None stands for any but 0."""
    expected = (max((1, *array.shape[:1])) if count is None else count, *shape)
    if array.dtype != dtype or array.shape != expected:
        sizes = ", ".join(map(str, ("n" if count is None else count, *shape)))
        found = f"{array.dtype} {list(array.shape)}"
        raise ArtefactError(f"{path}: {name}: expected {dtype} [{sizes}], found {found}")


def save_reference(reference: Reference, folder: PathLike) -> Path:
    """Write `reference.npz`."""
    path = Path(folder) / REFERENCE_FILE
    np.savez_compressed(path, **vars(reference))
    return path


def sha256_of(path: PathLike) -> str:
    """Of a file's bytes, 64 hexadecimal digits.

    Raises:
        ArtefactError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise ArtefactError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
