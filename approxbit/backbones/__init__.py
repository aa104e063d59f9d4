"""Frozen video models and the places where they can be cut."""

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.movinet import MoViNet, movinet, movinet_digits
from approxbit.backbones.movinet_stream import MoViNetStream
from approxbit.backbones.movinet_stream_state import StreamState
from approxbit.backbones.mvitv2 import MViTv2, mvitv2_b, mvitv2_digits, mvitv2_s
from approxbit.backbones.official import KNOWN_CHECKPOINTS, LoadReport, load_official
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
from approxbit.backbones.vlm import (
    LlavaOnevision,
    VideoLanguageModel,
    VideoLlava,
    VisionTower,
    llava_onevision,
    load_edge_half,
    video_llava,
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
    "VisionTower",
    "choose_offload_points",
    "llava_onevision",
    "load_edge_half",
    "load_official",
    "movinet",
    "movinet_digits",
    "mvitv2_b",
    "mvitv2_digits",
    "mvitv2_s",
    "offload_points",
    "split",
    "video_llava",
]
