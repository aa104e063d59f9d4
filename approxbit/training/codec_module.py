"""Trains one codec for a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from approxbit.backbones.feature import Feature
from approxbit.codec import Codec, FeatureStatistics
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.training.builders import find_backbone
from approxbit.training.objective import ObjectiveParts, answer_for, codec_objective, compute_top1
from approxbit.training.schedule import constant, warmup_cosine

Batch = tuple[Any, Int64[Tensor, " batch"]]


class CodecModule(L.LightningModule):
    """Encoder and decoder learn by Eq. 3 of APPROXBIT; the backbone is frozen and in eval mode.

    ```
    clip -> edge half (frozen) -> feature -> codec -> decoded -> server half (frozen) -> answer
                                     |  lambda1 * MSE  |                          cross-entropy
    ```

    A batch holds clips of RGB in [0, 1], or features that `FeatureData` computed before.

    Args:
        backbone: A release of the zoo (`digits-movinet`), or the name of a builder (`mvitv2_b`).
        configuration: Such as `16-Enc-B5`.
        label_set: What the task loss asks for: `action_digit` (the model's own classes) or `actions`.
        weights: Safetensors file with the weights of a builder; a release has its own.
        num_classes: Classes of a builder's answer, where they are not its default.
        optimizer: `adam` as in the paper for recognition, `adamw` as for question answering.
        learning_rate: 1e-3 in the paper.
        schedule: `constant` as in the paper, or `cosine` with a short warm-up.
        reconstruction_weight: lambda1 of Eq. 3.
        binary_weight: lambda2 of Eq. 3.
        statistics_batches: How many training batches the per-channel statistics are measured on.
    """

    has_statistics: Tensor
    mean_std: Tensor

    def __init__(
        self,
        backbone: str,
        configuration: str,
        label_set: str = "action_digit",
        weights: str | None = None,
        num_classes: int | None = None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        reconstruction_weight: float = 1.0,
        binary_weight: float = 1.0,
        statistics_batches: int = 32,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("optimizer", optimizer, ("adam", "adamw")),
            ("schedule", schedule, ("constant", "cosine")),
            ("label_set", label_set, ("actions", "action_digit")),
        ):
            if value not in known:
                raise ValueError(f"expected {name} to be one of {', '.join(known)}, found {value!r}")
        self.save_hyperparameters()
        self.strict_loading = False  # checkpoints leave the frozen backbone out
        self.configuration = Configuration.parse(configuration)
        frozen = find_backbone(backbone, weights, num_classes)
        point = self.configuration.offload_point
        shape, num_tokens = frozen.feature_shape(point), frozen.num_tokens(point)
        self.model = OffloadedModel(frozen, Codec(shape, self.configuration, num_tokens))
        mean_std = torch.tensor([frozen.mean, frozen.std]).view(2, 1, 3, 1, 1, 1)
        self.register_buffer("mean_std", mean_std, persistent=False)
        self.register_buffer("has_statistics", torch.tensor(False))

    @torch.no_grad()
    def compute_feature(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The frozen edge half on clips of RGB in [0, 1]."""
        return self.model.edge_half(self._normalise(clip))

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Answer to clips of RGB in [0, 1], through the code."""
        return self.model(self._normalise(clip))

    def _normalise(
        self, clip: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch 3 time height width"]:
        mean, std = self.mean_std
        return (clip - mean) / std

    def on_fit_start(self) -> None:
        """Put the codec in training mode; measure the features' statistics before the first step."""
        self.train()  # Lightning leaves modes as they are, and in eval mode the bits have no gradient
        if bool(self.has_statistics):
            return
        statistics = FeatureStatistics()
        batches = self.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        for inputs, _ in islice(batches, self.hparams["statistics_batches"]):
            feature = inputs if isinstance(inputs, Feature) else self.compute_feature(inputs.to(self.device))
            statistics.update(feature)
        parts = (statistics.mean, statistics.std, statistics.token_mean, statistics.token_std)
        self.model.codec.fit_statistics(*parts)
        self.has_statistics.fill_(True)

    def compute_objective(self, batch: Batch) -> tuple[ObjectiveParts, Float[Tensor, ""]]:
        """Eq. 3 and top-1 (percent) for one batch."""
        inputs, labels = batch
        feature = inputs if isinstance(inputs, Feature) else self.compute_feature(inputs)
        output = self.model.codec(feature)
        logits, target = answer_for(self.hparams["label_set"], self.model.server_half(output.feature), labels)
        standardize = self.model.codec.standardizer.standardize
        parts = codec_objective(
            task=F.cross_entropy(logits, target),
            decoded=standardize(output.feature),
            feature=standardize(feature),
            logits=torch.cat([output.logits.grid.flatten(), output.logits.tokens.flatten()]),
            reconstruction_weight=self.hparams["reconstruction_weight"],
            binary_weight=self.hparams["binary_weight"],
        )
        return parts, compute_top1(logits, target)

    def training_step(self, batch: Batch, batch_index: int) -> Float[Tensor, ""]:
        """Eq. 3 for one batch."""
        parts, _ = self.compute_objective(batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in parts._asdict().items()})
        self.log("loss", parts.total.detach(), prog_bar=True, logger=False)
        return parts.total

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Eq. 3 and top-1 (percent) for one batch."""
        parts, top1 = self.compute_objective(batch)
        num_clips = len(batch[1])
        self.log("validation/loss", parts.total, batch_size=num_clips)
        self.log("validation/top1", top1, prog_bar=True, batch_size=num_clips)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Top-1 (percent) for one batch of clips."""
        clip, labels = batch
        top1 = compute_top1(*answer_for(self.hparams["label_set"], self(clip), labels))
        self.log("test/top1", top1, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """Adam or AdamW on the codec alone."""
        kind = torch.optim.Adam if self.hparams["optimizer"] == "adam" else torch.optim.AdamW
        optimizer = kind(self.model.codec.parameters(), lr=self.hparams["learning_rate"])
        schedule: Callable[[int], float] = constant
        if self.hparams["schedule"] == "cosine":
            schedule = warmup_cosine(int(self.trainer.estimated_stepping_batches), 0.05)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, schedule), "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out: it is found by its name."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {
            key: value for key, value in state.items() if key.startswith(("model.codec.", "has_statistics"))
        }
