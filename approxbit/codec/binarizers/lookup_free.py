"""Lookup-free quantisation: the sign, with a term that asks for sure bits and a code in full use."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.codec.binarizers.base import Binarizer, bit_entropy, bit_planes, straight_through
from approxbit.codec.part import WHOLE, Part


class LookupFree(Binarizer):
    """The sign of the logit, passed straight through (LFQ: Yu et al., 2024).

    The loss is the mean entropy of each bit minus the entropy of the mean bit, the bits taken as independent
    (with K bits the joint entropy would need 2^K sums), plus the commitment of the logits to -1 and 1.

    Args:
        diversity: Weight of the entropy of the mean bit, at least 0.
        commitment: Weight of the squared distance between logits and signs, at least 0.

    Raises:
        ValueError: A weight is below 0.
    """

    def __init__(self, diversity: float = 1.0, commitment: float = 0.25):
        super().__init__()
        if not (diversity >= 0 and commitment >= 0):
            raise ValueError(
                f"expected diversity and commitment of at least 0, found {diversity} and {commitment}"
            )
        self.diversity = diversity
        self.commitment = commitment

    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        """Bits whose gradient is that of (1 + logit) / 2."""
        return Feature(_sign_bits(logits.grid), _sign_bits(logits.tokens))

    def loss(self, logits: Feature, part: Part = WHOLE) -> Float[Tensor, ""]:
        """Entropy and commitment."""
        planes = bit_planes(logits)
        away = (planes - torch.sign(planes.detach())).square().mean()
        return entropy_term(planes, self.diversity, part) + self.commitment * away


def _sign_bits(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return straight_through((logits > 0).to(logits.dtype), (1 + logits) / 2)


def entropy_term(
    planes: Float[Tensor, "bit value"], diversity: float, part: Part = WHOLE
) -> Float[Tensor, ""]:
    """Mean entropy of each bit, minus `diversity` times the entropy of the batch's mean bit; in bits."""
    shares = torch.sigmoid(4 * planes)  # -1 and 1, where the commitment pulls them, are then nearly sure
    return bit_entropy(shares).mean() - diversity * bit_entropy(part.mean(shares.mean(dim=1))).mean()
