"""The card's file: strict JSON with a format name and a version.

The keys are the fields of the classes in `artefact_card`, plus `format` and `version`. Fingerprints stand
at the top, as 16 hexadecimal digits: `fingerprint` is the codec's, `backbone_fingerprint` the backbone's.
A dimension that may vary is null. The tables of the codec's prior lie in a file of their own beside the card,
which gives their sha256, or null where codes cross packed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from approxbit.configuration import Configuration
from approxbit.engines.artefact_card import Card, GraphCard, TensorCard, Tolerance
from approxbit.engines.runner import ClipFormat, CodeFormat
from approxbit.errors import ArtefactError, WireError
from approxbit.wire import Prior, read_prior

FORMAT = "approxbit-export"
VERSION = 3  # 1 had no place for the graph of the unsplit model, 2 none for the prior
PRIOR_FILE = "prior.tables"

_HEX64 = re.compile("[0-9a-f]{16}")
_SHA256 = re.compile("[0-9a-f]{64}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_text(path: Path, text: str) -> None:
    """Write a text file that appears whole or not at all."""
    _write_bytes(path, text.encode("utf-8"))


def _write_bytes(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=".", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write(path: Path, card: Card) -> None:
    """Write a card as readable JSON, after the tables of the prior if there are any."""
    clip, code = card.clip_format, card.code_format
    prior = None if code.prior is None else code.prior.to_bytes()
    if prior is not None:
        _write_bytes(path.parent / PRIOR_FILE, prior)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "name": card.name,
        "date": card.date,
        "fingerprint": f"{code.fingerprint:016x}",
        "backbone_fingerprint": f"{clip.fingerprint:016x}",
        "clip_format": {
            "num_frames": clip.num_frames,
            "size": clip.size,
            "mean": list(clip.mean),
            "std": list(clip.std),
        },
        "code_format": {
            "configuration": str(code.configuration),
            "feature_size": list(code.feature_size),
            "num_tokens": code.num_tokens,
            "prior_sha256": None if prior is None else hashlib.sha256(prior).hexdigest(),
        },
        "label_names": list(card.label_names),
        "graphs": {name: _graph_to_json(graph) for name, graph in card.graphs.items()},
        "tolerance": vars(card.tolerance),
        "profile": card.profile,
        "gate": card.gate,
        "tools": card.tools,
    }
    write_text(path, json.dumps(document, indent=2) + "\n")


def _graph_to_json(graph: GraphCard) -> dict[str, Any]:
    tensors = {
        side: [dict(vars(tensor), shape=list(tensor.shape)) for tensor in getattr(graph, side)]
        for side in ("inputs", "outputs")
    }
    return {**vars(graph), **tensors, "float32_layers": list(graph.float32_layers)}


def read(path: Path) -> Card:
    """Read a card.

    Raises:
        ArtefactError: The file cannot be read or is not a well-formed card. The message names the entry.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: expected JSON, found {error}") from error
    try:
        return _card(_Entry("", document), path.parent)
    except (ArtefactError, ValueError) as error:
        raise ArtefactError(f"{path}: {error}") from error


def _no_constant(text: str) -> float:
    raise ValueError(f"{text}, which JSON does not know")


def _read_prior(path: Path, sha256: str) -> Prior:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path.name}: cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArtefactError(f"{path.name}: expected the sha256 {sha256}, found {found}")
    try:
        return read_prior(content)
    except WireError as error:
        raise ArtefactError(f"{path.name}: {error}") from error


def _card(entry: _Entry, folder: Path) -> Card:
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        found = entry.take(key)
        if found != expected or isinstance(found, bool):
            raise entry.invalid(key, repr(expected), found)
    clip, code, tolerance = (entry.entry(key) for key in ("clip_format", "code_format", "tolerance"))
    graphs = entry.entry("graphs")
    prior = code.text_or_null("prior_sha256", _SHA256)
    card = Card(
        name=entry.text("name"),
        date=entry.text("date", _DATE),
        profile=entry.mapping("profile"),
        clip_format=ClipFormat(
            num_frames=clip.whole("num_frames", 1),
            size=clip.whole("size", 1),
            mean=clip.three_numbers("mean"),
            std=clip.three_numbers("std"),
            fingerprint=int(entry.text("backbone_fingerprint", _HEX64), 16),
        ),
        code_format=CodeFormat(
            configuration=Configuration.parse(code.text("configuration")),
            feature_size=code.three_sizes("feature_size"),
            num_tokens=code.whole("num_tokens", 0),
            fingerprint=int(entry.text("fingerprint", _HEX64), 16),
            prior=None if prior is None else _read_prior(folder / PRIOR_FILE, prior),
        ),
        label_names=entry.texts("label_names"),
        graphs={name: _graph(graphs.entry(name)) for name in list(graphs.values)},
        tolerance=Tolerance(tolerance.number("max_flipped_share"), tolerance.number("max_answer_error")),
        gate=entry.mapping("gate"),
        tools=entry.mapping("tools"),
    )
    for each in (clip, code, tolerance, graphs, entry):
        each.finish()
    return card


