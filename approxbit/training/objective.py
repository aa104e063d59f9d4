"""What a codec is trained for: Eq. 3 and Eq. 4 of APPROXBIT."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.data.label_sets import JOINT, MARGINAL, NUM_DIGITS, action_of


class ObjectiveParts(NamedTuple):
    """The three weighed terms of Eq. 3, and their sum."""

    task: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    binary: Float[Tensor, ""]
    total: Float[Tensor, ""]


def reconstruction_loss(decoded: Feature, feature: Feature) -> Float[Tensor, ""]:
    """Mean squared error over the grid and the class tokens together, each position weighing the same."""
    error = F.mse_loss(decoded.grid, feature.grid, reduction="sum")
    count = feature.grid.numel() + feature.tokens.numel()
    if feature.tokens.numel():
        error = error + F.mse_loss(decoded.tokens, feature.tokens, reduction="sum")
    return error / count


def binary_loss(logits: Float[Tensor, ...]) -> Float[Tensor, ""]:
    """Binary cross-entropy between the logits and their own rounding (Eq. 4).

    The target is detached, so that the term pulls each bit away from the threshold and never the
    threshold towards the bit.

    Example:
        >>> import torch
        >>> binary_loss(torch.tensor([0.0])).item() > binary_loss(torch.tensor([4.0])).item()
        True
    """
    target = (logits.detach() > 0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target)


def codec_objective(
    task: Float[Tensor, ""],
    decoded: Feature,
    feature: Feature,
    logits: Float[Tensor, ...],
    reconstruction_weight: float = 1.0,
    binary_weight: float = 1.0,
) -> ObjectiveParts:
    """`L = L_task + lambda1 * MSE(decoded, X) + lambda2 * L_binary` (Eq. 3, APPROXBIT).

    Args:
        task: Loss of the server half's answer; cross-entropy in the paper.
        decoded: What the decoder made of the code, standardised per channel.
        feature: The feature at the offload point, standardised alike. Both are compared there because
            the scale of raw features differs by orders of magnitude between backbones, and a weight of 1
            would mean something else for each.
        logits: The encoder's output before the threshold, in any shape.
        reconstruction_weight: lambda1.
        binary_weight: lambda2.
    """
    reconstruction = reconstruction_loss(decoded, feature)
    binary = binary_loss(logits)
    total = task + reconstruction_weight * reconstruction + binary_weight * binary
    return ObjectiveParts(task, reconstruction, binary, total)


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
