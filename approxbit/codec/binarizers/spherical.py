"""Binary spherical quantisation: the sign of a point on the unit sphere."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.codec.binarizers.base import Binarizer, bit_planes, straight_through
from approxbit.codec.binarizers.lookup_free import entropy_term
from approxbit.codec.part import WHOLE, Part


class Spherical(Binarizer):
    """The logits of each position on the sphere of radius sqrt(K), whose corners are the codes.

    After BSQ (Zhao et al., 2024). The distance to the nearest corner is bounded, so that no commitment is
    needed. A position on the sphere has the signs that it had before: codes are those of `logit > 0`.

    Args:
        diversity: Weight of the entropy of the mean bit, at least 0.

    Raises:
        ValueError: The weight is below 0.
    """

    def __init__(self, diversity: float = 1.0):
        super().__init__()
        if not diversity >= 0:
            raise ValueError(f"expected diversity of at least 0, found {diversity}")
        self.diversity = diversity

    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        """Bits whose gradient passes through the projection on the sphere."""
        sphere = _project(logits)
        grid = straight_through((logits.grid > 0).to(logits.grid.dtype), (1 + sphere.grid) / 2)
        tokens = straight_through((logits.tokens > 0).to(logits.tokens.dtype), (1 + sphere.tokens) / 2)
        return Feature(grid, tokens)

    def loss(self, logits: Feature, part: Part = WHOLE) -> Float[Tensor, ""]:
        """The entropy term of LFQ on the sphere."""
        return entropy_term(bit_planes(_project(logits)), self.diversity, part)


def _project(logits: Feature) -> Feature:
    return Feature(_to_sphere(logits.grid, axis=1), _to_sphere(logits.tokens, axis=2))


def _to_sphere(logits: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
    on_sphere: Tensor = F.normalize(logits, dim=axis) * logits.shape[axis] ** 0.5
    return on_sphere
