"""What the two variants of MoViNet, base and stream, have in common: where they are cut, and into what."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import accumulate

from torch import nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import FeatureShape
from approxbit.backbones.movinet_table import Architecture, LayerSpec

STEM_STRIDE = 2


class MoViNetFamily(Backbone):
    """A MoViNet of either variant. Clips are RGB in [0, 1], not normalised further.

    Args:
        architecture: Widths, kernels and strides.
        num_classes: Length of the logits.
        clip_shape: (3, time, height, width) that `feature_shape` assumes; the architecture's own by default.
            The model itself takes clips of any length and size.
    """

    blocks: nn.Sequential

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        clip_shape: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.num_classes = num_classes
        self.clip_shape = clip_shape or architecture.clip_shape

    @property
    def offload_points(self) -> tuple[str, ...]:
        """`B1` after the stem, `B{i + 2}` after the layers `b{i}_l*`."""
        return tuple(f"B{number}" for number in range(1, len(self.architecture.blocks) + 2))

    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the feature at `point`, by arithmetic: every stride rounds up.

        Raises:
            ValueError: The model has no such offload point.
        """
        blocks = self.architecture.blocks[: self.check_point(point)]
        _, time, height, width = clip_shape or self.clip_shape
        for stride in (STEM_STRIDE, *(block.stride for block in blocks)):
            height, width = -(-height // stride), -(-width // stride)
        channels = blocks[-1].channels if blocks else self.architecture.stem_channels
        return FeatureShape(channels, time, height, width)

    def num_tokens(self, point: str) -> int:
        """Always 0: a MoViNet has no class token.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        return 0

    def num_layers_before(self, point: str) -> int:
        """How many of the layers in `blocks` the edge half holds; the stem is not counted.

        Raises:
            ValueError: The model has no such offload point.
        """
        lengths = accumulate((0, *(len(block.layers) for block in self.architecture.blocks)))
        return list(lengths)[self.check_point(point)]


def stack_layers(
    architecture: Architecture, layer: Callable[[int, int, LayerSpec], nn.Module]
) -> nn.Sequential:
    """All layers of an architecture under their published names, `b{block}_l{layer}`.

    Args:
        architecture: Widths, kernels and strides.
        layer: Makes a layer from its channels in, its channels out and its specification.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = architecture.stem_channels
    for block_index, block in enumerate(architecture.blocks):
        for layer_index, spec in enumerate(block.layers):
            layers[f"b{block_index}_l{layer_index}"] = layer(channels, block.channels, spec)
            channels = block.channels
    return nn.Sequential(layers)
