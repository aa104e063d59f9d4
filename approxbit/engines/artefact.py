"""An exported artefact: the folder that travels to a device.

    edge.onnx  server.onnx    the two halves
    whole.onnx                the unsplit model, if the device is to fall back to itself
    prior.tables              what the edge codes its codes by, if the codec has a prior
    reference.npz             clips, and what the trained model makes of them: `Reference`
    card.json                 what all of that is: `Card`

Reading it needs only numpy: the build script does so on a device that has nothing else.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from approxbit.engines import artefact_file
from approxbit.engines.artefact_card import GRAPHS, Card, GraphCard, TensorCard, Tolerance
from approxbit.errors import ArtefactError
from approxbit.files import PathLike, sha256_of_file

__all__ = [
    "GRAPHS",
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
]

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
        whole_answer: float32 `[n, ...]`, the unsplit model's answers to the clips; None where the artefact
            holds no graph of it.
    """

    clip: np.ndarray
    packed: np.ndarray
    margin: np.ndarray
    answer: np.ndarray
    whole_answer: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What there is, by its name: the content of `reference.npz`."""
        return {name: array for name, array in vars(self).items() if array is not None}

    def arrays_of(self, graph: str) -> dict[str, np.ndarray]:
        """The arrays that a graph is compared with, by the names of its input and output.

        Raises:
            ValueError: The graph is `whole`, and there are no answers of the unsplit model.
        """
        if graph != "whole":
            return self.arrays
        if self.whole_answer is None:
            raise ValueError("the reference must hold whole_answer for the graph whole, found None")
        return {"clip": self.clip, "answer": self.whole_answer}


@dataclass(frozen=True)
class Artefact:
    """A folder whose card has been read and whose graphs are those that the card describes."""

    folder: Path
    card: Card

    def graph_path(self, graph: str) -> Path:
        """Where the graph `edge`, `server` or `whole` lies.

        Raises:
            ArtefactError: The artefact holds no graph of the unsplit model.
        """
        return self.folder / self.graph_card(graph).file

    def graph_card(self, graph: str) -> GraphCard:
        """The card of the graph `edge`, `server` or `whole`.

        Raises:
            ArtefactError: The artefact holds no graph of the unsplit model.
        """
        if graph not in self.card.graphs:
            raise ArtefactError(f"{self.folder} holds no {graph}.onnx: export it with whole=True (--whole)")
        return self.card.graphs[graph]


def load_artefact(folder: PathLike) -> Artefact:
    """Read the card of a folder and check that its graphs are the files that the card describes.

    Raises:
        ArtefactError: A file is missing or another than the card says, or the card is not well-formed.
    """
    path = Path(folder)
    card = load_card(path)
    for graph in card.graphs.values():
        for name, expected in graph.files.items():
            found = sha256_of_file(path / name, ArtefactError)
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
    names = ("clip", "packed", "margin", "answer") + ("whole_answer",) * artefact.card.has_whole
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            reference = Reference(**{name: arrays[name] for name in names})
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path}: expected the arrays {', '.join(names)}: {error}") from error
    _check_arrays(path, reference, artefact.card)
    return reference


def _check_arrays(path: Path, reference: Reference, card: Card) -> None:
    edge, server = card.graphs["edge"], card.graphs["server"]
    num_bits = card.code_format.configuration.codebook_size * card.code_format.num_positions
    _check_array(path, "clip", reference.clip, "float32", edge.inputs[0].shape[1:])
    count = len(reference)
    _check_array(path, "packed", reference.packed, "uint8", edge.outputs[0].shape[1:], count)
    _check_array(path, "margin", reference.margin, "float16", (num_bits,), count)
    answers = {"answer": reference.answer, "whole_answer": reference.whole_answer}
    for name, array in answers.items():
        if array is not None:
            _check_array(path, name, array, "float32", server.outputs[0].shape[1:], count)


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
    arrays: dict[str, Any] = reference.arrays  # numpy's signature takes them for its own options
    np.savez_compressed(path, **arrays)
    return path
