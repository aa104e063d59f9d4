"""Tiny video-language models of both families, with random weights."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from approxbit.backbones.vlm.llava_onevision import llava_onevision
from approxbit.backbones.vlm.video_llava import video_llava

NUM_FRAMES = 3
VOCABULARY = 64
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": None,
    "pad_token_id": 0,
}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "patch_size": 8}
PLACEHOLDERS = {"image_token_index": VOCABULARY - 2, "video_token_index": VOCABULARY - 1}


def video_llava_config(vision=None, **text):
    import transformers

    vision_config = transformers.CLIPVisionConfig(
        **{**VISION, "num_hidden_layers": 4, "image_size": 32, **(vision or {})}
    )
    text_config = transformers.LlamaConfig(**{**TEXT, **text})
    return transformers.VideoLlavaConfig(vision_config=vision_config, text_config=text_config, **PLACEHOLDERS)


def llava_onevision_config(vision=None, **text):
    import transformers

    # An odd grid of 5 x 5, as the 27 x 27 of the full size.
    sizes = {"num_hidden_layers": 3, "image_size": 40, "vision_use_head": False}
    vision_config = transformers.SiglipVisionConfig(**{**VISION, **sizes, **(vision or {})})
    text_config = transformers.Qwen2Config(**{**TEXT, **text})
    return transformers.LlavaOnevisionConfig(
        vision_config=vision_config, text_config=text_config, **PLACEHOLDERS
    )


# With these seeds and doubled weights, greedy answers are of many tokens, and other clips have others.
SEEDS = {"video_llava": 2, "llava_onevision": 1}
BUILDERS = {
    "video_llava": (video_llava, video_llava_config),
    "llava_onevision": (llava_onevision, llava_onevision_config),
}


def build(family, vision=None, **text):
    """A frozen tiny backbone; the same weights each time."""
    builder, configure = BUILDERS[family]
    torch.manual_seed(SEEDS[family])
    backbone = builder(configure(vision, **text), num_frames=NUM_FRAMES)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.ndim > 1 and "norm" not in name:
                parameter.mul_(2.0)
    return backbone.requires_grad_(False)


def clips_of(backbone, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, *backbone.clip_shape, generator=generator)


def questions_of(backbone, batch=2, num_words=4):
    """One placeholder for each visual embedding, then a few words that differ from row to row."""
    placeholders = torch.full((batch, backbone.num_visual_tokens()), backbone.visual_token_id)
    words = torch.randint(1, VOCABULARY - 2, (batch, num_words), generator=torch.Generator().manual_seed(2))
    return torch.cat((words[:, :1], placeholders, words[:, 1:]), dim=1)


@pytest.fixture(scope="session")
def tiny():
    """What the tests of this folder share: `tiny.build(family)`, `tiny.clips_of(backbone)` and so on."""
    return SimpleNamespace(
        build=build,
        builders=BUILDERS,
        video_llava_config=video_llava_config,
        llava_onevision_config=llava_onevision_config,
        clips_of=clips_of,
        questions_of=questions_of,
    )


@pytest.fixture(scope="session", params=list(BUILDERS))
def family(request):
    return request.param


@pytest.fixture(scope="session")
def backbone(family):
    return build(family)
