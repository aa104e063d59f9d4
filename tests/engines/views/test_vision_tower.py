"""Vision towers of transformers with attention written out."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.vlm.llava_onevision import llava_onevision
from approxbit.backbones.vlm.tower import FrameLayer
from approxbit.backbones.vlm.video_llava import video_llava
from approxbit.engines.views import EdgeView, ServerView, view_of
from approxbit.engines.views.vision_tower import FrameLayerView, view_of_layer

transformers = pytest.importorskip("transformers")
NUM_FRAMES = 2
TEXT = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "patch_size": 8}


def make_video_llava() -> Backbone:
    config = transformers.VideoLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION, num_hidden_layers=4, image_size=24),
        text_config=transformers.LlamaConfig(**TEXT, num_attention_heads=2),
    )
    return video_llava(config, num_frames=NUM_FRAMES)


def make_llava_onevision() -> Backbone:
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(
            **VISION, num_hidden_layers=3, image_size=40, vision_use_head=False
        ),
        text_config=transformers.Qwen2Config(**TEXT, num_attention_heads=2, num_key_value_heads=2),
    )
    return llava_onevision(config, num_frames=NUM_FRAMES)


@pytest.mark.parametrize("make", [make_video_llava, make_llava_onevision])
@torch.inference_mode()
def test_the_views_agree_with_the_halves(make: type, small: ModuleType) -> None:
    backbone = small.shake(make())
    model = small.make_model(backbone, "5-Enc-L2")
    clips = small.make_clips(backbone)
    feature = model.edge_half(clips)
    found = view_of(model.edge_half, backbone.clip_shape)(clips)
    torch.testing.assert_close(found.grid, feature.grid, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.tokens, feature.tokens, rtol=0, atol=1e-4)
    packed = EdgeView(model)(clips)
    expected = model.answer(model.encode(clips))
    torch.testing.assert_close(ServerView(model)(packed), expected, rtol=0, atol=1e-4)


def test_a_layer_of_another_kind_stands_for_itself() -> None:
    for layer in (FrameLayer(nn.Identity()), nn.Identity()):
        assert view_of_layer(layer, 2, 4) is layer


def test_no_layer_of_transformers_is_left(small: ModuleType) -> None:
    half = make_llava_onevision().edge_half("L2")
    layers = view_of(half, (3, NUM_FRAMES, 40, 40)).layers
    assert [type(layer) for layer in layers] == [FrameLayerView, FrameLayerView]
