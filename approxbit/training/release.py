"""After training: measure on the test split, and save weights with their card."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.utilities import rank_zero_info
from rich.progress import track
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.datasets.digits import JOINT_CLASSES
from approxbit.offload import OffloadedModel
from approxbit.tasks.label_sets import JOINT
from approxbit.training.backbone_module import BackboneModule
from approxbit.training.codec_module import CodecModule
from approxbit.training.objective import LABEL_SETS, answer_for, compute_top1


class Release(L.Callback):
    """Writes what was trained into the folder of checkpoints once training is through.

    Args:
        family: Such as `digits-movinet`; a codec's file is named for its configuration.
        recipe: Path of the recipe from the top of the repository, for the card.
        checkpoints: Folder of all families.
    """

    def __init__(self, family: str, recipe: str, checkpoints: str = "checkpoints") -> None:
        self.folder = Path(checkpoints) / family
        self.recipe = recipe

    def on_fit_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Measure, then save. An interrupted training releases nothing: resume it first."""
        if trainer.interrupted:
            return
        module.eval()
        metrics = measure_release(module, trainer.datamodule.test_dataloader())  # type: ignore[attr-defined]
        metrics |= {"optimizer_steps": float(trainer.global_step)}
        provenance = zoo.Provenance(
            recipe=self.recipe, command=_command_line(), seed=_seed(), metrics=metrics
        )
        if isinstance(module, CodecModule):
            zoo.save_codec(
                self.folder,
                module.model.codec,
                backbone=module.hparams["backbone"],
                label_set=module.hparams["label_set"],
                provenance=provenance,
            )
        elif isinstance(module, BackboneModule):
            zoo.save_backbone(
                self.folder,
                module.backbone.to(memory_format=torch.contiguous_format),
                builder=module.hparams["backbone"],
                label_set=JOINT,
                label_names=JOINT_CLASSES,
                provenance=provenance,
            )
        rank_zero_info(f"released {self.folder}: {metrics}")


def measure_release(module: L.LightningModule, batches: Any) -> dict[str, float]:
    """Top-1 (percent) of what is released, in each label set of Digits-in-Motion.

    That of a nested codec stands under the name of its configuration.

    Args:
        module: In eval mode.
        batches: `(clip of RGB in [0, 1], joint labels)`, batch by batch.
    """
    if not isinstance(module, CodecModule):
        return measure_top1({"": module}, batches)
    models = {"": module.model}
    for size in module.model.codec.nested_sizes:
        first = module.model.first_bits(size)
        models[f"{first.codec.configuration}_"] = first
    answers = {name: partial(_answer_feature, model) for name, model in models.items()}
    return measure_top1(answers, ((module.compute_feature(clip), labels) for clip, labels in batches))


def _answer_feature(model: OffloadedModel, feature: Feature) -> Float[Tensor, "batch class"]:
    _, _, time, height, width = feature.grid.shape
    return model.answer(model.codec.encode(feature), (time, height, width))


@torch.inference_mode()
def measure_top1(models: Mapping[str, Any], batches: Iterable[Any]) -> dict[str, float]:
    """Top-1 (percent) of several models in each label set of Digits-in-Motion.

    Args:
        models: Input -> logits of the joint classes, by what stands before the names of its metrics.
        batches: `(input, joint labels)`, batch by batch.
    """
    logits: dict[str, list[Float[Tensor, "batch class"]]] = {name: [] for name in models}
    labels: list[Tensor] = []
    for inputs, target in track(batches, "testing"):
        labels.append(target)
        for name, model in models.items():
            logits[name].append(model(inputs))
    targets = torch.cat(labels)
    return {
        f"{name}test_top1_{label_set}": round(compute_top1(*answer_for(label_set, found, targets)).item(), 3)
        for name, found in ((name, torch.cat(parts)) for name, parts in logits.items())
        for label_set in LABEL_SETS
    }


def _command_line() -> str:
    return " ".join(["approxbit", "train", *sys.argv[2:]])


def _seed() -> int | None:
    seed = os.environ.get("PL_GLOBAL_SEED")
    return int(seed) if seed is not None else None
