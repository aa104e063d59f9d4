"""The attention of MViTv2 as plain products: no in-place writes, no Einsum, no Scatter.

Relative positions are folded into the product of queries and keys. With q at (t, h, w) and k at (t', h', w'):

    scale q·k + q·R_t[t, t'] + q·R_h[h, h'] + q·R_w[w, w']  =  q'·k'
    q' = [scale q | q R_t[t] | q R_h[h] | q R_w[w]]      k' = [k | one-hot t' | one-hot h' | one-hot w']

The class token has no place: its added entries are 0 in both.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.mvit import MultiscaleAttention

from approxbit.configuration import Shape3
from approxbit.exporting.views.frames import FrameConvolution

Heads = Float[Tensor, "batch head token head_channel"]
ExtendedHeads = Float[Tensor, "batch head token extended_channel"]


class AttentionView(nn.Module):
    """A `MultiscaleAttention` with pooled queries, keys and values, and the residual of the queries.

    Args:
        attention: Shares its parameters; only the pooling kernels are laid out anew, once for each head.
        size: Time, height and width of the grid that comes in.
    """

    query_weight: Tensor
    query_bias: Tensor
    key_value_weight: Tensor
    key_value_bias: Tensor
    grid_only: Tensor

    def __init__(self, attention: MultiscaleAttention, size: Shape3) -> None:
        super().__init__()
        channels = attention.output_dim
        self.num_heads, self.head_channels = attention.num_heads, attention.head_dim
        self.scale = attention.scaler
        for name, tensor in (("weight", attention.qkv.weight), ("bias", attention.qkv.bias)):
            self.register_buffer(f"query_{name}", tensor[:channels].detach(), persistent=False)
            self.register_buffer(f"key_value_{name}", tensor[channels:].detach(), persistent=False)
        self.size_in = size
        pools: Any = attention
        self.pool_query = _pooling([pools.pool_q], self.num_heads, size)
        self.pool_key_value = _pooling([pools.pool_k, pools.pool_v], self.num_heads, size)
        self.query_norm = pools.pool_q.norm_act
        self.key_norm = pools.pool_k.norm_act
        self.value_norm = pools.pool_v.norm_act
        self.positions = RelativePositions(attention, self.pool_query.size_out, self.pool_key_value.size_out)
        self.project = attention.project
        self.num_tokens = 1 + self.positions.num_queries
        grid_only = (torch.arange(self.num_tokens) > 0).float()[:, None]
        self.register_buffer("grid_only", grid_only, persistent=False)

    @property
    def size_out(self) -> Shape3:
        """Time, height and width of the grid that goes out."""
        return self.pool_query.size_out

    def forward(
        self, tokens: Float[Tensor, "batch token channel"]
    ) -> Float[Tensor, "batch token_out channel_out"]:
        """What every pooled query saw, projected; the class token is the first."""
        (queries,) = self._pool(F.linear(tokens, self.query_weight, self.query_bias), self.pool_query, 1)
        keys, values = self._pool(
            F.linear(tokens, self.key_value_weight, self.key_value_bias), self.pool_key_value, 2
        )
        queries, keys, values = self.query_norm(queries), self.key_norm(keys), self.value_norm(values)
        weights = torch.matmul(
            self.positions.extend_queries(queries, self.scale),
            self.positions.extend_keys(keys).transpose(2, 3),
        ).softmax(dim=-1)
        seen = torch.matmul(weights, values) + queries * self.grid_only
        channels = self.num_heads * self.head_channels
        projected: Tensor = self.project(seen.transpose(1, 2).reshape(-1, self.num_tokens, channels))
        return projected

    def _pool(
        self, tokens: Float[Tensor, "batch position channel"], pool: FrameConvolution, num_parts: int
    ) -> tuple[Heads, ...]:
        """The class tokens and the pooled grid, head by head, of queries alone or of keys and values."""
        heads = (num_parts, self.num_heads, self.head_channels)
        channels = math.prod(heads)
        class_token = tokens[:, :1].reshape(-1, 1, *heads).permute(2, 0, 3, 1, 4)
        frames = tokens[:, 1:].reshape(-1, self.size_in[1] * self.size_in[2], channels).transpose(1, 2)
        frames = pool(frames.reshape(-1, channels, *self.size_in[1:]))
        time, height, width = pool.size_out
        grid = frames.reshape(-1, time, *heads, height * width).permute(2, 0, 3, 1, 5, 4)
        grid = grid.reshape(num_parts, -1, self.num_heads, time * height * width, self.head_channels)
        return torch.cat((class_token, grid), dim=3).unbind(0)


class RelativePositions(nn.Module):
    """What relative positions add to queries and keys, gathered from the tables once.

    Args:
        attention: Its tables `rel_pos_t`, `rel_pos_h` and `rel_pos_w`.
        query_size: Time, height and width of the queries.
        key_size: Time, height and width of the keys.
    """

    time_table: Tensor
    height_table: Tensor
    width_table: Tensor
    key_places: Tensor

    def __init__(self, attention: MultiscaleAttention, query_size: Shape3, key_size: Shape3) -> None:
        super().__init__()
        self.num_heads, self.head_channels = attention.num_heads, attention.head_dim
        self.query_size = query_size
        self.num_queries = math.prod(query_size)
        self.num_places = sum(key_size)
        sizes = zip(("time", "height", "width"), query_size, key_size, strict=True)
        for axis, num_queries, num_keys in sizes:
            table = gather_table(getattr(attention, f"rel_pos_{axis[0]}"), num_queries, num_keys)
            self.register_buffer(f"{axis}_table", table.transpose(1, 2).contiguous(), persistent=False)
        # Added rather than joined: a constant would have to be repeated for a batch that is not known yet.
        places = F.pad(one_hot_places(key_size), (self.head_channels, 0))
        self.register_buffer("key_places", places, persistent=False)

    def extend_queries(self, queries: Heads, scale: float) -> ExtendedHeads:
        """q': the scaled queries, and beside them their products with the tables."""
        time, height, width = self.query_size
        clips = (-1, self.num_heads, time)
        grid = queries[:, :, 1:].reshape(*clips, height, width, self.head_channels)
        # The axis of a table must stand right before the rows of its product.
        by_time = torch.matmul(grid.reshape(*clips, height * width, self.head_channels), self.time_table)
        by_time = by_time.reshape(*clips, height, width, self.time_table.shape[2])
        by_height = torch.matmul(grid, self.height_table)
        by_width = torch.matmul(grid.transpose(3, 4), self.width_table).transpose(3, 4)
        added = torch.cat((by_time, by_height, by_width), dim=5)
        added = added.reshape(-1, self.num_heads, self.num_queries, self.num_places)
        return torch.cat((queries * scale, F.pad(added, (0, 0, 1, 0))), dim=3)

    def extend_keys(self, keys: Heads) -> ExtendedHeads:
        """k': the keys, and beside them where they lie."""
        return F.pad(keys, (0, self.num_places)) + self.key_places


