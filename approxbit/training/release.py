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
from torch import Tensor, nn

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.datasets.table import record_of
from approxbit.families import card
from approxbit.offload import OffloadedModel
from approxbit.tasks import Classification, QuestionAnswering
from approxbit.training.backbone_module import BackboneModule
from approxbit.training.codec_module import CodecModule
from approxbit.training.language_module import LanguageModule
from approxbit.training.question_module import QuestionModule
from approxbit.training.questions import WHOLE_VIEW, QuestionFigures

SPLIT = "test"


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
        """Make sure, before any step, that what is trained can be tested and have a card.

        Raises:
            ValueError: The codec's backbone is no family in the folder of checkpoints, the data have no test
                split, or the module is a control, which sees less than a clip.
        """
        if isinstance(module, (QuestionModule, LanguageModule)) and module.view != WHOLE_VIEW:
            raise ValueError(f"expected a view of {WHOLE_VIEW!r} for what ships, found {module.view!r}")
        trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
        if not isinstance(module, CodecModule):
            return
        backbone, root = module.hparams["backbone"], self.folder.parent
        if zoo.is_builder(backbone):
            raise ValueError(
                f"expected a backbone with a card in {root}, found the builder {backbone!r}: "
                "save it there as a family (approxbit.zoo.save_backbone), and train for that family"
            )
        zoo.card(backbone, root)

    def on_fit_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Measure, then save. An interrupted training releases nothing: resume it first.

        Of several processes that train together, the first one does it.
        """
        if trainer.interrupted or not trainer.is_global_zero:
            return
        assert isinstance(module, (CodecModule, BackboneModule, QuestionModule, LanguageModule))
        module.eval().float()  # what ships is float32, in whatever precision it was trained
        metrics = measure_release(module, trainer.datamodule.test_dataloader())  # type: ignore[attr-defined]
        metrics |= {"optimizer_steps": float(trainer.global_step)}
        provenance = zoo.Provenance(
            recipe=self.recipe,
            command=_command_line(),
            seed=_seed(),
            metrics=metrics,
            split=SPLIT,
            data=_data_of(trainer),
            **_license_of(module),
        )
        if isinstance(module, CodecModule):
            zoo.save_codec(
                self.folder,
                module.model.codec,
                backbone=module.hparams["backbone"],
                asked=module.task.asked,
                provenance=provenance,
            )
        else:
            zoo.save_backbone(
                self.folder,
                module.backbone.to(memory_format=torch.contiguous_format),
                builder=module.builder,
                arguments=module.arguments,
                task=module.task,
                provenance=provenance,
            )
        rank_zero_info(f"released {self.folder}: {metrics}")


def measure_release(
    module: CodecModule | BackboneModule | QuestionModule | LanguageModule, batches: Any
) -> dict[str, float]:
    """The figures of the task (percent) of what is released.

    Those of a nested codec stand under the name of its configuration.

    Args:
        module: In eval mode.
        batches: `(clip of RGB in [0, 1], labels)`, batch by batch; of questions, as the module takes them.
    """
    if isinstance(module, (QuestionModule, LanguageModule)):
        return module.measure(track(batches, "testing"))
    if not isinstance(module, CodecModule):
        batches = ((clip.to(module.device), labels) for clip, labels in batches)
        return measure_figures(module.task, {"": module}, batches)
    models = {"": module.model}
    for size in module.model.codec.nested_sizes:
        first = module.model.first_bits(size)
        models[f"{first.codec.configuration}_"] = first
    answers = {name: partial(_answer_feature, model) for name, model in models.items()}
    features = ((module.compute_feature(clip.to(module.device)), labels) for clip, labels in batches)
    if isinstance(module.task, QuestionAnswering):
        return measure_questions(module.task, module.model.backbone, answers, features)
    return measure_figures(module.task, answers, features)


@torch.inference_mode()
def measure_questions(
    task: QuestionAnswering, backbone: nn.Module, models: Mapping[str, Any], batches: Iterable[Any]
) -> dict[str, float]:
    """The figures of several models of one backbone that answers questions, percent, and their `macro`.

    Args:
        task: Of all of them.
        backbone: Which answers.
        models: Input -> visual tokens, by what stands before the names of its figures.
        batches: `(input, QuestionTargets)`, batch by batch.
    """
    figures = {name: QuestionFigures() for name in models}
    for inputs, targets in track(batches, "testing"):
        for name, model in models.items():
            figures[name].observe(backbone, model(inputs), targets)
    return {
        f"{name}{figure}": percent
        for name, found in figures.items()
        for figure, percent in found.collect(task).items()
    }


def _answer_feature(model: OffloadedModel, feature: Feature) -> Float[Tensor, "batch class"]:
    _, _, time, height, width = feature.grid.shape
    return model.answer(model.codec.encode(feature), (time, height, width))


@torch.inference_mode()
def measure_figures(
    task: Classification, models: Mapping[str, Any], batches: Iterable[Any]
) -> dict[str, float]:
    """The figures of several models, percent.

    Args:
        task: Of all of them.
        models: Input -> logits of the model's own classes, by what stands before the names of its figures.
        batches: `(input, labels of the model's own classes)`, batch by batch.
    """
    logits: dict[str, list[Float[Tensor, "batch class"]]] = {name: [] for name in models}
    labels: list[Tensor] = []
    for inputs, target in track(batches, "testing"):
        labels.append(target)
        for name, model in models.items():
            logits[name].append(model(inputs).float().cpu())
    targets = torch.cat(labels).numpy()
    return {
        f"{name}{figure}": percent
        for name, parts in logits.items()
        for figure, percent in task.score(torch.cat(parts).numpy(), targets).items()
    }


def _data_of(trainer: L.Trainer) -> zoo.DataRecord | None:
    source = getattr(trainer.datamodule, "source", None)  # type: ignore[attr-defined]
    return None if source is None else record_of(source)


def _license_of(module: L.LightningModule) -> dict[str, str]:
    """Of a codec, that of its backbone's card: what was learned from weights is not freer than they are."""
    backbone = module.hparams["backbone"] if isinstance(module, CodecModule) else ""
    if not backbone or zoo.is_builder(backbone):
        return {}
    return {"license": card(backbone).provenance.license}


def _command_line() -> str:
    return " ".join(["approxbit", "train", *sys.argv[2:]])


def _seed() -> int | None:
    seed = os.environ.get("PL_GLOBAL_SEED")
    return int(seed) if seed is not None else None
