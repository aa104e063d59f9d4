"""Tokens of a frame-wise tower <-> the feature that crosses the cut."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, cat

from approxbit.backbones.feature import Feature, FeatureShape


@dataclass(frozen=True)
class TokenLayout:
    """How the tokens of every frame lie: its class tokens first, then its patches row by row.

    Attributes:
        channels: Width of a token.
        frame_size: Height and width in pixels that the position embeddings are made for.
        grid_size: How many patches a frame has from top to bottom and from left to right.
        num_class_tokens: Class tokens of each frame.
        num_frames: The one clip length that the tower takes; None where any will do.
    """

    channels: int
    frame_size: tuple[int, int]
    grid_size: tuple[int, int]
    num_class_tokens: int = 0
    num_frames: int | None = None

    def feature_shape(self, clip_shape: tuple[int, ...]) -> FeatureShape:
        """Shape of the feature of one clip, the same after every layer.

        Args:
            clip_shape: (channel, time, height, width).

        Raises:
            ValueError: The tower does not take such clips.
        """
        self.check_clip(clip_shape)
        return FeatureShape(self.channels, clip_shape[1], *self.grid_size)

    def check_clip(self, clip_shape: tuple[int, ...]) -> None:
        """Refuse clips that the position embeddings were not made for.

        Raises:
            ValueError: Frames of another size, or another number of them where that is fixed.
        """
        _, time, *frame_size = clip_shape
        expected = self.num_frames or time, *self.frame_size
        if (time, *frame_size) != expected:
            raise ValueError(
                f"this vision tower takes clips of (time, height, width) {expected}, "
                f"found {(time, *frame_size)}"
            )

    def to_feature(self, tokens: Float[Tensor, "batch time token channel"]) -> Feature:
        """The tokens as a feature; `to_tokens` is the inverse."""
        patches = tokens[:, :, self.num_class_tokens :]
        grid = patches.permute(0, 3, 1, 2).unflatten(3, self.grid_size)
        return Feature(grid.contiguous(), tokens[:, :, : self.num_class_tokens].flatten(1, 2))

    def to_tokens(self, feature: Feature) -> Float[Tensor, "batch time token channel"]:
        """The class tokens of every frame followed by its patches."""
        patches = feature.grid.permute(0, 2, 3, 4, 1).flatten(2, 3)
        batch, time, _, channels = patches.shape
        class_tokens = feature.tokens.reshape(batch, time, self.num_class_tokens, channels)
        return cat((class_tokens, patches), dim=2).contiguous()
