"""From channels to bits: the channel compressor and the threshold."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature
from approxbit.codec.code import Code


class ChannelCompressor(nn.Module):
    """D channels -> K logits at every position: X' of section 3.4, APPROXBIT.

    The grid goes through one 3D convolution, of kernel 1: with the 384 channels and 3,136 positions of
    MViTv2-B without spatial encoder, a kernel of 3 would cost up to 14 times the paper's whole encoder.
    Class tokens, of which the paper does not speak, go through a linear layer of their own.

    Args:
        channels: Channels of the feature, D.
        codebook_size: Bits per position, K.
        num_tokens: Class tokens of one clip; with 0 there is no linear layer.
    """

    def __init__(self, channels: int, codebook_size: int, num_tokens: int = 0):
        super().__init__()
        self.codebook_size = codebook_size
        self.grid = nn.Conv3d(channels, codebook_size, 1)
        self.tokens = nn.Linear(channels, codebook_size) if num_tokens else None

    def forward(self, feature: Feature) -> Feature:
        """Logits of the bits: a grid [batch, bit, time, height, width] and tokens [batch, token, bit]."""
        tokens = feature.tokens
        if self.tokens is None:
            return Feature(self.grid(feature.grid), tokens[:, :, :1].expand(-1, -1, self.codebook_size))
        return Feature(self.grid(feature.grid), self.tokens(tokens))


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
    hard = (logits > 0).to(logits.dtype)
    soft = torch.sigmoid(logits)
    return hard + (soft - soft.detach())


def threshold(logits: Feature) -> Code:
    """The code of logits as uint8 bits, without gradient."""
    return Code((logits.grid > 0).to(torch.uint8), (logits.tokens > 0).to(torch.uint8))