@torch.no_grad()
def gather_table(
    table: Float[Tensor, "distance channel"], num_queries: int, num_keys: int
) -> Float[Tensor, "query key channel"]:
    """The row of the table for every query and key along one axis, as MViTv2 defines their distance.

    A table made for another number of positions is interpolated. Where queries and keys are not equally
    many, the fewer ones are stretched, and the distance is rounded down.
    """
    longest = max(num_queries, num_keys)
    if table.shape[0] != 2 * longest - 1:
        rows = F.interpolate(table.T[None], size=2 * longest - 1, mode="linear")
        table = rows[0].T
    query_step, key_step = max(num_keys / num_queries, 1.0), max(num_queries / num_keys, 1.0)
    queries = torch.arange(num_queries)[:, None] * query_step
    keys = (torch.arange(num_keys)[None, :] + (1.0 - num_keys)) * key_step
    return table[(queries - keys).long()]


def one_hot_places(size: Shape3) -> Float[Tensor, "token place"]:
    """Which time, height and width every key has; the row of the class token is 0.

    Example:
        >>> one_hot_places((1, 1, 2)).int().tolist()
        [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]
    """
    axes = [torch.eye(length) for length in size]
    rows = [torch.cat(row) for row in itertools.product(*axes)]
    return torch.stack([torch.zeros(sum(size)), *rows])


def _pooling(pools: list[Any], num_heads: int, size: Shape3) -> FrameConvolution:
    """The depthwise convolutions of all heads, and of keys and values, as one."""
    convolution = pools[0].pool
    weight = torch.cat([pool.pool.weight.repeat(num_heads, 1, 1, 1, 1) for pool in pools])
    _, height, width = convolution.padding
    return FrameConvolution(
        weight,
        None,
        size,
        convolution.stride,
        (height, height),
        (width, width),
        groups=weight.shape[0],
    )
