"""The seam between a video-language model and the vision tower that looks at its frames.

transformers' Video-LLaVA and LLaVA-OneVision send every frame through a tower of its own (CLIP, SigLIP), so
that nothing crosses from frame to frame before the language model: their features may be computed, coded and
sent frame by frame.

The video tower that Video-LLaVA was published with (LanguageBind) is another one: each of its layers attends
over time before it attends over space, for exactly 8 frames. transformers' port leaves these weights out.
Published accuracies of the original are therefore not to be expected of the port, and what the port allows
in streaming does not hold for the original. `VisionTower` is where such a tower is plugged in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.vlm.layout import TokenLayout

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class VisionTower:
    """A vision tower in the parts that a cut needs. A view: the modules belong to `module`.

    `embedding` maps clips [batch, 3, time, height, width] to tokens [batch, time, token, channel]; each of
    `layers` maps such tokens to such tokens. `clip_tower`, `siglip_tower` and any tower that a user brings
    are made of these same parts.

    Attributes:
        module: The tower as its authors wrote it, which owns all parameters.
        embedding: Everything before the first layer.
        layers: The layers whose output is used, in order.
        layout: How the tokens lie.
        mixes_frames: Whether a layer lets frames see each other. Where none does, a frame's feature does
            not depend on the others, and codes may be sent frame by frame.
        mean: What is subtracted from RGB in [0, 1].
        std: What RGB in [0, 1] is divided by after the subtraction.
    """

    module: nn.Module
    embedding: nn.Module
    layers: tuple[nn.Module, ...]
    layout: TokenLayout
    mixes_frames: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class FrameEmbedding(nn.Module):
    """Clips -> tokens, by an embedding that takes single frames."""

    def __init__(self, embeddings: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.norm = norm

    def forward(
        self, clip: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch time token channel"]:
        """The tokens of every frame before the first layer."""
        frames = clip.transpose(1, 2)
        tokens: Tensor = self.norm(self.embeddings(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])
        return tokens


class FrameLayer(nn.Module):
    """Tokens -> tokens, by a layer that takes single frames."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, tokens: Float[Tensor, "batch time token channel"]
    ) -> Float[Tensor, "batch time token channel"]:
        """The layer's output, for every frame on its own."""
        out: Tensor = self.layer(tokens.flatten(0, 1), attention_mask=None).unflatten(0, tokens.shape[:2])
        return out


def clip_tower(module: Any, num_layers: int) -> VisionTower:
    """The first layers of transformers' `CLIPVisionModel`: one class token for each frame."""
    return VisionTower(
        module=module,
        embedding=FrameEmbedding(module.embeddings, module.pre_layrnorm),
        layers=_frame_layers(module, num_layers),
        layout=_layout(module.config, num_class_tokens=1),
        mixes_frames=False,
        mean=CLIP_MEAN,
        std=CLIP_STD,
    )


def siglip_tower(module: Any, num_layers: int) -> VisionTower:
    """The first layers of transformers' `SiglipVisionModel`: no class tokens."""
    return VisionTower(
        module=module,
        embedding=FrameEmbedding(module.embeddings, nn.Identity()),
        layers=_frame_layers(module, num_layers),
        layout=_layout(module.config, num_class_tokens=0),
        mixes_frames=False,
        mean=SIGLIP_MEAN,
        std=SIGLIP_STD,
    )


def _frame_layers(module: Any, num_layers: int) -> tuple[nn.Module, ...]:
    return tuple(FrameLayer(layer) for layer in module.encoder.layers[:num_layers])


def _layout(config: Any, num_class_tokens: int) -> TokenLayout:
    patches = config.image_size // config.patch_size
    return TokenLayout(
        channels=config.hidden_size,
        frame_size=(config.image_size, config.image_size),
        grid_size=(patches, patches),
        num_class_tokens=num_class_tokens,
    )
