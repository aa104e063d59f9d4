"""A plain video transformer: patches of a few frames, full attention over space and time, no pooling.

EDGE     clip -> patches + place -> layer 1 -> ... -> layer n
                                        L1              Ln
SERVER   layer n+1 -> ... -> norm -> visual tokens

Every layer is dense matrix products: a processor with units for them trains it far faster in bfloat16.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf, run_through
from approxbit.backbones.feature import Feature, FeatureShape

Tokens = Float[Tensor, "batch token channel"]
Context = Float[Tensor, "batch context channel"]

PATCH = (2, 8, 8)
"""Frames, height and width of what becomes one token."""


class Attention(nn.Module):
    """Multi-head attention of tokens among themselves, or of queries over other tokens."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tokens, context: Context | None = None, mask: Tensor | None = None) -> Tokens:
        """Tokens that have looked at `context`, by default at one another; `mask` is true where they may."""
        return self.attend(tokens, *self.keys(tokens if context is None else context), mask)

    def keys(self, context: Context) -> tuple[Tensor, Tensor]:
        """Keys and values of a context, which many queries may share."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        return self._heads(key), self._heads(value)

    def attend(self, tokens: Tokens, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tokens:
        """As `forward`, with what `keys` gave."""
        query = self._heads(self.query(tokens))
        found = attend(query, key, value, mask)
        mixed: Tokens = self.output(found.transpose(1, 2).flatten(2))
        return mixed

    def scores(self, tokens: Tokens, context: Context) -> Float[Tensor, "batch head token context"]:
        """How much each token looks at each of a context, before the softmax."""
        query, (key, _) = self._heads(self.query(tokens)), self.keys(context)
        found: Tensor = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        return found

    def _heads(self, tokens: Tokens) -> Tensor:
        batch, number, width = tokens.shape
        return tokens.reshape(batch, number, self.num_heads, width // self.num_heads).transpose(1, 2)


def attend(
    query: Float[Tensor, "batch head token channel"],
    key: Float[Tensor, "batch head context channel"],
    value: Float[Tensor, "batch head context channel"],
    mask: Tensor | None,
) -> Float[Tensor, "batch head token channel"]:
    """Scaled dot-product attention, by what is fastest here; `mask` is true where a token may look."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # On units for bfloat16, plain products take half the time of the fused operator, forward and backward.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    found: Tensor = scores.softmax(dim=-1) @ value
    return found


def mlp(width: int, ratio: int = 4) -> nn.Sequential:
    """Two layers with a wide one between."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


class Layer(nn.Module):
    """Attention and MLP, each on normalised tokens and added to them.

    Args:
        width: Channels of a token.
        num_heads: Heads of attention.
        local_tokens: So many tokens, in their order, look at themselves alone; None for all at once.
    """

    def __init__(self, width: int, num_heads: int, local_tokens: int | None = None) -> None:
        super().__init__()
        self.local_tokens = local_tokens
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp(width)

    def forward(self, tokens: Tokens) -> Tokens:
        """The next layer's tokens."""
        batch, number, width = tokens.shape
        sliced = tokens if self.local_tokens is None else tokens.reshape(-1, self.local_tokens, width)
        sliced = sliced + self.attention(self.attention_norm(sliced))
        sliced = sliced + self.mlp(self.mlp_norm(sliced))
        joined: Tokens = sliced.reshape(batch, number, width)
        return joined


