"""What every binariser promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature
from approxbit.codec.part import WHOLE, Part


class Binarizer(nn.Module, ABC):
    """From logits to bits while a codec is trained: the gradient, the noise and the loss.

    It has no weights, and what is deployed is the same for every one of them: a trained codec sends
    `logit > 0`.
    """

    @abstractmethod
    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        """Bits of the shape of the logits: 0 and 1 as floats, with a gradient.

        Args:
            logits: X' of Eq. 4.
            part: Gives what is drawn for each clip.
        """

    @abstractmethod
    def loss(self, logits: Feature, part: Part = WHOLE) -> Float[Tensor, ""]:
        """The term that lambda2 weighs in the place of L_binary (Eq. 4, APPROXBIT).

        Args:
            logits: X' of Eq. 4.
            part: Gives means over all clips of a batch.
        """


def bit_planes(logits: Feature) -> Float[Tensor, "bit value"]:
    """All values of each bit, those of the grid and of the class tokens together.

    Example:
        >>> bit_planes(Feature(torch.zeros(2, 3, 1, 1, 4), torch.zeros(2, 1, 3))).shape
        torch.Size([3, 10])
    """
    grid = logits.grid.transpose(0, 1).flatten(1)
    return torch.cat([grid, logits.tokens.flatten(0, 1).transpose(0, 1)], dim=1)


def straight_through(hard: Float[Tensor, "*shape"], soft: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values of `hard` with the gradient of `soft`."""
    return hard + (soft - soft.detach())


def bit_entropy(probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Entropy of bits that are 1 with some probability, in bits; 0 at both ends, and its gradient too.

    Towards the ends it grows without bound: one bit that is sure in float32 would make it no number.

    Example:
        >>> bit_entropy(torch.tensor([0.0, 0.5])).tolist()
        [0.0, 1.0]
    """
    is_open = (probability > 0) & (probability < 1)
    inner = torch.where(is_open, probability, 0.5)
    nats = torch.special.entr(inner) + torch.special.entr(1 - inner)
    return torch.where(is_open, nats / math.log(2), 0.0)
