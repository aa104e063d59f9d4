"""From channels to bits: the channel compressor and the decision."""

from __future__ import annotations

import torch
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

    def first_bits(self, codebook_size: int) -> ChannelCompressor:
        """The compressor of the first bits alone, with copies of their weights."""
        first = ChannelCompressor(self.grid.in_channels, codebook_size, int(self.tokens is not None))
        first.grid.load_state_dict(_first_rows(self.grid, codebook_size))
        if first.tokens is not None and self.tokens is not None:
            first.tokens.load_state_dict(_first_rows(self.tokens, codebook_size))
        return first


def _first_rows(layer: nn.Module, count: int) -> dict[str, Tensor]:
    return {name: tensor[:count] for name, tensor in layer.state_dict().items()}


def threshold(logits: Feature) -> Code:
    """The code of logits as uint8 bits, without gradient."""
    return Code((logits.grid > 0).to(torch.uint8), (logits.tokens > 0).to(torch.uint8))
