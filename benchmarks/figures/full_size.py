"""The paper's configurations at full size with random weights, as far as an exported graph holds them.

The towers of Video-LLaVA and LLaVA-OneVision are whole; their language models, which no graph holds, are one
narrow layer. LLaVA-OneVision sees 4 of its 32 frames, which never meet in its tower. The codecs standardise
by the features of one synthetic clip, as trained ones do by those of their training set.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature
from approxbit.backbones.vlm import llava_onevision, video_llava
from approxbit.backbones.vlm.llava_onevision import llava_onevision_05b_config
from approxbit.backbones.vlm.video_llava import video_llava_7b_config
from approxbit.codec.statistics import FeatureStatistics
from approxbit.exporting.reference import make_clips
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.zoo import build, build_backbone

ONEVISION_FRAMES = 4


def full_size(name: str) -> OffloadedModel:
    """A configuration of the paper by its name, such as `mvitv2_b/64-Enc-B8`; the last backbone is kept."""
    backbone = full_size_backbone(name.partition("/")[0])
    torch.manual_seed(0)
    model = build(name, backbone).eval()
    clip = torch.from_numpy(make_clips(clip_format(backbone), 1))
    with torch.no_grad():
        feature: Feature = model.edge_half(clip)
    statistics = FeatureStatistics()
    statistics.update(feature)
    of_tokens = [] if statistics.token_mean is None else [statistics.token_mean, statistics.std]
    model.codec.fit_statistics(statistics.mean, statistics.std, *of_tokens)  # one token has no spread
    return model


@lru_cache(maxsize=1)
def full_size_backbone(builder: str) -> Backbone:
    """A backbone of the paper; of a video-language model the tower."""
    torch.manual_seed(0)
    if builder == "video_llava_7b":
        config = video_llava_7b_config()
        _shrink(config.text_config)
        backbone: Backbone = video_llava(config)
        backbone.model.model.image_tower = nn.Identity()  # a second tower of the same size
        return backbone
    if builder == "llava_onevision_0_5b":
        config = llava_onevision_05b_config()
        _shrink(config.text_config)
        return llava_onevision(config, ONEVISION_FRAMES)
    return build_backbone(builder, {})


def _shrink(text_config: Any) -> None:
    text_config.num_hidden_layers = 1
    text_config.intermediate_size = 64
