"""The halves of MViTv2 in operators that every target takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.video.mvit import MultiscaleBlock

from approxbit.backbones.feature import Feature
from approxbit.backbones.mvitv2 import MViTv2EdgeHalf, MViTv2ServerHalf
from approxbit.configuration import Shape3, Shape4
from approxbit.exporting.views.attention import AttentionView
from approxbit.exporting.views.registry import view_of


class BlockView(nn.Module):
    """One block of an MViTv2 for grids of one size; shares the block's parameters."""

    def __init__(self, block: MultiscaleBlock, size: Shape3) -> None:
        super().__init__()
        self.norm1 = block.norm1
        self.attention = AttentionView(block.attn, size)
        self.widen = block.project
        self.skip_pool = None if block.pool_skip is None else block.pool_skip.pool
        self.norm2 = block.norm2
        self.mlp = block.mlp
        self.size_in = size

    @property
    def size_out(self) -> Shape3:
        """Time, height and width of the grid that goes out."""
        return self.attention.size_out

    def forward(
        self, tokens: Float[Tensor, "batch token channel"]
    ) -> Float[Tensor, "batch token_out channel_out"]:
        """The class token and the grid after attention and MLP."""
        normalised = self.norm1(tokens)
        skip = tokens if self.widen is None else self.widen(normalised)
        tokens = self._pool(skip) + self.attention(normalised)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out

    def _pool(self, tokens: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch token_out channel"]:
        if self.skip_pool is None:
            return tokens
        grid = tokens[:, 1:].transpose(1, 2).reshape(-1, tokens.shape[2], *self.size_in)
        pooled = self.skip_pool(grid).flatten(2).transpose(1, 2)
        return torch.cat((tokens[:, :1], pooled), dim=1)


class MViTv2EdgeView(nn.Module):
    """The patches and the first blocks."""

    class_token: Tensor

    def __init__(self, half: MViTv2EdgeHalf, clip_shape: Shape4) -> None:
        super().__init__()
        patches: Any = half.conv_proj
        positions: Any = half.pos_encoding
        self.conv_proj = patches
        self.class_token = positions.class_token
        self.blocks, self.size_out = _views(half.blocks, _size_after(patches, clip_shape))

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with the class token beside the grid."""
        patches = self.conv_proj(clip).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(clip.shape[0], 1, -1)
        tokens = self.blocks(torch.cat((class_token, patches), dim=1))
        grid = tokens[:, 1:].transpose(1, 2).unflatten(2, self.size_out)
        return Feature(grid, tokens[:, :1])


class MViTv2ServerView(nn.Module):
    """The last blocks and the head."""

    def __init__(self, half: MViTv2ServerHalf, feature_shape: Shape4) -> None:
        super().__init__()
        self.blocks, _ = _views(half.blocks, feature_shape[1:])
        self.norm = half.norm
        self.head = half.head

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits of a batch of features."""
        patches = feature.grid.flatten(2).transpose(1, 2)
        tokens = self.blocks(torch.cat((feature.tokens, patches), dim=1))
        logits: Tensor = self.head(self.norm(tokens[:, 0]))
        return logits


view_of.register(MViTv2EdgeHalf, MViTv2EdgeView)
view_of.register(MViTv2ServerHalf, MViTv2ServerView)


def _views(blocks: Iterable[Any], size: Shape3) -> tuple[nn.Sequential, Shape3]:
    """Views of blocks that follow each other, and the size of the grid after the last."""
    views = []
    for block in blocks:
        views.append(BlockView(block, size))
        size = views[-1].size_out
    return nn.Sequential(*views), size


def _size_after(patches: Any, clip_shape: Shape4) -> Shape3:
    axes = zip(clip_shape[1:], patches.kernel_size, patches.stride, patches.padding, strict=True)
    time, height, width = ((size + 2 * pad - kernel) // stride + 1 for size, kernel, stride, pad in axes)
    return time, height, width
