"""A project of the user's own: a family for a backbone, and the recipe of its first codec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from approxbit import zoo
from approxbit.backbones.splitting import OffloadPoint, choose_offload_points, offload_points
from approxbit.configuration import Configuration
from approxbit.datasets.check import match_source
from approxbit.datasets.table import open_source, parse_source, record_of
from approxbit.families.folder import check_family, list_families, own_checkpoints
from approxbit.families.named import read_backbone_card
from approxbit.files import write_whole
from approxbit.tasks import Classification, require_classification
from approxbit.training.builders import find_backbone
from approxbit.trust import package_of
from approxbit.zoo.importing import NO_ASSERTION

CODEBOOK_SIZE = 16
EARLY = 1 / 3  # of the operations: where the paper's first offload point is, too

_RECIPE = """\
# A codec of {configuration} for {made_of}, on {data}.
#   approxbit train --config {name}.yaml
#   approxbit prior --family {name}{trust}
#   approxbit measure --family {name}{trust}
#   approxbit run --family {name}{trust} my_video.mp4
# Where the backbone can be cut:
{points}
# `approxbit train -- --help` explains every entry.
seed_everything: 1
trust: [{trusted}]
cache_features: true
configurations: [{configuration}]
model:
  class_path: approxbit.training.CodecModule
  init_args:
    backbone: {backbone}
    configuration: {configuration}
    options: {{nested_sizes: [4, 8]}}
    objective: {{task: 1.0, reconstruction: 1.0, binary: 1.0, distillation: 1.0}}
    optimization: {{learning_rate: 3.0e-3, schedule: cosine}}
data:
  class_path: approxbit.training.ClipData
  init_args: {{source: {data}, batch_size: 16}}
trainer:
  default_root_dir: runs/{name}
  accelerator: auto
  devices: 1
  max_epochs: 30
  gradient_clip_val: 1.0
  log_every_n_steps: 20
  callbacks:
    - class_path: approxbit.training.KeepLast
    - class_path: approxbit.training.Release
      init_args: {{family: {name}, recipe: {name}.yaml, checkpoints: {checkpoints}}}
"""


def start_project(
    name: str,
    backbone: str,
    data: str,
    weights: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    configuration: str = "",
) -> Path:
    """Write `<name>.yaml`, which trains a codec for the family `<name>`, and save a new backbone there.

    Args:
        name: Of the family and of the recipe.
        backbone: A builder (`mvitv2_b`) or an import path (`my_package.models:make`), of which the family is
            made; or a family that lies in the user's folder of checkpoints.
        data: A source of clips, such as `folders:clips/`.
        weights: For a builder, as `find_backbone` takes them.
        arguments: Of the builder.
        configuration: Of the codec; by default 16 bits behind the encoder, about a third into the work.

    Returns:
        The recipe.

    Raises:
        FileExistsError: There is such a recipe, or a family that would be written over or hidden.
        ValueError: The backbone or the data cannot be had, or are not for each other; it has no such offload
            point; or `name` cannot be a family's.
        DatasetError: The files of the data are not in their format.
    """
    root, recipe, is_new = own_checkpoints(), Path(f"{check_family(name)}.yaml"), zoo.is_builder(backbone)
    for path in (recipe, *([root / name] if is_new else [])):
        if path.exists():
            raise FileExistsError(f"{path} is there already: remove it, or take another name")
    _check_is_free(name, root)
    builder = backbone if is_new else read_backbone_card(root, backbone).builder
    model = find_backbone(backbone, weights, arguments)
    source, task = match_source(open_source(data), "train", _task_of(backbone), model)
    points = offload_points(model, torch.empty(1, *model.clip_shape))
    chosen = configuration or f"{CODEBOOK_SIZE}-Enc-{choose_offload_points(points, [EARLY])[0].name}"
    model.check_point(Configuration.parse(chosen).offload_point)
    if is_new:
        made = zoo.Provenance(recipe=str(recipe), data=record_of(source), license=NO_ASSERTION)
        zoo.save_backbone(root / name, model, backbone, arguments, task, made)
    packages = sorted({package_of(builder), package_of(parse_source(data).source)} - {""})
    text = _RECIPE.format(
        name=name,
        made_of=backbone,
        backbone=name if is_new else backbone,
        data=json.dumps(data),
        configuration=chosen,
        points="\n".join(f"#   {_describe(point)}" for point in points),
        trusted=", ".join(packages),
        trust="".join(f" --trust {each}" for each in packages),
        checkpoints=root,
    )
    write_whole(recipe, text)
    return recipe


def _check_is_free(name: str, root: Path) -> None:
    """Refuse the name of a family that ships, which the new one would hide from every command."""
    with suppress(ValueError):  # nothing ships here
        if not (root / name).exists() and name in list_families():
            raise FileExistsError(f"{name} is a family that ships with approxbit: take another name")


def _task_of(backbone: str) -> Classification:
    """Of a family; of a builder, classes of which no name is known."""
    if zoo.is_builder(backbone):
        return Classification.of_names()
    return require_classification(zoo.find_task(backbone))


def _describe(point: OffloadPoint) -> str:
    size = f"a feature of {point.feature_bytes:,} bytes as float32"
    return f"{point.name}: {point.edge_flops_share:.0%} of the work on the edge, {size}"
