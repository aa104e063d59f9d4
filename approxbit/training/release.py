"""After training: measure on the test split, and save weights with their card."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.utilities import rank_zero_info
from rich.progress import track
from torch import Tensor

from approxbit import zoo
from approxbit.codec import Codec
from approxbit.data.digits import JOINT_CLASSES
from approxbit.data.label_sets import JOINT
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
        metrics = self._measure(module, trainer.datamodule.test_dataloader())  # type: ignore[attr-defined]
        metrics |= {"optimizer_steps": float(trainer.global_step)}
        provenance = zoo.Provenance(
            recipe=self.recipe, command=_command_line(), seed=_seed(), metrics=metrics
        )
        if isinstance(module, CodecModule):
            zoo.save_codec(
                self.folder,
                module.model.codec,
                arguments=_arguments_of(module.model.codec),
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

    def _measure(self, module: L.LightningModule, batches: Any) -> dict[str, float]:
        """Top-1 of the module, and of each codec that is nested in it under the name of its configuration."""
        metrics = measure_top1(module, batches)
        if not isinstance(module, CodecModule):
            return metrics
        for size in module.model.codec.nested_sizes:
            first = module.model.first_bits(size)
            found = measure_top1(lambda clip, first=first: first(module.normalise(clip)), batches)
            name = first.codec.configuration
            metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
        return metrics


@torch.inference_mode()
def measure_top1(module: Any, batches: Any) -> dict[str, float]:
    """Top-1 (percent) of a model in each label set of Digits-in-Motion.

    Args:
        module: Clips of RGB in [0, 1] -> logits of the joint classes.
        batches: `(clip, joint labels)`, batch by batch.
    """
    logits: list[Float[Tensor, "batch class"]] = []
    labels: list[Tensor] = []
    for clip, target in track(batches, "testing"):
        logits.append(module(clip))
        labels.append(target)
    answers, targets = torch.cat(logits), torch.cat(labels)
    return {
        f"test_top1_{name}": round(compute_top1(*answer_for(name, answers, targets)).item(), 3)
        for name in LABEL_SETS
    }


def _arguments_of(codec: Codec) -> dict[str, Any]:
    """What of a codec was not left to its defaults."""
    arguments: dict[str, Any] = {}
    if codec.encoder_attention is not None:
        arguments["encoder_attention"] = True
    if codec.nested_sizes:
        arguments["nested_sizes"] = list(codec.nested_sizes)
    return arguments


def _command_line() -> str:
    return " ".join(["approxbit", "train", *sys.argv[2:]])


def _seed() -> int | None:
    seed = os.environ.get("PL_GLOBAL_SEED")
    return int(seed) if seed is not None else None
