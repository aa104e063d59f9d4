"""Video-LLaVA (Lin et al., 2024) as transformers has it: CLIP looks at 8 frames, a Llama answers.

transformers' port runs a plain CLIP over every frame, without the temporal attention of the original video
tower: see `approxbit.backbones.vlm.tower`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.vlm.base import VideoLanguageModel, build_model
from approxbit.backbones.vlm.requirement import require_transformers
from approxbit.backbones.vlm.tower import VisionTower, clip_tower


class VideoLlava(VideoLanguageModel):
    """Video-LLaVA. All tokens of all frames reach the language model, the class tokens among them."""

    model_type = "video_llava"
    tower_name = "video_tower"

    @staticmethod
    def view_tower(module: Any, num_layers: int) -> VisionTower:
        """The CLIP of transformers in the parts that a cut needs."""
        return clip_tower(module, num_layers)

    @staticmethod
    def model_class() -> Any:
        """`VideoLlavaForConditionalGeneration`."""
        return require_transformers().VideoLlavaForConditionalGeneration

    def head(self) -> VideoLlavaHead:
        """The projector."""
        return VideoLlavaHead(self.model.model.multi_modal_projector)

    def num_visual_tokens(self, num_frames: int | None = None) -> int:
        """257 for each frame at full size: a class token and 16 x 16 patches."""
        layout = self.tower.layout
        height, width = layout.grid_size
        return (num_frames or self.clip_shape[1]) * (layout.num_class_tokens + height * width)

    def places(self, visual: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch place channel"]:
        """All but the class tokens of the frames."""
        layout = self.tower.layout
        frames = visual.unflatten(
            1, (-1, layout.num_class_tokens + layout.grid_size[0] * layout.grid_size[1])
        )
        patches: Tensor = frames[:, :, layout.num_class_tokens :].flatten(1, 2)
        return patches


class VideoLlavaHead(nn.Module):
    """The projector, on every token of every frame."""

    def __init__(self, projector: nn.Module) -> None:
        super().__init__()
        self.projector = projector

    def forward(
        self, tokens: Float[Tensor, "batch time token channel"]
    ) -> Float[Tensor, "batch token_out channel_out"]:
        """Visual embeddings, frame after frame.

        One row for each clip, where transformers has one for each frame: so rows stay whole when `generate`
        repeats them for its beams, which puts frames in the wrong order in transformers 5.18.
        """
        projected: Tensor = self.projector(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        return projected.flatten(1, 2)


def video_llava(
    config_or_path: Any = None,
    num_frames: int = 8,
    tower: VisionTower | None = None,
    dtype: torch.dtype | None = None,
) -> VideoLlava:
    """A Video-LLaVA in eval mode.

    Args:
        config_or_path: A `VideoLlavaConfig` for random weights, or a local folder that `save_pretrained`
            wrote; by default the published sizes of Video-LLaVA-7B, for shapes under `torch.device("meta")`.
        num_frames: Frames of a clip; 8 in training.
        tower: Takes the place of the model's own video tower.
        dtype: Of the weights; by default float32, or what the folder holds.

    Raises:
        ImportError: transformers is missing or too old.
        ValueError: The configuration is not a Video-LLaVA's, or uses several layers of the tower at once.
        MissingKeyError: The folder's weights are not exactly those of the model.

    Example:
        >>> with torch.device("meta"):
        ...     backbone = video_llava()
        >>> backbone.offload_points[-1], backbone.feature_shape("L8"), backbone.num_tokens("L8")
        ('L23', FeatureShape(channels=1024, time=8, height=16, width=16), 8)
    """
    config_or_path = video_llava_7b_config() if config_or_path is None else config_or_path
    model = build_model(VideoLlava, config_or_path, dtype)
    return VideoLlava(model, num_frames, tower).eval()


def video_llava_7b_config() -> Any:
    """The published sizes: transformers' defaults, and Vicuna-7B v1.5 with room for the placeholders."""
    transformers = require_transformers()
    text_config = transformers.LlamaConfig(vocab_size=32064, max_position_embeddings=4096, rms_norm_eps=1e-5)
    return transformers.VideoLlavaConfig(text_config=text_config)
