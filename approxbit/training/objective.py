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
from approxbit.codec import WHOLE, Part
from approxbit.tasks import Classification, LabelSet


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


def downstream_loss(
    found: Sequence[Tensor], teacher: Sequence[Tensor], part: Part = WHOLE
) -> Float[Tensor, ""]:
    """Mean over the layers of the squared error, as a share of the variance of the teacher's feature there.

    Args:
        found: Output of each layer of the server half, for the decoded feature.
        teacher: The same for the feature itself.
        part: Gives the mean and the mean square of the batch, of which the variance is made.
    """
    shares = [
        F.mse_loss(mine, theirs) / _variance(theirs, part)
        for mine, theirs in zip(found, teacher, strict=True)
    ]
    return torch.stack(shares).mean()


def _variance(values: Tensor, part: Part) -> Float[Tensor, ""]:
    exact = values.detach().double()
    return (part.mean(exact.square().mean()) - part.mean(exact.mean()).square()).to(values.dtype)


def answer_for(
    label_set: LabelSet, logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch answer"], Int64[Tensor, " batch"]]:
    """Logits and labels in a label set; differentiable, and else as `LabelSet` gives them.

    Args:
        label_set: One whose classes are groups of the model's takes log sum exp over each group.
        logits: The model's answer.
        labels: Indices of the model's own classes.

    Example:
        >>> halves = LabelSet("halves", class_of=(0, 0, 1))
        >>> logits, labels = answer_for(halves, torch.tensor([[0.2, 0.3, 0.5]]).log(), torch.tensor([1]))
        >>> logits.exp(), labels
        (tensor([[0.5000, 0.5000]]), tensor([0]))
    """
    if not label_set.class_of:
        return logits, labels
    class_of = torch.tensor(label_set.class_of, device=logits.device)
    is_other = class_of != torch.arange(label_set.num_classes, device=logits.device)[:, None]
    grouped = logits.unsqueeze(-2).masked_fill(is_other, -torch.inf)
    return grouped.logsumexp(dim=-1), class_of[labels]


def compute_top1(logits: Float[Tensor, "batch answer"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Share of clips whose largest logit is that of their label, in percent."""
    return 100.0 * (logits.argmax(dim=-1) == labels).float().mean()


def task_loss(
    task: Classification, logits: Float[Tensor, "batch class"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Sum of the cross-entropies in all label sets of a task, for training a backbone.

    With hundreds of classes and a few hundred clips of each, the coarser ones are what starts the learning.
    """
    answers = (answer_for(each, logits, labels) for each in task.label_sets)
    return torch.stack([F.cross_entropy(*answer) for answer in answers]).sum()
