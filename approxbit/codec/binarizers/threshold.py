"""The paper's binariser: a threshold whose gradient is the sigmoid's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.codec.binarizers.base import Binarizer, bit_planes, straight_through
from approxbit.codec.part import WHOLE, Part


class Threshold(Binarizer):
    """1 where sigmoid(logit) > 0.5; the loss pulls logits away from there (section 3.4, APPROXBIT)."""

    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        """Bits whose gradient is that of the sigmoid."""
        return Feature(binarize(logits.grid), binarize(logits.tokens))

    def loss(self, logits: Feature, part: Part = WHOLE) -> Float[Tensor, ""]:
        """L_binary of Eq. 4."""
        return binary_loss(bit_planes(logits))


def binarize(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bits: 1 where sigmoid(logit) > 0.5, else 0 (section 3.4, APPROXBIT), with a straight-through gradient.

    We compare `logit > 0`, which is the same in exact arithmetic and stays exact in float16, where the
    sigmoid of a small positive logit rounds to 0.5. Backward, z counts as the sigmoid.

    Example:
        >>> logits = torch.tensor([-1.0, 0.0, 6e-8], requires_grad=True)
        >>> binarize(logits).tolist()
        [0.0, 0.0, 1.0]
        >>> binarize(logits).sum().backward()
        >>> logits.grad
        tensor([0.1966, 0.2500, 0.2500])
    """
    return straight_through((logits > 0).to(logits.dtype), torch.sigmoid(logits))


def binary_loss(logits: Float[Tensor, ...]) -> Float[Tensor, ""]:
    """Binary cross-entropy between the logits and their own rounding (Eq. 4, APPROXBIT).

    The target is detached, so that the term pulls each bit away from the threshold and never the
    threshold towards the bit.

    Example:
        >>> binary_loss(torch.tensor([0.0])).item() > binary_loss(torch.tensor([4.0])).item()
        True
    """
    target = (logits.detach() > 0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target)
