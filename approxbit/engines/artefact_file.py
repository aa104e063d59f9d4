"""The card's file: strict JSON with a format name and a version.

The keys are those of `_CardFile`. Fingerprints stand at the top, as 16 hexadecimal digits: `fingerprint` is
the codec's, `backbone_fingerprint` the backbone's. A dimension that may vary is null. The tables of the
codec's prior lie in a file of their own beside the card, which gives their sha256, or null where codes cross
packed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from approxbit.configuration import Configuration, Shape3
from approxbit.engines.artefact_card import SHA256, Card, GraphCard, Tolerance, require
from approxbit.engines.runner import ClipFormat
from approxbit.errors import ArtefactError, WireError
from approxbit.files import load_json, read_bytes, save_json, sha256_of, write_whole
from approxbit.wire import CodeFormat, PriorTables

HEADER = {"format": "approxbit-export", "version": 3}  # 1 had no unsplit model, 2 no prior
PRIOR_FILE = "prior.tables"

_HEX64 = re.compile("[0-9a-f]{16}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class _ClipEntry:
    num_frames: int
    size: int
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]

    def __post_init__(self) -> None:
        for name in ("num_frames", "size"):
            require(getattr(self, name) > 0, name, "a whole number of at least 1", getattr(self, name))


@dataclass(frozen=True)
class _CodeEntry:
    configuration: str
    feature_size: Shape3
    num_tokens: int
    prior_sha256: Optional[str]

    def __post_init__(self) -> None:
        require(min(self.feature_size) > 0, "feature_size", "whole numbers of at least 1", self.feature_size)
        require(self.num_tokens >= 0, "num_tokens", "a whole number of at least 0", self.num_tokens)
        sha256 = self.prior_sha256
        is_hash = sha256 is None or SHA256.fullmatch(sha256) is not None
        require(is_hash, "prior_sha256", "64 hexadecimal digits, or null", sha256)
        Configuration.parse(self.configuration)


@dataclass(frozen=True)
class _CardFile:
    name: str
    date: str
    fingerprint: str
    backbone_fingerprint: str
    clip_format: _ClipEntry
    code_format: _CodeEntry
    label_names: Tuple[str, ...]
    graphs: Dict[str, GraphCard]
    tolerance: Tolerance
    target: Dict[str, Any]
    gate: Dict[str, Any]
    tools: Dict[str, str]

    def __post_init__(self) -> None:
        for name, form in (("date", _DATE), ("fingerprint", _HEX64), ("backbone_fingerprint", _HEX64)):
            text = getattr(self, name)
            require(form.fullmatch(text) is not None, name, f"text of the form {form.pattern}", text)


def write(path: Path, card: Card) -> None:
    """Write a card as readable JSON, after the tables of the prior if there are any."""
    clip, code = card.clip_format, card.code_format
    prior = None if code.prior is None else code.prior.to_bytes()
    if prior is not None:
        write_whole(path.parent / PRIOR_FILE, prior)
    file = _CardFile(
        name=card.name,
        date=card.date,
        fingerprint=f"{code.fingerprint:016x}",
        backbone_fingerprint=f"{clip.fingerprint:016x}",
        clip_format=_ClipEntry(clip.num_frames, clip.size, clip.mean, clip.std),
        code_format=_CodeEntry(
            str(code.configuration),
            code.feature_size,
            code.num_tokens,
            None if prior is None else sha256_of(prior),
        ),
        label_names=card.label_names,
        graphs=card.graphs,
        tolerance=card.tolerance,
        target=card.target,
        gate=card.gate,
        tools=card.tools,
    )
    save_json(path, file, HEADER)


def read(path: Path) -> Card:
    """Read a card.

    Raises:
        ArtefactError: The file cannot be read or is not a well-formed card. The message names the entry.
    """
    file = load_json(path, _CardFile, ArtefactError, HEADER)
    try:
        return _make_card(file, path.parent)
    except (ArtefactError, ValueError) as error:
        raise ArtefactError(f"{path}: {error}") from error


def _make_card(file: _CardFile, folder: Path) -> Card:
    clip, code = file.clip_format, file.code_format
    return Card(
        name=file.name,
        target=file.target,
        clip_format=ClipFormat(
            clip.num_frames, clip.size, clip.mean, clip.std, int(file.backbone_fingerprint, 16)
        ),
        code_format=CodeFormat(
            Configuration.parse(code.configuration),
            code.feature_size,
            code.num_tokens,
            int(file.fingerprint, 16),
            None if code.prior_sha256 is None else _read_prior(folder / PRIOR_FILE, code.prior_sha256),
        ),
        label_names=file.label_names,
        graphs=file.graphs,
        tolerance=file.tolerance,
        gate=file.gate,
        tools=file.tools,
        date=file.date,
    )


def _read_prior(path: Path, sha256: str) -> PriorTables:
    content = read_bytes(path, ArtefactError)
    if sha256_of(content) != sha256:
        raise ArtefactError(f"{path.name}: expected the sha256 {sha256}, found {sha256_of(content)}")
    try:
        return PriorTables.from_bytes(content)
    except WireError as error:
        raise ArtefactError(f"{path.name}: {error}") from error
