"""Small models whose every parameter matters: weights, statistics and tables are all far from their start."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import MoViNet
from approxbit.backbones.movinet_table import ARCHITECTURES as MOVINETS
from approxbit.backbones.movinet_table import block
from approxbit.backbones.mvitv2 import MViTv2
from approxbit.backbones.mvitv2_table import ARCHITECTURES as MVITS
from approxbit.backbones.mvitv2_table import blocks
from approxbit.backbones.vlm import llava_onevision, video_llava
from approxbit.codec import Codec, CodecOptions
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.tasks import Classification

NUM_CLASSES = 5


def make_movinet(clip_shape: tuple[int, int, int, int] = (3, 4, 20, 20)) -> Backbone:
    """Two blocks: a kernel of 5 in time that is longer than a short clip, and both kinds of skips."""
    architecture = replace(
        MOVINETS["small"],
        stem_channels=8,
        blocks=(block(12, 2, "16:3x3x3"), block(16, 1, "24:5x3x3 24:1x5x5")),
        head_channels=24,
        hidden_channels=32,
    )
    return shake(MoViNet(architecture, NUM_CLASSES, clip_shape))


def make_mvitv2(clip_shape: tuple[int, int, int, int] = (3, 4, 36, 36)) -> Backbone:
    """Three blocks: strides of queries and keys, wider channels, several heads, an odd grid of 9 x 9."""
    architecture = replace(
        MVITS["tiny"],
        blocks=blocks(16, (1, 16, 1, (1, 4, 4)), (1, 32, 2, (1, 2, 2)), (1, 32, 1, (1, 1, 1))),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
    )
    return shake(MViTv2(architecture, NUM_CLASSES, clip_shape))


def make_vlm(name: str) -> Backbone:
    """`video_llava` (class tokens, 3 of 4 layers used) or `llava_onevision` (an odd grid, pooled)."""
    import transformers

    text = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "patch_size": 8}
    if name == "video_llava":
        clip = transformers.CLIPVisionConfig(**vision, num_hidden_layers=4, image_size=24)
        llama = transformers.LlamaConfig(**text, num_attention_heads=2)
        config = transformers.VideoLlavaConfig(vision_config=clip, text_config=llama)
        return shake(video_llava(config, num_frames=2))
    siglip = transformers.SiglipVisionConfig(
        **vision, num_hidden_layers=3, image_size=40, vision_use_head=False
    )
    qwen = transformers.Qwen2Config(**text, num_attention_heads=2, num_key_value_heads=2)
    config = transformers.LlavaOnevisionConfig(vision_config=siglip, text_config=qwen)
    return shake(llava_onevision(config, num_frames=2))


BACKBONES = {"movinet": make_movinet, "mvitv2": make_mvitv2}


def make_model(
    backbone: Backbone, configuration: str, seed: int = 0, encoder_attention: bool = False
) -> OffloadedModel:
    """A model with an untrained codec whose statistics are not those of the features."""
    parsed = Configuration.parse(configuration)
    point = parsed.offload_point
    torch.manual_seed(seed)
    codec = Codec(
        backbone.feature_shape(point),
        parsed,
        backbone.num_tokens(point),
        CodecOptions(encoder_attention=encoder_attention),
    )
    channels = codec.feature_shape.channels
    statistics = [torch.randn(channels) / 4, 0.5 + torch.rand(channels)]
    codec.fit_statistics(*statistics, *(statistics if codec.num_tokens else ()))
    names = [f"class {number}" for number in range(backbone.num_classes)]
    return OffloadedModel(backbone, codec, Classification.of_names(names))


@torch.no_grad()
def shake(model: Backbone, seed: int = 0) -> Backbone:
    """Draw all parameters and statistics at random, large enough that each of them shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.5
            offset = 1.0 if parameter.dim() < 2 and isinstance(module, (nn.LayerNorm, nn.BatchNorm3d)) else 0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + offset)
        if isinstance(module, nn.BatchNorm3d) and module.running_var is not None:
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.5, generator=generator)
    return model.eval()


def make_clips(backbone: Backbone, count: int = 2, seed: int = 0) -> torch.Tensor:
    """Random clips of the backbone's shape."""
    return torch.randn(count, *backbone.clip_shape, generator=torch.Generator().manual_seed(seed))
