"""What a codec is trained for: Eq. 3 of APPROXBIT, and the terms that go beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.tasks.label_sets import JOINT, MARGINAL, NUM_DIGITS, action_of


@dataclass(frozen=True)
class ObjectiveWeights:
    """How much each term counts. The first three are Eq. 3 (APPROXBIT), where lambda1 and lambda2 are 1.

    Attributes:
        task: Cross-entropy of the answer with the labels.
        reconstruction: lambda1, mean squared error of the decoded feature.
        binary: lambda2, the binariser's own loss; L_binary of Eq. 4 for `Threshold`.
        distillation: Divergence of the answer from the unsplit model's.
        downstream: Mean squared error after each layer of the server half.
        rate: Bits that a learned prior needs for each bit of the code.
        temperature: Divides both logits of the distillation, above 0.
        rate_warmup: Share of the training over which `rate` rises from 0, at most 1. Bits that cost much
            before they say anything copy each other, which is cheap, and do not find back.

    Raises:
        ValueError: A weight is below 0, the temperature not above it, or `rate_warmup` above 1.
    """

    task: float = 1.0
    reconstruction: float = 1.0
    binary: float = 1.0
    distillation: float = 0.0
    downstream: float = 0.0
    rate: float = 0.0
    temperature: float = 1.0
    rate_warmup: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"expected the objective's {name} to be at least 0, found {value}")
        if not self.temperature > 0:
            raise ValueError(f"expected the objective's temperature above 0, found {self.temperature}")
        if self.rate_warmup > 1:
            raise ValueError(f"expected the objective's rate_warmup up to 1, found {self.rate_warmup}")

    def at(self, progress: float) -> ObjectiveWeights:
        """The weights after some share of the training.

        Example:
            >>> ObjectiveWeights(rate=1.0, rate_warmup=0.5).at(0.25).rate
            0.5
        """
        if progress >= self.rate_warmup:
            return self
        return replace(self, rate=self.rate * progress / self.rate_warmup)


class ObjectiveParts(NamedTuple):
    """The terms of the objective as they are, and their weighed sum; a term of weight 0 is left out as 0."""

    task: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    binary: Float[Tensor, ""]
    distillation: Float[Tensor, ""]
    downstream: Float[Tensor, ""]
    rate: Float[Tensor, ""]
    total: Float[Tensor, ""]


def weigh(weights: ObjectiveWeights, **terms: Float[Tensor, ""]) -> ObjectiveParts:
    """The sum of terms by their weights.

    Args:
        weights: Of all terms.
        terms: By the names of `ObjectiveParts`; those that are missing count 0.

    Example:
        >>> weigh(ObjectiveWeights(task=2.0), task=torch.tensor(3.0)).total
        tensor(6.)
    """
    zero = next(iter(terms.values())).new_zeros(())
    parts = {name: terms.get(name, zero) for name in ObjectiveParts._fields if name != "total"}
    total = sum((getattr(weights, name) * value for name, value in parts.items()), zero)
    return ObjectiveParts(**parts, total=total)


def reconstruction_loss(decoded: Feature, feature: Feature) -> Float[Tensor, ""]:
    """Mean squared error over the grid and the class tokens together, each position weighing the same.

    Both are standardised per channel: the scale of raw features differs by orders of magnitude between
    backbones, and a weight of 1 would mean something else for each.
    """
    error = F.mse_loss(decoded.grid, feature.grid, reduction="sum")
    count = feature.grid.numel() + feature.tokens.numel()
    if feature.tokens.numel():
        error = error + F.mse_loss(decoded.tokens, feature.tokens, reduction="sum")
    return error / count


def distillation_loss(
    logits: Float[Tensor, "batch class"], teacher: Float[Tensor, "batch class"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of the answer from the teacher's, times the squared temperature.

    The factor keeps the gradient's size whatever the temperature (Hinton et al., 2015).

    Example:
        >>> distillation_loss(torch.eye(3), torch.eye(3)).abs().item() < 1e-6
        True
    """
    student = F.log_softmax(logits / temperature, dim=-1)
    target = F.log_softmax(teacher / temperature, dim=-1)
    return temperature**2 * F.kl_div(student, target, reduction="batchmean", log_target=True)


def downstream_loss(found: Sequence[Tensor], teacher: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Mean over the layers of the squared error, as a share of the variance of the teacher's feature there.

    Args:
        found: Output of each layer of the server half, for the decoded feature.
        teacher: The same for the feature itself.
    """
    shares = [F.mse_loss(mine, theirs) / theirs.var() for mine, theirs in zip(found, teacher, strict=True)]
    return torch.stack(shares).mean()


def marginal_logits(joint: Float[Tensor, "batch joint_class"]) -> Float[Tensor, "batch action"]:
    """Logits of the actions: log sum exp over the digits of the joint classes."""
    return joint.unflatten(-1, (-1, NUM_DIGITS)).logsumexp(dim=-1)


def answer_for(
    label_set: str, logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch answer"], Int64[Tensor, " batch"]]:
    """Logits and labels in a label set.

    Args:
        label_set: `actions` takes the marginals of the joint classes of Digits-in-Motion; `action_digit`,
            and every label set of another data set, takes the model's own classes.
        logits: The model's answer.
        labels: Indices of the model's own classes.
    """
    if label_set == MARGINAL:
        return marginal_logits(logits), action_of(labels)
    return logits, labels


def compute_top1(logits: Float[Tensor, "batch answer"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Share of clips whose largest logit is that of their label, in percent."""
    return 100.0 * (logits.argmax(dim=-1) == labels).float().mean()


def joint_task_loss(
    logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the joint classes plus that of both marginals, for training a backbone.

    With 240 joint classes and a few hundred clips each, the marginals are what starts the learning.
    """
    by_pair = logits.unflatten(-1, (-1, NUM_DIGITS))
    return (
        F.cross_entropy(logits, labels)
        + F.cross_entropy(by_pair.logsumexp(dim=-1), action_of(labels))
        + F.cross_entropy(by_pair.logsumexp(dim=-2), labels % NUM_DIGITS)
    )


LABEL_SETS = (MARGINAL, JOINT)
