"""What every backbone promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature, FeatureShape


class Backbone(nn.Module, ABC):
    """A frozen video model that can be cut at named offload points.

    For every point and clip, in eval mode and bit for bit,
    `backbone.server_half(p)(backbone.edge_half(p)(clip)) == backbone(clip)`.
    Halves share their parameters with the whole and with each other.
    """

    clip_shape: tuple[int, int, int, int]
    """(channel, time, height, width) of the clips that the model was made for."""

    num_classes: int
    """Length of the logits; 0 where the answer is not logits."""

    fingerprint: int = 0
    """Hash of the weights, set by the zoo; 0 until then."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What is subtracted from RGB in [0, 1] before the model sees a clip."""

    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """What RGB in [0, 1] is divided by after the subtraction."""

    @property
    @abstractmethod
    def offload_points(self) -> tuple[str, ...]:
        """Names of the places where the model can be cut, from the input to the answer."""

    @abstractmethod
    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the feature at `point` for clips of `clip_shape` (the model's own by default)."""

    @abstractmethod
    def num_tokens(self, point: str) -> int:
        """How many class tokens cross at `point` beside the grid."""

    @abstractmethod
    def edge_half(self, point: str) -> EdgeHalf:
        """The layers before `point`."""

    @abstractmethod
    def server_half(self, point: str) -> ServerHalf:
        """The layers after `point`."""

    @abstractmethod
    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch ..."]:
        """The answer to a batch of normalised clips.

        Of a classifier, logits [batch, class] before any softmax; of a video-language model, the visual
        embeddings [batch, token, channel] that its language model goes on with.
        """

    def normalise(
        self, clip: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch 3 time height width"]:
        """Clips of RGB in [0, 1] as `forward` and the edge halves take them: less `mean`, over `std`."""
        if not any(self.mean) and set(self.std) == {1.0}:
            return clip
        both = torch.tensor((self.mean, self.std), dtype=clip.dtype, device=clip.device)
        mean, std = both.view(2, -1, 1, 1, 1).unbind()
        return (clip - mean) / std

    def __repr__(self) -> str:
        points = self.offload_points
        shown = points if len(points) < 8 else (*points[:2], "...", points[-1])
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        return f"<{self._describe()}: clips {tuple(self.clip_shape)}{classes}, cut at {', '.join(shown)}>"

    def _describe(self) -> str:
        return type(self).__name__

    def check_point(self, point: str) -> int:
        """Index of `point` in `offload_points`.

        Raises:
            ValueError: The model has no such offload point.
        """
        if point not in self.offload_points:
            raise ValueError(
                f"{type(self).__name__} has the offload points {', '.join(self.offload_points)}, "
                f"found {point!r}"
            )
        return self.offload_points.index(point)


class EdgeHalf(nn.Module, ABC):
    """The layers of a backbone before an offload point: normalised clip -> feature."""

    @abstractmethod
    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of normalised clips."""


class ServerHalf(nn.Module, ABC):
    """The layers of a backbone after an offload point: feature -> answer."""

    @abstractmethod
    def forward(self, feature: Feature) -> Float[Tensor, "batch ..."]:
        """The answer to a batch of features, as the whole backbone gives it."""


def run_through(layers: Iterable[nn.Module], grid: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """What comes out of the last of the layers."""
    for layer in layers:
        grid = layer(grid)
    return grid
