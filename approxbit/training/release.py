"""After training: measure on the test split, and save weights with their card."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
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

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Make sure, before any step, that what is trained can have a card.

        Raises:
            ValueError: The codec's backbone is no family in the folder of checkpoints.
        """
        self._label_sets(module)

    def _label_sets(self, module: L.LightningModule) -> tuple[str, ...]:
        """The label sets in which the module's own classes mean something."""
        if not isinstance(module, CodecModule):
            return LABEL_SETS
        backbone, root = module.hparams["backbone"], self.folder.parent
        if backbone in zoo.BUILDERS:
            raise ValueError(
                f"expected a backbone with a card in {root}, found the builder {backbone!r}: "
                "save it there as a family (approxbit.zoo.save_backbone), and train for that family"
            )
        own = zoo.card(backbone, root).label_set
        return LABEL_SETS if own in LABEL_SETS else (own,)

    def on_fit_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Measure, then save. An interrupted training releases nothing: resume it first."""
        if trainer.interrupted:
            return
        module.eval()
        label_sets = self._label_sets(module)
        batches = trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
        metrics = measure_release(module, batches, label_sets)
        metrics |= {"optimizer_steps": float(trainer.global_step)}
        provenance = zoo.Provenance(
            recipe=self.recipe, command=_command_line(), seed=_seed(), metrics=metrics
        )
        if isinstance(module, CodecModule):
            zoo.save_codec(
                self.folder,
                module.model.codec,
                backbone=module.hparams["backbone"],
                label_set=module.hparams["label_set"] if label_sets == LABEL_SETS else label_sets[0],
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


def measure_release(
    module: L.LightningModule, batches: Any, label_sets: Sequence[str] = LABEL_SETS
) -> dict[str, float]:
    """Top-1 (percent) of what is released, in each label set.

    That of a nested codec stands under the name of its configuration.

    Args:
        module: In eval mode.
        batches: `(clip of RGB in [0, 1], labels)`, batch by batch.
        label_sets: As for `measure_top1`.
    """
    if not isinstance(module, CodecModule):
        return measure_top1({"": module}, batches, label_sets)
    models = {"": module.model}
    for size in module.model.codec.nested_sizes:
        first = module.model.first_bits(size)
        models[f"{first.codec.configuration}_"] = first
    answers = {name: partial(_answer_feature, model) for name, model in models.items()}
    features = ((module.compute_feature(clip), labels) for clip, labels in batches)
    return measure_top1(answers, features, label_sets)


def _answer_feature(model: OffloadedModel, feature: Feature) -> Float[Tensor, "batch class"]:
    _, _, time, height, width = feature.grid.shape
    return model.answer(model.codec.encode(feature), (time, height, width))


@torch.inference_mode()
def measure_top1(
    models: Mapping[str, Any], batches: Iterable[Any], label_sets: Sequence[str] = LABEL_SETS
) -> dict[str, float]:
    """Top-1 (percent) of several models in each of some label sets.

    Args:
        models: Input -> logits of the model's own classes, by what stands before the names of its metrics.
        batches: `(input, labels of the model's own classes)`, batch by batch.
        label_sets: As for `answer_for`; by default those of Digits-in-Motion, whose joint classes the models
            must then answer. An empty name stands for classes whose label set is not known.
    """
    logits: dict[str, list[Float[Tensor, "batch class"]]] = {name: [] for name in models}
    labels: list[Tensor] = []
    for inputs, target in track(batches, "testing"):
        labels.append(target)
        for name, model in models.items():
            logits[name].append(model(inputs))
    targets = torch.cat(labels)
    return {
        f"{name}test_top1_{label_set}".rstrip("_"): round(
            compute_top1(*answer_for(label_set, found, targets)).item(), 3
        )
        for name, found in ((name, torch.cat(parts)) for name, parts in logits.items())
        for label_set in label_sets
    }


def _command_line() -> str:
    return " ".join(["approxbit", "train", *sys.argv[2:]])


def _seed() -> int | None:
    seed = os.environ.get("PL_GLOBAL_SEED")
    return int(seed) if seed is not None else None
