"""Trains a vector-quantised codec as `CodecModule` trains a binary one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.baselines.vq import VQCodec
from approxbit.codec import WHOLE, Part
from approxbit.offload import OffloadedModel
from approxbit.training.codec_module import Batch, CodecModule
from approxbit.training.objective import answer_for, compute_top1, reconstruction_loss


class VQParts(NamedTuple):
    """The terms of the objective, and their weighed sum."""

    task: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    commitment: Float[Tensor, ""]
    total: Float[Tensor, ""]


class VQModule(CodecModule):
    """`CodecModule` with a `VQCodec`: the commitment loss stands where the binary loss of Eq. 3 stood.

    A recipe for the one serves the other with another `class_path`. The codec is for comparison: it is
    measured from its checkpoint, and the zoo does not take it.

    Args:
        backbone: A release of the zoo, or the name of a builder.
        configuration: Such as `10-Enc-B5`, which has 2**10 entries.
        reconstruction_weight: lambda1 of Eq. 3.
        commitment_weight: Of the vectors' mean squared distance to their entries.
        code_channels: Length of an entry.
        **options: Those of `CodecModule`; what concerns bits alone, such as `binarizer`, has no effect.
    """

    def __init__(
        self,
        backbone: str,
        configuration: str,
        reconstruction_weight: float = 1.0,
        commitment_weight: float = 1.0,
        code_channels: int = 16,
        **options: Any,
    ) -> None:
        super().__init__(backbone, configuration, **options)
        self.reconstruction_weight = reconstruction_weight
        self.commitment_weight = commitment_weight
        binary = self.model.codec
        codec = VQCodec(
            binary.feature_shape, binary.configuration, binary.num_tokens, code_channels=code_channels
        )
        self.model = OffloadedModel(self.model.backbone, codec, self.task)

    def needs_whole_batches(self) -> str:
        """The entries are running averages of the vectors of whole batches."""
        return "the entries of a vector quantiser follow the vectors of whole batches"

    def compute_objective(
        self, batch: Batch, progress: float = 1.0, part: Part = WHOLE
    ) -> tuple[Any, Float[Tensor, ""]]:
        """Task, reconstruction and commitment, and top-1 (percent), for one batch."""
        inputs, labels, *_ = batch
        feature = inputs if isinstance(inputs, Feature) else self.compute_feature(inputs)
        output = self.model.codec(feature)
        logits, target = answer_for(self.label_set, self.model.server_half(output.feature), labels)
        standardize = self.model.codec.standardizer.standardize
        task = F.cross_entropy(logits, target)
        reconstruction = reconstruction_loss(standardize(output.feature), standardize(feature))
        total = task + self.reconstruction_weight * reconstruction
        total = total + self.commitment_weight * output.commitment
        return VQParts(task, reconstruction, output.commitment, total), compute_top1(logits, target)
