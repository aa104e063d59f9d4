"""A family of the zoo -> the artefacts that its edge device opens, exported once and kept.

`approxbit.engines.finding` says where they lie, and finds those that are there. One that is there is whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from approxbit.backbones.base import Backbone
from approxbit.configuration import Configuration
from approxbit.engines import finding
from approxbit.engines.finding import Wanted, WantedFamily, find_prepared, want_family
from approxbit.engines.prepared import PreparedFamily, save_prepared
from approxbit.exporting.export import export_model
from approxbit.exporting.gate import load_target
from approxbit.exporting.graph import require_export_packages
from approxbit.families import locate
from approxbit.files import PathLike
from approxbit.zoo import card, load_family, sketch_backbone

FLOAT32_BYTES = 4


def prepare_family(
    family: str,
    checkpoints: PathLike | None = None,
    cache: PathLike | None = None,
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
    root, family = locate(family, checkpoints)
    found = find_prepared(family, root, cache, configurations)
    if found is not None:
        return found
    wanted = want_family(family, root, cache, configurations)
    wanted.file.parent.mkdir(parents=True, exist_ok=True)
    distinct = {each.folder: each for each in (wanted.whole, *wanted.chosen.values())}.values()
    missing = [each for each in distinct if not each.is_there]
    if missing:
        require_export_packages()
        announce(
            f"exporting {len(missing)} models of {family} to ONNX, some seconds each; "
            f"they are kept in {wanted.file.parent}"
        )
        _export(missing, family, root)
    _write(family, wanted, root)
    return wanted.file


def _export(missing: Sequence[Wanted], family: str, root: Path) -> None:
    models, target = load_family(family, root), load_target(finding.TARGET)
    for each in track(missing, "exporting", console=Console(stderr=True), transient=True):
        with tempfile.TemporaryDirectory(dir=each.folder.parent, prefix=".") as scratch:
            model = models[each.name.partition("/")[2]]
            made = export_model(model, target, Path(scratch) / "new", each.name, whole=each.whole)
            _publish(made, each)


def _publish(made: Path, wanted: Wanted) -> None:
    """Give a finished artefact its name, in place of a damaged one."""
    if wanted.folder.exists() and not wanted.is_there:
        shutil.rmtree(wanted.folder)
    try:
        made.rename(wanted.folder)
    except OSError:
        if not wanted.is_there:  # else another process has just made the same
            raise


def _write(family: str, wanted: WantedFamily, root: Path) -> None:
    codec: Any = card(wanted.whole.name, root)
    owner: Any = card(codec.backbone, root)
    backbone = sketch_backbone(owner.name, checkpoints=root)
    prepared = PreparedFamily(
        family,
        owner.task.asking(codec.asked),
        wanted.whole.folder,
        {name: each.folder for name, each in wanted.chosen.items()},
        {name: feature_bytes(backbone, Configuration.parse(name).offload_point) for name in wanted.chosen},
    )
    save_prepared(wanted.file, prepared)


def feature_bytes(backbone: Backbone, point: str) -> int:
    """Bytes of the feature at an offload point as float32, class tokens included."""
    channels, time, height, width = backbone.feature_shape(point)
    return FLOAT32_BYTES * channels * (time * height * width + backbone.num_tokens(point))
