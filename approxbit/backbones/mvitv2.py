"""MViTv2 (Li et al., 2022) on torchvision's generic `MViT`, cut after any of its blocks.

    clip -> patches + class token -> block 1 -> ... -> block n -> norm -> class token -> head -> logits
                                            B1                Bn

Keys of the state dict are torchvision's.
"""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, cat, nn
from torchvision.models.video.mvit import MSBlockConfig, MViT

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.mvitv2_table import ARCHITECTURES, Architecture, BlockSpec, Size

POOLING_KERNEL = (3, 3, 3)


class MViTv2(Backbone):
    """An MViTv2 with decomposed relative positions, residual pooling and one class token.

    Clips are RGB in [0, 1], normalised by `mean` and `std`. Clips of another length or size than `clip_shape`
    work too: the tables of relative positions are then interpolated on the fly.

    Args:
        architecture: Widths, strides and kernels of the blocks.
        num_classes: Length of the logits.
        clip_shape: (3, time, height, width) that the tables of relative positions are made for, and that
            `feature_shape` assumes; the architecture's own by default.
        dropout: Rate before the last layer while training, in [0, 1); the architecture's own by default.
        stochastic_depth: Rate at which training skips the last block, in [0, 1]; falls linearly to 0 at
            the first. The architecture's own by default.
    """

    mean = (0.45, 0.45, 0.45)
    std = (0.225, 0.225, 0.225)

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        clip_shape: tuple[int, int, int, int] | None = None,
        dropout: float | None = None,
        stochastic_depth: float | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.num_classes = num_classes
        self.clip_shape = clip_shape or architecture.clip_shape
        whole = MViT(
            spatial_size=self.clip_shape[2:],
            temporal_size=self.clip_shape[1],
            block_setting=[_setting(block) for block in architecture.blocks],
            residual_pool=True,
            residual_with_cls_embed=False,
            rel_pos_embed=True,
            proj_after_attn=True,
            dropout=architecture.dropout if dropout is None else dropout,
            stochastic_depth_prob=(
                architecture.stochastic_depth if stochastic_depth is None else stochastic_depth
            ),
            num_classes=num_classes,
            patch_embed_kernel=architecture.patch_kernel,
            patch_embed_stride=architecture.patch_stride,
            patch_embed_padding=architecture.patch_padding,
        )
        self.conv_proj = whole.conv_proj
        self.pos_encoding = whole.pos_encoding
        self.blocks = whole.blocks
        self.norm = whole.norm
        self.head = whole.head

    @property
    def offload_points(self) -> tuple[str, ...]:
        """`B1` after the first block to `B{n}` after the last."""
        return tuple(f"B{number}" for number in range(1, len(self.blocks) + 1))

    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the grid at `point`, by arithmetic: every stride rounds up.

        Raises:
            ValueError: The model has no such offload point.
        """
        blocks = self.architecture.blocks[: self.check_point(point) + 1]
        _, *size = clip_shape or self.clip_shape
        for strides in (self.architecture.patch_stride, *(block.query_stride for block in blocks)):
            size = [-(-length // stride) for length, stride in zip(size, strides, strict=True)]
        return FeatureShape(blocks[-1].channels, *size)

    def num_tokens(self, point: str) -> int:
        """Always 1: the class token, which is all that the head looks at.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        return 1

    def edge_half(self, point: str) -> MViTv2EdgeHalf:
        """The patches and the blocks up to `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        num_blocks = self.check_point(point) + 1
        return MViTv2EdgeHalf(self.conv_proj, self.pos_encoding, self.blocks[:num_blocks])

    def server_half(self, point: str) -> MViTv2ServerHalf:
        """The blocks after `point`, and the head.

        Raises:
            ValueError: The model has no such offload point.
        """
        num_blocks = self.check_point(point) + 1
        return MViTv2ServerHalf(self.blocks[num_blocks:], self.norm, self.head)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Logits of a batch of clips, before any softmax."""
        tokens, size = embed(clip, self.conv_proj, self.pos_encoding)
        tokens, _ = run_through(self.blocks, tokens, size)
        return classify(tokens, self.norm, self.head)