class Residual(nn.Module):
    """A convolution in space, added to what it sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel time height width"]:
        """The same grid with more of its surroundings in each place."""
        found: Tensor = grid + self.convolution(F.gelu(grid))
        return found


class Embedding(nn.Module):
    """Patches of 2 x 8 x 8 pixels as tokens that know their place and time, by three convolutions.

    They overlap in space: a transformer on patches that do not learns digits far more slowly.
    """

    def __init__(self, grid: tuple[int, int, int], width: int, num_residual: int = 3) -> None:
        super().__init__()
        half, few = width // 2, width // 4
        self.convolutions = nn.Sequential(
            nn.Conv3d(3, few, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.GELU(),
            nn.Conv3d(few, half, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *(Residual(half) for _ in range(num_residual)),
            nn.GELU(),
            nn.Conv3d(half, width, (2, 3, 3), (2, 2, 2), (0, 1, 1)),
        )
        self.place = nn.Parameter(0.02 * torch.randn(1, 1, grid[1] * grid[2], width))
        self.time = nn.Parameter(0.02 * torch.randn(1, grid[0], 1, width))

    def forward(self, clip: Float[Tensor, "batch 3 time height width"], first_slice: int = 0) -> Tokens:
        """Tokens in order of time, row and column; of a part of a clip, with the time at which it begins."""
        patches = self.convolutions(clip).flatten(3).permute(0, 2, 3, 1)
        time = self.time[:, first_slice : first_slice + patches.shape[1]]
        tokens: Tensor = (patches + self.place + time).flatten(1, 2)
        return tokens


class VideoViT(Backbone):
    """A video transformer whose answer is its visual tokens, one for each patch.

    Args:
        clip_shape: (3, time, height, width) of clips; whole patches of 2 x 8 x 8.
        width: Channels of a token, a multiple of `num_heads` and of 4.
        num_layers: Layers; it can be cut after each but the last, at `L1` and so on.
        num_local: So many layers at first look at one time slice alone: cheaper on the device, and a code can
            be made as frames come.
        num_heads: Heads of attention.

    Raises:
        ValueError: Patches do not fill the clip, heads do not fill the width, or too many layers are local.
    """

    num_classes = 0
    mean = (0.4, 0.4, 0.4)
    std = (0.25, 0.25, 0.25)

    def __init__(
        self,
        clip_shape: tuple[int, int, int, int] = (3, 16, 64, 64),
        width: int = 128,
        num_layers: int = 6,
        num_local: int = 2,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        channels, time, height, columns = clip_shape
        if channels != 3 or time % PATCH[0] or height % PATCH[1] or columns % PATCH[2]:
            raise ValueError(f"expected RGB clips of whole patches of {PATCH}, found {tuple(clip_shape)}")
        if width % num_heads or width % 4 or not 0 <= num_local <= num_layers:
            raise ValueError(
                "expected a width of whole heads and quarters and no more local layers than layers, found "
                f"width {width}, {num_heads} heads, {num_local} local layers of {num_layers}"
            )
        self.clip_shape, self.width = (channels, time, height, columns), width
        self.grid = (time // PATCH[0], height // PATCH[1], columns // PATCH[2])
        self.embedding = Embedding(self.grid, width)
        local = [self.grid[1] * self.grid[2]] * num_local + [None] * (num_layers - num_local)
        self.layers = nn.ModuleList(Layer(width, num_heads, each) for each in local)
        self.norm = nn.LayerNorm(width)
        self.apply(initialise)

    @property
    def offload_points(self) -> tuple[str, ...]:
        """`L1` after the first layer to the last but one."""
        return tuple(f"L{number}" for number in range(1, len(self.layers)))

    def silence_layers(self, first: int) -> None:
        """Let layers from an index on change nothing until they have learned something."""
        for layer in list(self.layers)[first:]:
            assert isinstance(layer, Layer)
            for parameter in (*layer.attention.output.parameters(), *layer.mlp[-1].parameters()):
                nn.init.zeros_(parameter)

    def num_visual_tokens(self) -> int:
        """Tokens of a clip."""
        return prod(self.grid)

    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the grid of patches, the same at every point.

        Raises:
            ValueError: The model has no such offload point, or takes no such clips.
        """
        self.check_point(point)
        self._check_clip(clip_shape or self.clip_shape)
        return FeatureShape(self.width, *self.grid)

    def num_tokens(self, point: str) -> int:
        """None: there are no class tokens."""
        self.check_point(point)
        return 0

    def edge_half(self, point: str) -> VideoViTEdgeHalf:
        """The embedding and the layers up to `point`."""
        return VideoViTEdgeHalf(self, self.check_point(point) + 1)

    def server_half(self, point: str) -> VideoViTServerHalf:
        """The layers after `point`: feature -> visual tokens."""
        return VideoViTServerHalf(self, self.check_point(point) + 1)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Tokens:
        """Visual tokens of a batch of clips, in order of time, row and column.

        Raises:
            ValueError: The clips are of another shape than `clip_shape`.
        """
        self._check_clip(tuple(clip.shape[1:]))
        return self.look_at(clip)

    def look_at(self, part: Float[Tensor, "batch 3 part height width"], first_slice: int = 0) -> Tokens:
        """Visual tokens of some slices of time, each of two frames, as if there were no others.

        Args:
            part: Whole slices of normalised clips.
            first_slice: Where in its clip the part begins.
        """
        tokens: Tensor = self.norm(run_through(self.layers, self.embedding(part, first_slice)))
        return tokens

    def _check_clip(self, shape: Any) -> None:
        if tuple(shape) != self.clip_shape:
            raise ValueError(f"expected clips of {self.clip_shape}, found {tuple(shape)}")


class VideoViTEdgeHalf(EdgeHalf):
    """The layers of a `VideoViT` before an offload point."""

    def __init__(self, model: VideoViT, num_layers: int) -> None:
        super().__init__()
        self.embedding, self.layers, self.grid = model.embedding, model.layers[:num_layers], model.grid

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The grid of patches; there are no class tokens."""
        tokens = run_through(self.layers, self.embedding(clip))
        return Feature(tokens.transpose(1, 2).unflatten(2, self.grid), tokens[:, :0])


class VideoViTServerHalf(ServerHalf):
    """The layers of a `VideoViT` after an offload point."""

    def __init__(self, model: VideoViT, num_layers: int) -> None:
        super().__init__()
        self.layers, self.norm = model.layers[num_layers:], model.norm

    def forward(self, feature: Feature) -> Tokens:
        """The visual tokens."""
        tokens: Tensor = self.norm(run_through(self.layers, feature.grid.flatten(2).transpose(1, 2)))
        return tokens


def initialise(module: nn.Module) -> None:
    """Start values of a transformer's matrices; convolutions keep those of PyTorch."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
