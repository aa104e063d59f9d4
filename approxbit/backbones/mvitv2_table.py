"""The MViTv2 architectures as data: B and S of Li et al. (2022), and one for small clips.

Queries, keys and values are pooled by depthwise convolutions with a kernel of 3x3x3 in every block.
"""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int, int]


@dataclass(frozen=True)
class BlockSpec:
    """One attention block.

    Attributes:
        channels_in: Width of the tokens that come in.
        channels: Width of the tokens that go out; the attention itself widens them.
        num_heads: Attention heads, each `channels / num_heads` wide.
        query_stride: (time, height, width) by which the block shrinks the grid.
        key_stride: (time, height, width) by which keys and values are pooled, seen from the incoming grid.
    """

    channels_in: int
    channels: int
    num_heads: int
    query_stride: Size
    key_stride: Size


@dataclass(frozen=True)
class Architecture:
    """One MViTv2.

    Attributes:
        clip_shape: (channel, time, height, width) of the clips that it was published for.
        blocks: From the patches to the head.
        dropout: Rate before the last layer in training.
        stochastic_depth: Rate at which training skips the last block; earlier blocks in proportion.
        patch_kernel: (time, height, width) of the convolution that makes the patches.
        patch_stride: Its stride.
    """

    clip_shape: tuple[int, int, int, int]
    blocks: tuple[BlockSpec, ...]
    dropout: float
    stochastic_depth: float
    patch_kernel: Size = (3, 7, 7)
    patch_stride: Size = (2, 4, 4)

    @property
    def patch_padding(self) -> Size:
        """Half of the kernel on either side, so that the grid is the clip's size over the stride."""
        time, height, width = self.patch_kernel
        return time // 2, height // 2, width // 2


def blocks(head_channels: int, *rows: tuple[int, int, int, Size]) -> tuple[BlockSpec, ...]:
    """Blocks from rows of (how many alike, channels, query stride in space, key stride).

    Example:
        >>> [(block.channels_in, block.num_heads) for block in blocks(48, (2, 48, 1, (1, 4, 4)))]
        [(48, 1), (48, 1)]
        >>> blocks(48, (1, 48, 1, (1, 4, 4)), (1, 96, 2, (1, 4, 4)))[1].channels_in
        48
    """
    specs: list[BlockSpec] = []
    for count, channels, stride, key_stride in rows:
        for _ in range(count):
            channels_in = specs[-1].channels if specs else channels
            num_heads = channels // head_channels
            specs.append(BlockSpec(channels_in, channels, num_heads, (1, stride, stride), key_stride))
    return tuple(specs)


ARCHITECTURES = {
    "b": Architecture(
        clip_shape=(3, 32, 224, 224),
        blocks=blocks(
            96,
            (2, 96, 1, (1, 8, 8)),
            (1, 192, 2, (1, 4, 4)),
            (2, 192, 1, (1, 4, 4)),
            (1, 384, 2, (1, 2, 2)),
            (15, 384, 1, (1, 2, 2)),
            (1, 768, 2, (1, 1, 1)),
            (2, 768, 1, (1, 1, 1)),
        ),
        dropout=0.5,
        stochastic_depth=0.4,
    ),
    "s": Architecture(
        clip_shape=(3, 16, 224, 224),
        blocks=blocks(
            96,
            (1, 96, 1, (1, 8, 8)),
            (1, 192, 2, (1, 4, 4)),
            (1, 192, 1, (1, 4, 4)),
            (1, 384, 2, (1, 2, 2)),
            (10, 384, 1, (1, 2, 2)),
            (1, 768, 2, (1, 1, 1)),
            (1, 768, 1, (1, 1, 1)),
        ),
        dropout=0.5,
        stochastic_depth=0.2,
    ),
    # Small enough for two CPU cores. Keys and values always come from a grid of 4 x 4 x 4.
    "tiny": Architecture(
        clip_shape=(3, 16, 64, 64),
        blocks=blocks(
            32,
            (1, 32, 1, (1, 4, 4)),
            (1, 64, 2, (1, 4, 4)),
            (4, 64, 1, (1, 2, 2)),
            (1, 128, 2, (1, 2, 2)),
            (1, 128, 1, (1, 1, 1)),
        ),
        dropout=0.0,
        stochastic_depth=0.0,
        patch_kernel=(5, 7, 7),
        patch_stride=(4, 4, 4),
    ),
}