def _graph(entry: _Entry) -> GraphCard:
    graph = GraphCard(
        file=entry.text("file", _FILE),
        sha256=entry.text("sha256", _SHA256),
        opset=entry.whole("opset", 1),
        ir=entry.whole("ir", 1),
        inputs=tuple(_tensor(each) for each in entry.entries("inputs")),
        outputs=tuple(_tensor(each) for each in entry.entries("outputs")),
        float32_layers=entry.texts("float32_layers"),
        external_data=_hashes(entry.entry("external_data")),
    )
    entry.finish()
    return graph


def _hashes(entry: _Entry) -> dict[str, str]:
    for name in entry.values:
        if _FILE.fullmatch(name) is None:
            raise ArtefactError(f"{entry.name}: expected the name of a file in the folder, found {name!r}")
    return {name: entry.text(name, _SHA256) for name in list(entry.values)}


def _tensor(entry: _Entry) -> TensorCard:
    shape: tuple[int | None, ...] = tuple(entry.items("shape"))
    if not all(size is None or (type(size) is int and size > 0) for size in shape):
        raise entry.invalid("shape", "sizes of at least 1, or null for the batch", list(shape))
    tensor = TensorCard(entry.text("name"), entry.text("dtype"), shape)
    entry.finish()
    return tensor


class _Entry:
    """One JSON object of the card. What is taken is checked; in the end nothing may be left."""

    def __init__(self, name: str, values: Any):
        if not isinstance(values, dict):
            raise ArtefactError(f"{name or 'the card'}: expected a JSON object, found {_short(values)}")
        self.name = name
        self.values: dict[str, Any] = values
        self._taken: list[str] = []

    def path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def invalid(self, key: str, expected: str, found: object) -> ArtefactError:
        return ArtefactError(f"{self.path(key)}: expected {expected}, found {_short(found)}")

    def take(self, key: str) -> Any:
        if key not in self.values:
            raise ArtefactError(f"{self.path(key)}: missing, found {', '.join(self.values) or 'nothing'}")
        self._taken.append(key)
        return self.values[key]

    def finish(self) -> None:
        unknown = [key for key in self.values if key not in self._taken]
        if unknown:
            raise ArtefactError(f"{self.path(unknown[0])}: unknown to version {VERSION} of the format")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.take(key)
        if not isinstance(value, str) or (pattern is not None and pattern.fullmatch(value) is None):
            expected = "text" if pattern is None else f"text of the form {pattern.pattern}"
            raise self.invalid(key, expected, value)
        return value

    def text_or_null(self, key: str, pattern: re.Pattern[str]) -> str | None:
        return self.take(key) if self.values.get(key, "") is None else self.text(key, pattern)

    def whole(self, key: str, minimum: int) -> int:
        value = self.take(key)
        if type(value) is not int or value < minimum:
            raise self.invalid(key, f"a whole number of at least {minimum}", value)
        return value

    def number(self, key: str) -> float:
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.invalid(key, "a number", value)
        return float(value)

    def items(self, key: str) -> list[Any]:
        value = self.take(key)
        if not isinstance(value, list):
            raise self.invalid(key, "a list", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            raise self.invalid(key, "a list of texts", values)
        return tuple(values)

    def three_numbers(self, key: str) -> tuple[float, float, float]:
        values = self.items(key)
        if len(values) != 3 or not all(type(value) in (int, float) for value in values):
            raise self.invalid(key, "three numbers", values)
        return float(values[0]), float(values[1]), float(values[2])

    def three_sizes(self, key: str) -> tuple[int, int, int]:
        values = self.items(key)
        if len(values) != 3 or not all(type(value) is int and value > 0 for value in values):
            raise self.invalid(key, "three whole numbers of at least 1", values)
        return values[0], values[1], values[2]

    def mapping(self, key: str) -> dict[str, Any]:
        return _Entry(self.path(key), self.take(key)).values

    def entry(self, key: str) -> _Entry:
        return _Entry(self.path(key), self.take(key))

    def entries(self, key: str) -> list[_Entry]:
        return [_Entry(f"{self.path(key)}[{index}]", item) for index, item in enumerate(self.items(key))]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
