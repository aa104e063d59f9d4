"""A family as a whole: its backbone, what it answers, and every model of it."""

from __future__ import annotations

from dataclasses import dataclass

from approxbit.backbones.base import Backbone
from approxbit.families.hub import locate
from approxbit.families.named import find_task
from approxbit.files import PathLike
from approxbit.offload import OffloadedModel
from approxbit.tasks import Task
from approxbit.zoo.store import load_backbone, load_family


@dataclass(frozen=True)
class LoadedFamily:
    """Models that share a backbone; it may have none yet.

    Attributes:
        name: Of the family.
        backbone: The unsplit model.
        task: What its answers mean.
        models: By configuration.
    """

    name: str
    backbone: Backbone
    task: Task
    models: dict[str, OffloadedModel]


def load_whole_family(family: str, checkpoints: PathLike | None = None) -> LoadedFamily:
    """Backbone, task and all models of a family, in eval mode.

    Raises:
        ValueError: There is no such family, it has neither codecs nor a backbone, or its codecs are for
            several backbones.
        WeightsError: As for `load`.
    """
    root, name = locate(family, checkpoints)
    models = load_family(name, root)
    if not models:
        return LoadedFamily(name, load_backbone(name, root), find_task(name, root), {})
    backbones = {id(model.backbone): model.backbone for model in models.values()}
    if len(backbones) > 1:
        raise ValueError(
            f"expected codecs of one backbone, found those of {len(backbones)} in {name}: keep the codecs of "
            "each backbone in a family of their own"
        )
    first = next(iter(models.values()))
    return LoadedFamily(name, first.backbone, first.task, models)