class MViTv2EdgeHalf(EdgeHalf):
    """The patches and the first blocks of an MViTv2."""

    def __init__(self, conv_proj: nn.Module, pos_encoding: nn.Module, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.conv_proj = conv_proj
        self.pos_encoding = pos_encoding
        self.blocks = nn.ModuleList(blocks)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with the class token beside the grid."""
        tokens, size = embed(clip, self.conv_proj, self.pos_encoding)
        return to_feature(*run_through(self.blocks, tokens, size))


class MViTv2ServerHalf(ServerHalf):
    """The last blocks of an MViTv2 and its head."""

    def __init__(self, blocks: Iterable[nn.Module], norm: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.head = head

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits of a batch of features."""
        tokens, _ = run_through(self.blocks, *to_tokens(feature))
        return classify(tokens, self.norm, self.head)


def embed(
    clip: Float[Tensor, "batch 3 time height width"], conv_proj: nn.Module, pos_encoding: nn.Module
) -> tuple[Float[Tensor, "batch token channel"], Size]:
    """The class token followed by the patches, and the (time, height, width) of the patches."""
    grid = conv_proj(clip)
    return pos_encoding(grid.flatten(2).transpose(1, 2)), size_of(grid)


def run_through(
    blocks: Iterable[nn.Module], tokens: Float[Tensor, "batch token channel"], size: Size
) -> tuple[Float[Tensor, "batch token_out channel_out"], Size]:
    """What comes out of the last of the blocks, and the size of its grid."""
    for block in blocks:
        tokens, size = block(tokens, size)
    return tokens, size


def classify(
    tokens: Float[Tensor, "batch token channel"], norm: nn.Module, head: nn.Module
) -> Float[Tensor, "batch class"]:
    """Logits from the last block's output: `head(norm(tokens)[0])`."""
    logits: Tensor = head(norm(tokens)[:, 0])
    return logits


def to_feature(tokens: Float[Tensor, "batch token channel"], size: Size) -> Feature:
    """The tokens as a feature; `to_tokens` is the inverse."""
    grid = tokens[:, 1:].transpose(1, 2).unflatten(2, size)
    return Feature(grid.contiguous(), tokens[:, :1])


def to_tokens(feature: Feature) -> tuple[Float[Tensor, "batch token channel"], Size]:
    """The class token followed by the grid's positions in C order, and the size of the grid."""
    return cat((feature.tokens, feature.grid.flatten(2).transpose(1, 2)), dim=1), size_of(feature.grid)


def size_of(grid: Float[Tensor, "batch channel time height width"]) -> Size:
    """Time, height and width of a grid."""
    _, _, time, height, width = grid.shape
    return time, height, width


def _setting(block: BlockSpec) -> MSBlockConfig:
    return MSBlockConfig(
        num_heads=block.num_heads,
        input_channels=block.channels_in,
        output_channels=block.channels,
        kernel_q=list(POOLING_KERNEL),
        kernel_kv=list(POOLING_KERNEL),
        stride_q=list(block.query_stride),
        stride_kv=list(block.key_stride),
    )


def mvitv2_b(
    num_classes: int = 174,
    clip_shape: tuple[int, int, int, int] = (3, 32, 224, 224),
    dropout: float = 0.5,
    stochastic_depth: float = 0.4,
) -> MViTv2:
    """An untrained MViTv2-B 32x3; the defaults are those of Something-Something-v2.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = mvitv2_b()
        >>> model.feature_shape("B8")
        FeatureShape(channels=384, time=16, height=14, width=14)
    """
    return MViTv2(ARCHITECTURES["b"], num_classes, clip_shape, dropout, stochastic_depth)


def mvitv2_s(
    num_classes: int = 400,
    clip_shape: tuple[int, int, int, int] = (3, 16, 224, 224),
    dropout: float = 0.5,
    stochastic_depth: float = 0.2,
) -> MViTv2:
    """An untrained MViTv2-S 16x4; the defaults are those of Kinetics-400, as torchvision's `mvit_v2_s`."""
    return MViTv2(ARCHITECTURES["s"], num_classes, clip_shape, dropout, stochastic_depth)


def mvitv2_tiny(
    num_classes: int = 240,
    clip_shape: tuple[int, int, int, int] = (3, 16, 64, 64),
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
) -> MViTv2:
    """An untrained MViTv2 for small clips that trains from scratch on two CPU cores.

    Its weights start larger than torchvision's: see `scale_initial_weights`.
    """
    model = MViTv2(ARCHITECTURES["tiny"], num_classes, clip_shape, dropout, stochastic_depth)
    scale_initial_weights(model)
    return model


def scale_initial_weights(model: nn.Module) -> None:
    """Draw the weights of all linear layers again, with a standard deviation of `fan_in ** -0.5`.

    torchvision's fixed 0.02 suits widths of 768. In a block 32 wide it leaves attention and MLP all but
    silent beside the residual path, and training stood still at chance for its first 500 steps.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
