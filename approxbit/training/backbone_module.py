"""Trains a small backbone from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from approxbit import zoo
from approxbit.codec import Part
from approxbit.tasks import Classification, require_classification
from approxbit.training.data import match_data
from approxbit.training.memory import keep_freed_memory
from approxbit.training.micro_batches import StreamedModule
from approxbit.training.objective import answer_for, compute_top1, task_loss
from approxbit.training.schedule import warmup_cosine
from approxbit.trust import trust_package_of

Batch = tuple[Float[Tensor, "batch 3 time height width"], Int64[Tensor, " batch"]]


class BackboneModule(StreamedModule):
    """Cross-entropy training of a backbone for the task of its data.

    Args:
        backbone: Name of a builder, such as `movinet_a0`, or an import path, such as
            `my_package.models:make`, whose package is trusted from now on; or a family, to go on from it.
        arguments: Keyword arguments of the builder, such as `num_classes` and `clip_shape`; a family has its
            own.
        learning_rate: Peak rate of AdamW.
        weight_decay: Of matrices and convolutions; norms, biases and scalars have none.
        warmup: Share of the steps over which the rate rises.
        label_smoothing: Of the plain cross-entropy when `every_label_set` is off.
        every_label_set: Train the answers in the task's coarser label sets too.
        start: A family of the zoo (`digits-movinet`) whose weights to go on from, instead of from scratch.

    Raises:
        ValueError: The backbone of `start` does not have the weights of `backbone`, or arguments or `start`
            stand beside a family.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        arguments: Mapping[str, Any] | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.08,
        label_smoothing: float = 0.0,
        every_label_set: bool = True,
        start: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        # The layout in which depthwise 3D convolutions are twice as fast on a CPU.
        self.builder, self.arguments = backbone, dict(arguments or {})
        if not zoo.is_builder(backbone):
            self.builder, self.arguments, start = _of_family(backbone, arguments, start)
        trust_package_of(backbone)
        built = zoo.build_backbone(self.builder, self.arguments)
        self.backbone = built.train().to(memory_format=torch.channels_last_3d)
        self.task = Classification.of_names()
        if start is not None:
            self._go_on_from(start)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.label_smoothing = label_smoothing
        self.every_label_set = every_label_set
        shape = (1, 3, 1, 1, 1)
        self.register_buffer("mean", torch.tensor(self.backbone.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(self.backbone.std).view(shape), persistent=False)

    def _go_on_from(self, family: str) -> None:
        try:
            self.backbone.load_state_dict(zoo.load_backbone(family).state_dict())
        except RuntimeError as error:
            raise ValueError(f"the weights of {family} are not those of this backbone: {error}") from error

    def setup(self, stage: str) -> None:
        """Take over the task of the data.

        Raises:
            ValueError: The classes or the clips of the data are not those of the backbone.
        """
        self.task = require_classification(match_data(self, self.task, self.backbone))

    def on_fit_start(self) -> None:
        """Where the allocator allows it, keep the memory of the large activations between steps."""
        keep_freed_memory()

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Logits of clips of RGB in [0, 1]."""
        clip = ((clip - self.mean) / self.std).contiguous(memory_format=torch.channels_last_3d)
        logits: Tensor = self.backbone(clip)
        return logits

    def compute_terms(self, batch: Batch, part: Part) -> dict[str, Float[Tensor, ""]]:
        """The cross-entropies of one batch."""
        clip, labels = batch
        logits = self(clip)
        if self.every_label_set:
            loss = task_loss(self.task, logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return {"loss": loss}

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Top-1 of one batch, in percent."""
        self._log_accuracy("validation", batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Top-1 of one batch, in percent."""
        self._log_accuracy("test", batch)

    def _log_accuracy(self, split: str, batch: Batch) -> None:
        clip, labels = batch
        logits = self(clip)
        for each in self.task.label_sets:
            top1 = compute_top1(*answer_for(each, logits, labels))
            name = f"{split}/top1_{each.name}"
            self.log(name, top1, prog_bar=True, batch_size=len(labels), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine over the whole training."""
        weights = [p for p in self.backbone.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.backbone.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        schedule = warmup_cosine(int(self.trainer.estimated_stepping_batches), self.warmup)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, schedule), "interval": "step"},
        }


def _of_family(
    family: str, arguments: Mapping[str, Any] | None, start: str | None
) -> tuple[str, dict[str, Any], str]:
    """The builder of a family and its arguments, and whose weights to start from."""
    if arguments or start is not None:
        raise ValueError(
            f"the family {family} has its own weights and arguments, "
            f"found start={start!r} and arguments={dict(arguments or {})!r} beside it"
        )
    card = zoo.card(family)
    if not isinstance(card, zoo.BackboneCard):
        raise ValueError(f"expected a family or a builder, found the codec {family!r}")
    return card.builder, dict(card.arguments), family
