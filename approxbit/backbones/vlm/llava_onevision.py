"""LLaVA-OneVision (Li et al., 2024): SigLIP looks at 32 frames, a Qwen2 answers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.vlm.base import VideoLanguageModel, build_model
from approxbit.backbones.vlm.requirement import require_transformers
from approxbit.backbones.vlm.tower import VisionTower, siglip_tower


class LlavaOnevision(VideoLanguageModel):
    """LLaVA-OneVision. The projected patches of a frame are pooled to a quarter; a newline ends the clip."""

    model_type = "llava_onevision"
    tower_name = "vision_tower"

    @staticmethod
    def view_tower(module: Any, num_layers: int) -> VisionTower:
        """The SigLIP of transformers in the parts that a cut needs."""
        return siglip_tower(module, num_layers)

    @staticmethod
    def model_class() -> Any:
        """`LlavaOnevisionForConditionalGeneration`."""
        return require_transformers().LlavaOnevisionForConditionalGeneration

    def head(self) -> LlavaOnevisionHead:
        """The projector, the pooling and the newline."""
        model = self.model.model
        return LlavaOnevisionHead(
            model.multi_modal_projector, model.image_newline, self.tower.layout.grid_size
        )

    def num_visual_tokens(self, num_frames: int | None = None) -> int:
        """14 x 14 for each frame at full size, and the newline."""
        height, width = half_of(self.tower.layout.grid_size)
        return (num_frames or self.clip_shape[1]) * height * width + 1

    def places(self, visual: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch place channel"]:
        """All but the newline."""
        return visual[:, :-1]


class LlavaOnevisionHead(nn.Module):
    """The projector, the pooling of every frame, and the newline after the last."""

    def __init__(self, projector: nn.Module, image_newline: nn.Parameter, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.projector = projector
        self.image_newline = image_newline
        self.grid_size = grid_size

    def forward(
        self, tokens: Float[Tensor, "batch time token channel"]
    ) -> Float[Tensor, "batch token_out channel_out"]:
        """Visual embeddings, frame after frame, and the newline."""
        batch, time, _, _ = tokens.shape
        projected: Tensor = self.projector(tokens.flatten(0, 1))
        grid = projected.transpose(1, 2).unflatten(2, self.grid_size).contiguous()
        pooled = F.interpolate(grid, size=half_of(self.grid_size), mode="bilinear")
        visual = pooled.flatten(2).transpose(1, 2).unflatten(0, (batch, time)).flatten(1, 2)
        return torch.cat((visual, self.image_newline.expand(batch, 1, -1)), dim=1)


def half_of(grid_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after the pooling, rounded up.

    Example:
        >>> half_of((27, 27))
        (14, 14)
    """
    height, width = grid_size
    return (height + 1) // 2, (width + 1) // 2


def llava_onevision(
    config_or_path: Any = None,
    num_frames: int = 32,
    tower: VisionTower | None = None,
    dtype: torch.dtype | None = None,
) -> LlavaOnevision:
    """A LLaVA-OneVision in eval mode.

    Args:
        config_or_path: A `LlavaOnevisionConfig` for random weights, or a local folder that `save_pretrained`
            wrote; by default the published sizes of the 0.5B model, for shapes under `torch.device("meta")`.
        num_frames: Frames of a clip.
        tower: Takes the place of the model's own vision tower.
        dtype: Of the weights; by default float32, or what the folder holds.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: The configuration is not a LLaVA-OneVision's, or uses several layers of the tower at once.
        MissingKeyError: The folder's weights are not exactly those of the model.

    Example:
        >>> with torch.device("meta"):
        ...     backbone = llava_onevision()
        >>> backbone.offload_points[-1], backbone.feature_shape("L8"), backbone.num_tokens("L8")
        ('L26', FeatureShape(channels=1152, time=32, height=27, width=27), 0)
    """
    config_or_path = llava_onevision_05b_config() if config_or_path is None else config_or_path
    model = build_model(LlavaOnevision, config_or_path, dtype)
    return LlavaOnevision(model, num_frames, tower).eval()


def llava_onevision_05b_config() -> Any:
    """The published sizes: transformers' defaults, and Qwen2-0.5B with room for the placeholders."""
    transformers = require_transformers()
    text_config = transformers.Qwen2Config(
        vocab_size=152000,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        tie_word_embeddings=True,
    )
    return transformers.LlavaOnevisionConfig(text_config=text_config)
