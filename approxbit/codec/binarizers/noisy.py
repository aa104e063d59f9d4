"""A threshold under noise: bits near it flip in training, so that the decoder learns not to mind."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.codec.binarizers.base import Binarizer, bit_planes, straight_through
from approxbit.codec.binarizers.threshold import binary_loss
from approxbit.codec.part import WHOLE, Part


class NoisyThreshold(Binarizer):
    """1 where logit + logistic noise > 0, a sample of the Bernoulli distribution sigmoid(logit / scale).

    The gradient is that of the relaxed sample (Maddison et al., 2017; Jang et al., 2017), the loss is that
    of `Threshold`.

    Args:
        scale: Of the noise, above 0; at 1 a bit of logit 0.5 flips with 38 %.

    Raises:
        ValueError: `scale` is not above 0.
    """

    def __init__(self, scale: float = 0.3):
        super().__init__()
        if not scale > 0:
            raise ValueError(f"expected the scale of the noise to be above 0, found {scale}")
        self.scale = scale

    def forward(self, logits: Feature, part: Part = WHOLE) -> Feature:
        """Bits drawn anew at every call."""
        return Feature(self._draw(logits.grid, part), self._draw(logits.tokens, part))

    def _draw(self, logits: Float[Tensor, "*shape"], part: Part) -> Float[Tensor, "*shape"]:
        def make(num_clips: int) -> Tensor:  # in float32: the ends of the noise are lost in half precision
            return torch.rand(num_clips, *logits.shape[1:], dtype=torch.float32, device=logits.device)

        noise = torch.logit(part.draw(make, len(logits)), eps=1e-6).to(logits.dtype)
        moved = logits + self.scale * noise
        return straight_through((moved > 0).to(logits.dtype), torch.sigmoid(moved))

    def loss(self, logits: Feature, part: Part = WHOLE) -> Float[Tensor, ""]:
        """L_binary of Eq. 4."""
        return binary_loss(bit_planes(logits))
