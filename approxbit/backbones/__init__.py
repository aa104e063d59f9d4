"""Frozen video models and the places where they can be cut.

MoViNet is here at once. The others load their room on first use, because torchvision and transformers take
seconds, which a server of a MoViNet should not wait for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.movinet import MoViNet, movinet, movinet_small
from approxbit.backbones.movinet_stream import MoViNetStream
from approxbit.backbones.movinet_stream_state import StreamState

if TYPE_CHECKING:
    from approxbit.backbones.mvitv2 import MViTv2, mvitv2_b, mvitv2_s, mvitv2_tiny
    from approxbit.backbones.official import KNOWN_CHECKPOINTS, LoadReport, load_official
    from approxbit.backbones.question_head import VideoQuestionModel
    from approxbit.backbones.splitting import (
        GridLayout,
        NotCleanError,
        OffloadPoint,
        SplitModel,
        TokenLayout,
        UnknownLayoutError,
        choose_offload_points,
        offload_points,
        split,
    )
    from approxbit.backbones.video_vit import VideoViT
    from approxbit.backbones.vlm import (
        LlavaOnevision,
        VideoLanguageModel,
        VideoLlava,
        VisionTower,
        llava_onevision,
        llava_onevision_small,
        load_edge_half,
        video_llava,
        video_llava_small,
    )

__all__ = [
    "KNOWN_CHECKPOINTS",
    "Backbone",
    "EdgeHalf",
    "Feature",
    "FeatureShape",
    "GridLayout",
    "LlavaOnevision",
    "LoadReport",
    "MViTv2",
    "MoViNet",
    "MoViNetStream",
    "NotCleanError",
    "OffloadPoint",
    "ServerHalf",
    "SplitModel",
    "StreamState",
    "TokenLayout",
    "UnknownLayoutError",
    "VideoLanguageModel",
    "VideoLlava",
    "VideoQuestionModel",
    "VideoViT",
    "VisionTower",
    "choose_offload_points",
    "llava_onevision",
    "llava_onevision_small",
    "load_edge_half",
    "load_official",
    "movinet",
    "movinet_small",
    "mvitv2_b",
    "mvitv2_s",
    "mvitv2_tiny",
    "offload_points",
    "split",
    "video_llava",
    "video_llava_small",
]

_LATER = {
    "mvitv2": ("MViTv2", "mvitv2_b", "mvitv2_tiny", "mvitv2_s"),
    "official": ("KNOWN_CHECKPOINTS", "LoadReport", "load_official"),
    "splitting": (
        *("GridLayout", "NotCleanError", "OffloadPoint", "SplitModel", "TokenLayout", "UnknownLayoutError"),
        *("choose_offload_points", "offload_points", "split"),
    ),
    "question_head": ("VideoQuestionModel",),
    "video_vit": ("VideoViT",),
    "vlm": (
        *("LlavaOnevision", "VideoLanguageModel", "VideoLlava", "VisionTower"),
        *("llava_onevision", "llava_onevision_small", "load_edge_half", "video_llava", "video_llava_small"),
    ),
}
_HOME_OF = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
