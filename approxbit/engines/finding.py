"""Where the artefacts of a family lie, found without torch; `approxbit.exporting.prepare` makes missing ones.

    <cache>/artefacts/<family>--<configuration>-<what it is>-<which tools made it>/

The name holds a hash of everything that an artefact depends on: its cards, the target, the source that makes
the graphs, and the versions of the exporters. Whatever of it changes, another name is looked for, so that no
artefact is ever stale.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Mapping, Sequence

from approxbit.engines.artefact import load_artefact
from approxbit.engines.prepared import load_prepared
from approxbit.errors import ArtefactError
from approxbit.families import locate
from approxbit.families.folder import find_cache
from approxbit.families.named import card, list_models
from approxbit.files import PathLike, sha256_of_file, to_json

TARGET = "onnxruntime"
FOLDER = "artefacts"
TOOLS = ("approxbit", "torch", "onnx", "onnxruntime", "onnxscript", "onnxslim")
"""The packages whose versions decide on a graph."""

SOURCES = ("backbones", "codec", "offload", "exporting")
"""The rooms that decide on the numbers in a graph: a change there makes all artefacts anew."""

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Wanted:
    """One artefact that shall be there.

    Attributes:
        name: Family and configuration of the codec.
        folder: Where it lies.
        whole: Whether it shall hold the unsplit model too.
    """

    name: str
    folder: Path
    whole: bool

    @property
    def is_there(self) -> bool:
        """Whether it lies there, and nothing of it is missing or damaged."""
        return _is_artefact(self.folder)


@dataclass(frozen=True)
class WantedFamily:
    """The artefacts of a family's configurations.

    Attributes:
        file: What `load_prepared` reads, once they are there.
        whole: The one that shall hold the unsplit model, the device's fallback: the first of the family.
        chosen: By configuration; nested ones have that of the codec which holds them.
    """

    file: Path
    whole: Wanted
    chosen: Mapping[str, Wanted]


def find_prepared(
    family: str,
    checkpoints: PathLike | None = None,
    cache: PathLike | None = None,
    configurations: Sequence[str] | None = None,
) -> Path | None:
    """The file of a prepared family, if it is there with all its artefacts; torch is not needed.

    Args:
        family: Such as `digits-movinet`.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.
        cache: Where artefacts are kept; by default as `find_cache` says.
        configurations: Those that the device shall have; by default all of the family.

    Raises:
        ValueError: There is no such family, it has no configurations, or none of that name.
        WeightsError: A card cannot be read.
    """
    wanted = want_family(family, checkpoints, cache, configurations)
    try:
        load_prepared(wanted.file)
    except ArtefactError:
        return None
    artefacts = {each.folder: each for each in (wanted.whole, *wanted.chosen.values())}
    return wanted.file if all(each.is_there for each in artefacts.values()) else None


def want_family(
    family: str,
    checkpoints: PathLike | None = None,
    cache: PathLike | None = None,
    configurations: Sequence[str] | None = None,
) -> WantedFamily:
    """Where the artefacts of a family belong, whether they are there or not; see `find_prepared`."""
    root, family = locate(family, checkpoints)
    folder, known = find_cache(cache) / FOLDER, list_models(family, root)
    if not known:
        raise ValueError(
            f"the family {family} must have at least one configuration, found none: graphs for a device hold "
            "a codec; without one, torch can compute its answers (approxbit run --runner torch)"
        )
    chosen = known if configurations is None else list(configurations)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(f"expected configurations among {', '.join(known)}, found {', '.join(chosen)}")
    made_by = {
        "target": sha256_of_file(find_targets() / f"{TARGET}.json", ValueError),
        "source": hash_sources(),
    }
    whole = _want(f"{family}/{known[0]}", root, folder, made_by, f"{family}/{known[0]}")
    wanted = {name: _want(f"{family}/{name}", root, folder, made_by, whole.name) for name in chosen}
    names = {"whole": whole.folder.name, **{name: each.folder.name for name, each in wanted.items()}}
    return WantedFamily(folder / f"{family}-{_digest(names)}.json", whole, wanted)


def _want(name: str, root: Path, folder: Path, made_by: Mapping[str, str], first: str) -> Wanted:
    """The artefact of a configuration; that of the family's first one holds the unsplit model as well."""
    codec: Any = card(name, root)
    is_first = codec.name == card(first, root).name
    cards = [to_json(each) for each in (codec, card(codec.backbone, root))]
    facts = [{key: value for key, value in each.items() if key != "provenance"} for each in cards]
    stem = f"{codec.name.replace('/', '--')}-{_digest([facts, made_by, is_first])}"
    tools = {package: version_of(package) for package in TOOLS}
    exact = folder / f"{stem}-{_digest(tools)}"
    if "missing" in tools.values() and not exact.is_dir():
        # Nothing can be exported here: what another set of packages made of the same model is right as well.
        made = [path for path in sorted(folder.glob(f"{stem}-*")) if _is_artefact(path)]
        exact = made[-1] if made else exact
    return Wanted(codec.name, exact, is_first)


def _is_artefact(folder: Path) -> bool:
    try:
        load_artefact(folder)
    except ArtefactError:
        return False
    return True


def find_targets() -> Path:
    """The folder of targets that was installed with the package, else the one in the repository.

    Raises:
        ValueError: There is none.
    """
    candidates = (_PACKAGE / "_targets", _PACKAGE.parent / "export" / "targets")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise ValueError(f"expected a folder of targets at {' or '.join(map(str, candidates))}: install again")


def version_of(package: str) -> str:
    """The installed version; `missing` where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def hash_sources() -> str:
    """A hash of all files of `SOURCES`."""
    digest = hashlib.sha256()
    for room in SOURCES:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
