"""MoViNet (Kondratyuk et al., 2021), base variant, cut after its stem or after any of its blocks.

    clip -> conv1 -> b0 -> b1 -> b2 -> b3 -> b4 -> conv7 -> mean -> classifier -> logits
                  B1    B2    B3    B4    B5    B6

Keys of the state dict are those of Atze00/MoViNet-pytorch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, overload

from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import EdgeHalf, ServerHalf, run_through
from approxbit.backbones.feature import Feature
from approxbit.backbones.movinet_family import STEM_STRIDE, MoViNetFamily, stack_layers
from approxbit.backbones.movinet_layers import Bottleneck, Convolution
from approxbit.backbones.movinet_stream import MoViNetStream
from approxbit.backbones.movinet_table import ARCHITECTURES, Architecture


class MoViNet(MoViNetFamily):
    """A MoViNet whose layers see the whole clip at once. Clips are RGB in [0, 1], not normalised further.

    Args:
        architecture: Widths, kernels and strides.
        num_classes: Length of the logits.
        clip_shape: (3, time, height, width) that `feature_shape` assumes; the architecture's own by default.
            The model itself takes clips of any length and size.
        dropout: Rate in the classifier while training, in [0, 1).
    """

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        clip_shape: tuple[int, int, int, int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(architecture, num_classes, clip_shape)
        self.conv1 = Convolution(3, architecture.stem_channels, (1, 3, 3), STEM_STRIDE)
        self.blocks = stack_layers(architecture, Bottleneck)
        self.conv7 = Convolution(architecture.blocks[-1].channels, architecture.head_channels)
        self.classifier = nn.Sequential(
            Convolution(
                architecture.head_channels, architecture.hidden_channels, has_norm=False, has_swish=False
            ),
            nn.SiLU(),
            nn.Dropout(dropout),
            Convolution(architecture.hidden_channels, num_classes, has_norm=False, has_swish=False),
        )

    def edge_half(self, point: str) -> MoViNetEdgeHalf:
        """The stem and the blocks before `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        half = MoViNetEdgeHalf([self.conv1, *self.blocks[: self.num_layers_before(point)]])
        half.training = self.training  # train() would also reach into the shared layers
        return half

    def server_half(self, point: str) -> MoViNetServerHalf:
        """The blocks after `point`, and the head.

        Raises:
            ValueError: The model has no such offload point.
        """
        layers = self.blocks[self.num_layers_before(point) :]
        half = MoViNetServerHalf(layers, self.conv7, self.classifier)
        half.training = self.training
        return half

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Logits of a batch of clips, before any softmax."""
        return classify(run_through(self.blocks, self.conv1(clip)), self.conv7, self.classifier)


class MoViNetEdgeHalf(EdgeHalf):
    """The stem and the first blocks of a MoViNet."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with no tokens."""
        grid = run_through(self.layers, clip)
        return Feature(grid, grid.new_zeros(grid.shape[0], 0, grid.shape[1]))


class MoViNetServerHalf(ServerHalf):
    """The last blocks of a MoViNet and its head."""

    def __init__(self, layers: Iterable[nn.Module], conv7: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.conv7 = conv7
        self.classifier = classifier

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits of a batch of features."""
        return classify(run_through(self.layers, feature.grid), self.conv7, self.classifier)


def classify(
    grid: Float[Tensor, "batch channel time height width"], conv7: nn.Module, classifier: nn.Module
) -> Float[Tensor, "batch class"]:
    """Logits from the last block's output: `classifier(mean(conv7(grid)))`."""
    logits: Tensor = classifier(conv7(grid).mean(dim=(2, 3, 4), keepdim=True)).flatten(1)
    return logits


@overload
def movinet(
    name: str,
    streaming: Literal[False] = False,
    num_classes: int = 600,
    clip_shape: tuple[int, int, int, int] | None = None,
) -> MoViNet: ...


@overload
def movinet(
    name: str,
    streaming: Literal[True],
    num_classes: int = 600,
    clip_shape: tuple[int, int, int, int] | None = None,
) -> MoViNetStream: ...


def movinet(
    name: str,
    streaming: bool = False,
    num_classes: int = 600,
    clip_shape: tuple[int, int, int, int] | None = None,
) -> MoViNet | MoViNetStream:
    """An untrained MoViNet of the published sizes.

    Args:
        name: `a0` to `a5`, or `small`.
        streaming: Whether it is the stream variant: causal, and able to go frame by frame. That of A0 to A2
            is the published one; the official A3 to A5 also encode the position of a frame, this does not.
        num_classes: Length of the logits; 600 for Kinetics-600.
        clip_shape: (3, time, height, width); by default the one that the architecture was published for.

    Raises:
        ValueError: There is no such architecture.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = movinet("a2")
        >>> model.feature_shape("B3")
        FeatureShape(channels=40, time=50, height=28, width=28)
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"movinet has the architectures {', '.join(ARCHITECTURES)}, found {name!r}")
    if streaming:
        return MoViNetStream(ARCHITECTURES[name], num_classes, clip_shape)
    return MoViNet(ARCHITECTURES[name], num_classes, clip_shape)


def movinet_small(num_classes: int = 240, clip_shape: tuple[int, int, int, int] = (3, 16, 64, 64)) -> MoViNet:
    """An untrained MoViNet for small clips that trains from scratch on two CPU cores."""
    return movinet("small", num_classes=num_classes, clip_shape=clip_shape)
