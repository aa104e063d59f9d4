"""A family of the zoo -> the artefacts that its edge device opens, exported once and kept.

    <cache>/artefacts/<family>--<configuration>-<what it is>-<which tools made it>/

The name holds a hash of everything that an artefact depends on: weights, builder and labels, target, the
source that makes the graphs, and the versions of the exporters. Whatever of it changes, another name is
looked for, so that no artefact is ever stale; one that is there is a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from approxbit.backbones.base import Backbone
from approxbit.configuration import Configuration
from approxbit.datasets.cache import find_cache
from approxbit.datasets.digits import ACTION_CLASSES, JOINT_CLASSES
from approxbit.engines.artefact import load_artefact
from approxbit.engines.prepared import PreparedFamily, save_prepared
from approxbit.errors import ArtefactError
from approxbit.exporting.export import TOOLS, export_model
from approxbit.exporting.gate import Target, load_target
from approxbit.exporting.graph import require_export_packages
from approxbit.families.folder import list_configurations, locate_family
from approxbit.files import to_json
from approxbit.tasks.label_sets import MARGINAL
from approxbit.zoo import build_backbone, card, find_checkpoints, load_family

TARGET = "onnxruntime"
FOLDER = "artefacts"
FLOAT32_BYTES = 4

# What decides on the numbers in a graph: a change there makes all artefacts anew.
SOURCES = ("backbones", "codec", "offload", "exporting")
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class _Wanted:
    """One artefact that shall be there."""

    name: str
    folder: Path
    whole: bool


def prepare_family(
    family: str,
    checkpoints: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    configurations: Sequence[str] | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> Path:
    """The file that `load_prepared` reads on the device; missing artefacts are exported first.

    An export takes seconds for each configuration. The unsplit model, the device's fallback, is exported once
    for a family, beside its first configuration.

    Args:
        family: A family of the zoo.
        checkpoints: Folder of all families; by default as `zoo.find_checkpoints` says.
        cache: Where artefacts are kept; by default as `find_cache` says.
        configurations: Those that the device shall have; by default all of the family.
        announce: Told in a sentence when something must be exported.

    Returns:
        The file, in the folder of the artefacts.

    Raises:
        ValueError: There is no such family, it has no configurations, or none of that name.
        WeightsError: A file of the family is missing or not what its card says.
        ExportError: A model cannot be exported.
        ImportError: Something must be exported, and a package of `approxbit[export]` is missing.
    """
    root, folder = find_checkpoints(checkpoints), find_cache(cache) / FOLDER
    known = [str(each) for each in list_configurations(locate_family(root, family))]
    if not known:
        raise ValueError(f"the family {family} must have at least one configuration, found none")
    chosen = known if configurations is None else list(configurations)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(f"expected configurations among {', '.join(known)}, found {', '.join(chosen)}")
    folder.mkdir(parents=True, exist_ok=True)
    target = load_target(TARGET)
    wanted = {
        name: _want(f"{family}/{name}", root, folder, target, f"{family}/{known[0]}")
        for name in dict.fromkeys((known[0], *chosen))
    }
    distinct = {each.folder: each for each in wanted.values()}.values()
    missing = [each for each in distinct if not _is_whole(each.folder)]
    if missing:
        require_export_packages()
        announce(
            f"exporting {len(missing)} models of {family} to ONNX, some seconds each; "
            f"they are kept in {folder}"
        )
        _export(missing, family, root, target)
    return _write(family, root, folder, wanted[known[0]], {name: wanted[name] for name in chosen})


def _want(name: str, root: Path, folder: Path, target: Target, first: str) -> _Wanted:
    """The artefact by the name that everything it depends on gives it.

    A nested configuration is in the artefact of the codec which holds it. The artefact of the family's
    first configuration holds the unsplit model as well.
    """
    codec: Any = card(name, root)
    name, whole = codec.name, codec.name == card(first, root).name
    backbone: Any = card(codec.backbone, root)
    depends_on = {
        "fingerprint": codec.weights.fingerprint,
        "backbone_fingerprint": codec.backbone_fingerprint,
        "codec": codec.arguments,
        "backbone": [backbone.builder, backbone.arguments, list(backbone.label_names)],
        "target": to_json(target),
        "whole": whole,
        "source": _source_digest(),
    }
    tools = {package: _version(package) for package in TOOLS}
    stem = f"{name.replace('/', '--')}-{_digest(depends_on)}"
    exact = folder / f"{stem}-{_digest(tools)}"
    if "missing" in tools.values() and not exact.is_dir():
        # Nothing can be exported here: what another set of packages made of the same model is right as well.
        made = [path for path in sorted(folder.glob(f"{stem}-*")) if _is_whole(path)]
        exact = made[-1] if made else exact
    return _Wanted(name, exact, whole)


def _is_whole(folder: Path) -> bool:
    try:
        load_artefact(folder)
    except ArtefactError:
        return False
    return True


def _export(missing: Iterable[_Wanted], family: str, root: Path, target: Target) -> None:
    models = load_family(family, root)
    for each in track(list(missing), "exporting", console=Console(stderr=True), transient=True):
        with tempfile.TemporaryDirectory(dir=each.folder.parent, prefix=".") as scratch:
            model = models[each.name.partition("/")[2]]
            made = export_model(model, target, Path(scratch) / "new", each.name, whole=each.whole)
            _publish(made, each.folder)


def _publish(made: Path, folder: Path) -> None:
    """Give a finished artefact its name, in place of a damaged one."""
    if folder.exists() and not _is_whole(folder):
        shutil.rmtree(folder)
    try:
        made.rename(folder)
    except OSError:
        if not _is_whole(folder):  # else another process has just made the same
            raise


def _write(family: str, root: Path, folder: Path, whole: _Wanted, chosen: Mapping[str, _Wanted]) -> Path:
    codec: Any = card(whole.name, root)
    owner: Any = card(codec.backbone, root)
    with torch.device("meta"):  # its shapes are asked for, no weight is
        backbone = build_backbone(owner.builder, owner.arguments)
    prepared = PreparedFamily(
        family,
        codec.label_set,
        action_names(codec.label_set, owner.label_names),
        whole.folder,
        {name: each.folder for name, each in chosen.items()},
        {name: feature_bytes(backbone, Configuration.parse(name).offload_point) for name in chosen},
    )
    names = {key: str(value) for key, value in vars(prepared).items()}
    path = folder / f"{family}-{_digest(names)}.json"
    save_prepared(path, prepared)
    return path


def action_names(label_set: str, label_names: Sequence[str]) -> tuple[str, ...]:
    """The actions of Digits-in-Motion, where they are asked for and the classes are action x digit."""
    is_marginal = label_set == MARGINAL and tuple(label_names) == JOINT_CLASSES
    return ACTION_CLASSES if is_marginal else ()


def feature_bytes(backbone: Backbone, point: str) -> int:
    """Bytes of the feature at an offload point as float32, class tokens included."""
    channels, time, height, width = backbone.feature_shape(point)
    return FLOAT32_BYTES * channels * (time * height * width + backbone.num_tokens(point))


def _source_digest() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for found in sorted(_PACKAGE.glob(pattern)):
            for path in sorted(found.rglob("*.py")) if found.is_dir() else [found]:
                digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
