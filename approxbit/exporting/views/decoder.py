"""The server's side of the codec in operators that every target takes."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature
from approxbit.codec import Codec
from approxbit.codec.decoder import HEAD_CHANNELS, MAX_KEYS, SelfAttention, Upsampler
from approxbit.configuration import Shape3

Sequence = Float[Tensor, "batch position channel"]
Grid = Float[Tensor, "batch channel time height width"]


class DecoderView(nn.Module):
    """Bits -> feature: codebook, ResBlocks, self-attention, deconvolution, and the statistics undone."""

    matrix: Tensor

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        configuration, feature_size = codec.configuration, codec.feature_shape.size
        self.num_bits, self.num_tokens = configuration.codebook_size, codec.num_tokens
        self.grid_size = configuration.grid_size(feature_size)
        # Not `codebook(code)`: its matrix gets its axes when it is called, and TensorRT wants them before.
        matrix = codec.codebook.matrix.detach()
        self.register_buffer("matrix", matrix[:, :, None, None, None], persistent=False)
        self.codebook = codec.codebook
        self.blocks = codec.decoder.blocks
        self.attention = SelfAttentionView(codec.decoder.attention, self.grid_size, codec.num_tokens)
        upsampler = codec.decoder.upsampler
        self.upsampler = None if upsampler is None else UpsamplerView(upsampler, feature_size)
        self.standardizer = codec.standardizer

    def forward(self, bits: Float[Tensor, "batch bit"]) -> Feature:
        """The decoded features of a batch of codes, bit planes in the order of the wire."""
        num_grid = math.prod(self.grid_size)
        planes = bits.reshape(-1, self.num_bits, num_grid + self.num_tokens)
        grid = planes[:, :, :num_grid].reshape(-1, self.num_bits, *self.grid_size)
        grid = self.blocks(F.conv3d(grid, self.matrix, self.codebook.offset))
        tokens = None
        if self.num_tokens:
            rows = planes[:, :, num_grid:].transpose(1, 2)
            tokens = F.linear(rows, self.codebook.token_matrix, self.codebook.token_offset)
        grid, tokens = self.attention(grid, tokens)
        if self.upsampler is not None:
            grid = self.upsampler(grid)
        if tokens is None:
            tokens = grid.new_zeros(grid.shape[0], 0, grid.shape[1])
        return self.standardizer.restore(Feature(grid, tokens))


class SelfAttentionView(nn.Module):
    """A `SelfAttention` with its products written out, for grids of one size.

    Without class tokens there is no tensor for them, where the module has one of zero rows.
    """

    def __init__(self, attention: SelfAttention, size: Shape3, num_tokens: int) -> None:
        super().__init__()
        self.attention = attention
        self.size = size
        self.num_tokens = num_tokens
        self.pool = WindowMean(size)
        self.channels = attention.output.out_features
        self.num_heads = attention.query.out_features // HEAD_CHANNELS

    def forward(self, grid: Grid, tokens: Sequence | None) -> tuple[Grid, Sequence | None]:
        """The grid and the tokens with what they saw elsewhere in the clip added."""
        parts = self.attention
        positions = self._as_sequence(grid, self.size)
        keys = self._as_sequence(self.pool(grid), self.pool.size_out)
        if tokens is not None:
            positions, keys = torch.cat((tokens, positions), dim=1), torch.cat((tokens, keys), dim=1)
        num_queries = math.prod(self.size) + self.num_tokens
        num_keys = math.prod(self.pool.size_out) + self.num_tokens
        queries, keys = parts.norm(positions), parts.norm(keys)
        scaled = self._split_heads(parts.query(queries), num_queries) * HEAD_CHANNELS**-0.5
        weights = torch.matmul(scaled, self._split_heads(parts.key(keys), num_keys).transpose(2, 3))
        seen = torch.matmul(weights.softmax(dim=-1), self._split_heads(parts.value(keys), num_keys))
        added = parts.output(seen.transpose(1, 2).reshape(-1, num_queries, self.num_heads * HEAD_CHANNELS))
        on_grid = added[:, self.num_tokens :].transpose(1, 2).reshape(-1, self.channels, *self.size)
        return grid + on_grid, None if tokens is None else tokens + added[:, : self.num_tokens]

    def _as_sequence(self, grid: Grid, size: Shape3) -> Sequence:
        return grid.reshape(-1, self.channels, math.prod(size)).transpose(1, 2)

    def _split_heads(
        self, sequence: Sequence, length: int
    ) -> Float[Tensor, "batch head position head_channel"]:
        return sequence.reshape(-1, length, self.num_heads, HEAD_CHANNELS).transpose(1, 2)


class WindowMean(nn.Module):
    """Means over windows, as small as leaves at most `MAX_KEYS` of them.

    Windows that reach beyond the end are filled with zeros, and a constant undoes what these change:
    runtimes differ on how they average windows that are not full.
    """

    correction: Tensor

    def __init__(self, size: Shape3) -> None:
        super().__init__()
        window = 1
        while math.prod(-(-length // window) for length in size) > MAX_KEYS:
            window *= 2
        self.window = tuple(min(window, length) for length in size)
        time, height, width = (-(-length // side) for length, side in zip(size, self.window, strict=True))
        self.size_out = time, height, width
        axes = zip(self.size_out, self.window, size, strict=True)
        time, height, width = (count * side - length for count, side, length in axes)
        self.edges = (0, width, 0, height, 0, time)
        counted = F.avg_pool3d(F.pad(torch.ones(1, 1, *size), self.edges), self.window)
        self.register_buffer("correction", 1 / counted, persistent=False)

    def forward(self, grid: Grid) -> Float[Tensor, "batch channel few_times few_heights few_widths"]:
        """The mean of each window."""
        if math.prod(self.window) == 1:
            return grid
        if not any(self.edges):
            return F.avg_pool3d(grid, self.window)
        return F.avg_pool3d(F.pad(grid, self.edges), self.window) * self.correction


class UpsamplerView(nn.Module):
    """An `Upsampler` to one size."""

    def __init__(self, upsampler: Upsampler, size: Shape3) -> None:
        super().__init__()
        self.deconvolution: Any = upsampler.deconvolution
        # A kernel of 3 with stride 2 and padding 1 gives 2n - 1 positions; an even size needs one more.
        self.output_padding = tuple((length + 1) % 2 for length in size)

    def forward(
        self, grid: Float[Tensor, "batch channel half_time half_height half_width"]
    ) -> Float[Tensor, "batch channel time height width"]:
        """The grid at its full size."""
        parts = self.deconvolution
        return F.conv_transpose3d(
            grid, parts.weight, parts.bias, parts.stride, parts.padding, self.output_padding, parts.groups
        )
