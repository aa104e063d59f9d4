"""The halves of the vision towers of video-language models, with attention written out as plain products.

Layers of transformers' CLIP and SigLIP are replaced; those of a tower of your own stand for themselves
unless `view_of_layer` knows their type. Embedding and projector stand for themselves.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature
from approxbit.backbones.vlm.base import VisionEdgeHalf, VisionServerHalf
from approxbit.backbones.vlm.layout import TokenLayout
from approxbit.backbones.vlm.tower import FrameLayer
from approxbit.configuration import Shape4
from approxbit.exporting.views.registry import view_of

Tokens = Float[Tensor, "batch time token channel"]
_ATTENTION_PARTS = ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads", "head_dim", "scale")


@singledispatch
def view_of_layer(layer: nn.Module, num_frames: int, num_tokens: int) -> nn.Module:
    """A layer of a tower in operators that every target takes.

    Args:
        layer: Tokens [batch, time, token, channel] to such tokens.
        num_frames: Of each clip.
        num_tokens: Of each frame.
    """
    return layer


class FrameLayerView(nn.Module):
    """A `FrameLayer` of CLIP or SigLIP; shares its parameters."""

    def __init__(self, layer: Any, num_frames: int, num_tokens: int) -> None:
        super().__init__()
        attention = layer.self_attn
        self.num_frames, self.num_tokens = num_frames, num_tokens
        self.num_heads, self.head_channels = attention.num_heads, attention.head_dim
        self.channels = self.num_heads * self.head_channels
        self.scale = float(attention.scale)
        self.norm1, self.norm2, self.mlp = layer.layer_norm1, layer.layer_norm2, layer.mlp
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.output = attention.out_proj

    def forward(self, tokens: Tokens) -> Tokens:
        """The layer's output, for every frame on its own."""
        frames: Tensor = tokens.reshape(-1, self.num_tokens, self.channels)
        frames = frames + self._attend(self.norm1(frames))
        frames = frames + self.mlp(self.norm2(frames))
        return frames.reshape(-1, self.num_frames, self.num_tokens, self.channels)

    def _attend(self, frames: Float[Tensor, "frame token channel"]) -> Float[Tensor, "frame token channel"]:
        queries = self._split_heads(self.query(frames)) * self.scale
        weights = torch.matmul(queries, self._split_heads(self.key(frames)).transpose(2, 3)).softmax(dim=-1)
        seen = torch.matmul(weights, self._split_heads(self.value(frames)))
        out: Tensor = self.output(seen.transpose(1, 2).reshape(-1, self.num_tokens, self.channels))
        return out

    def _split_heads(
        self, frames: Float[Tensor, "frame token channel"]
    ) -> Float[Tensor, "frame head token head_channel"]:
        return frames.reshape(-1, self.num_tokens, self.num_heads, self.head_channels).transpose(1, 2)


class VisionEdgeView(nn.Module):
    """The embedding and the first layers."""

    def __init__(self, half: VisionEdgeHalf, clip_shape: Shape4) -> None:
        super().__init__()
        self.layout = half.layout
        self.embedding = half.embedding
        self.layers = _views(half.layers, half.layout, clip_shape[1])

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with the class tokens of all frames beside the grid."""
        return self.layout.to_feature(self.layers(self.embedding(clip)))


class VisionServerView(nn.Module):
    """The last layers and the projector."""

    def __init__(self, half: VisionServerHalf, feature_shape: Shape4) -> None:
        super().__init__()
        self.layout = half.layout
        self.num_frames = feature_shape[1]
        self.num_patches = feature_shape[2] * feature_shape[3]
        self.layers = _views(half.layers, half.layout, self.num_frames)
        self.head = half.head

    def forward(self, feature: Feature) -> Float[Tensor, "batch token channel"]:
        """Visual embeddings of a batch of features."""
        channels, num_class_tokens = self.layout.channels, self.layout.num_class_tokens
        patches = feature.grid.reshape(-1, channels, self.num_frames, self.num_patches).permute(0, 2, 3, 1)
        if num_class_tokens:
            class_tokens = feature.tokens.reshape(-1, self.num_frames, num_class_tokens, channels)
            patches = torch.cat((class_tokens, patches), dim=2)
        embeddings: Tensor = self.head(self.layers(patches))
        return embeddings


view_of.register(VisionEdgeHalf, VisionEdgeView)
view_of.register(VisionServerHalf, VisionServerView)


@view_of_layer.register
def _(layer: FrameLayer, num_frames: int, num_tokens: int) -> nn.Module:
    attention = getattr(layer.layer, "self_attn", None)
    if all(hasattr(attention, name) for name in _ATTENTION_PARTS):
        return FrameLayerView(layer.layer, num_frames, num_tokens)
    return layer


def _views(layers: Any, layout: TokenLayout, num_frames: int) -> nn.Sequential:
    height, width = layout.grid_size
    num_tokens = layout.num_class_tokens + height * width
    return nn.Sequential(*(view_of_layer(layer, num_frames, num_tokens) for layer in layers))
