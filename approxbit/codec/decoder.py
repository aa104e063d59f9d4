"""The heavy side of the codec, on the server: two ResBlocks, a self-attention layer, a deconvolution."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature
from approxbit.codec.spatial_encoder import num_groups

HEAD_CHANNELS = 32
MAX_KEYS = 400


class ResBlock(nn.Module):
    """A 3D residual block with a narrow middle: x + expand(convolve(reduce(x))).

    The outer kernels are 1x1x1 and the middle one is 3x3x3. A dense block over MViTv2-B's 384 channels
    would cost 6.2 GFLOPs at 392 positions, twice the paper's whole decoder. Group normalisation looks at one
    clip at a time, so that a clip decodes alike in every batch.

    Args:
        channels: Channels of the input and the output.
        hidden_channels: Channels of the middle.
    """

    def __init__(self, channels: int, hidden_channels: int):
        super().__init__()
        groups = math.gcd(4, hidden_channels)
        self.reduce = nn.Conv3d(channels, hidden_channels, 1)
        self.first_norm = nn.GroupNorm(groups, hidden_channels)
        self.convolve = nn.Conv3d(hidden_channels, hidden_channels, 3, padding=1)
        self.second_norm = nn.GroupNorm(groups, hidden_channels)
        self.expand = nn.Conv3d(hidden_channels, channels, 1)

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel time height width"]:
        """The grid with the block's correction added."""
        hidden = F.relu(self.first_norm(self.reduce(grid)))
        hidden = F.relu(self.second_norm(self.convolve(hidden)))
        corrected: Tensor = grid + self.expand(hidden)
        return corrected


class SelfAttention(nn.Module):
    """Every position and class token looks at the whole clip: x + attention(norm(x)).

    Keys and values are averaged over windows of 2, 4, 8 ... per axis until at most 400 of them are left. That
    keeps all of the 8x7x7 grid of MViTv2-B's 64-Enc and turns 16x14x14 (NoEnc) into 8x7x7: full attention
    over those 3,136 positions would alone cost 1.3 GFLOPs with one head of 32. Positions need no encoding,
    the zero padding of the blocks before tells them apart.

    Args:
        channels: Channels of the input and the output.
        attention_channels: Channels of queries, keys and values together, a multiple of 32.

    Raises:
        ValueError: `attention_channels` is not a positive multiple of 32.
    """

    def __init__(self, channels: int, attention_channels: int):
        super().__init__()
        if attention_channels < 1 or attention_channels % HEAD_CHANNELS:
            raise ValueError(
                f"attention_channels must be a positive multiple of {HEAD_CHANNELS}, "
                f"found {attention_channels}"
            )
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, attention_channels)
        self.key = nn.Linear(channels, attention_channels)
        self.value = nn.Linear(channels, attention_channels)
        self.output = nn.Linear(attention_channels, channels)

    def forward(self, feature: Feature) -> Feature:
        """The feature with what it saw elsewhere in the clip added."""
        grid, tokens = feature
        num_tokens = tokens.shape[1]
        queries = self.norm(torch.cat([tokens, _as_sequence(grid)], dim=1))
        keys = self.norm(torch.cat([tokens, _as_sequence(_pool(grid))], dim=1))
        seen = F.scaled_dot_product_attention(
            _split_heads(self.query(queries)), _split_heads(self.key(keys)), _split_heads(self.value(keys))
        )
        added = self.output(seen.transpose(1, 2).flatten(2))
        return Feature(
            grid + added[:, num_tokens:].transpose(1, 2).unflatten(2, grid.shape[2:]),
            tokens + added[:, :num_tokens],
        )


class Upsampler(nn.Module):
    """The deconvolution: doubles time, height and width, to exactly the size that was halved.

    Args:
        channels: Channels of the input and the output.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.deconvolution = nn.ConvTranspose3d(
            channels, channels, 3, stride=2, padding=1, groups=num_groups(channels)
        )

    def forward(
        self,
        grid: Float[Tensor, "batch channel half_time half_height half_width"],
        size: tuple[int, int, int],
    ) -> Float[Tensor, "batch channel time height width"]:
        """The grid at `size`, whose halves rounded up are the grid's own size (14 -> 27 or 28)."""
        doubled: Tensor = self.deconvolution(grid, output_size=list(size))
        return doubled


class Decoder(nn.Module):
    """M z -> feature in standardised units (section 3.3, APPROXBIT).

    With a spatial encoder the deconvolution ends it. Without one nothing stands in its place: there is
    nothing to upsample, and every layer before it already ends in a dense linear map to all channels.

    Args:
        channels: Channels of the feature.
        hidden_channels: Channels in the middle of the ResBlocks.
        attention_channels: Channels of the self-attention layer's queries, keys and values.
        upsample: Whether a spatial encoder halved the grid.
    """

    def __init__(self, channels: int, hidden_channels: int, attention_channels: int, upsample: bool):
        super().__init__()
        self.blocks = nn.Sequential(ResBlock(channels, hidden_channels), ResBlock(channels, hidden_channels))
        self.attention = SelfAttention(channels, attention_channels)
        self.upsampler = Upsampler(channels) if upsample else None

    def forward(self, feature: Feature, size: tuple[int, int, int]) -> Feature:
        """The decoded feature, whose grid has the time, height and width of `size`."""
        feature = self.attention(Feature(self.blocks(feature.grid), feature.tokens))
        if self.upsampler is None:
            return feature
        return Feature(self.upsampler(feature.grid, size), feature.tokens)


def _pool(
    grid: Float[Tensor, "batch channel time height width"],
) -> Float[Tensor, "batch channel few_times few_heights few_widths"]:
    """Averages over windows, as small as leaves at most `MAX_KEYS` of them."""
    window = 1
    while math.prod(-(-length // window) for length in grid.shape[2:]) > MAX_KEYS:
        window *= 2
    if window == 1:
        return grid
    return F.avg_pool3d(grid, [min(window, length) for length in grid.shape[2:]], ceil_mode=True)


def _as_sequence(
    grid: Float[Tensor, "batch channel time height width"],
) -> Float[Tensor, "batch position channel"]:
    return grid.flatten(2).transpose(1, 2)


def _split_heads(
    sequence: Float[Tensor, "batch position channel"],
) -> Float[Tensor, "batch head position head_channel"]:
    heads: Tensor = sequence.unflatten(2, (-1, HEAD_CHANNELS)).transpose(1, 2)
    return heads
