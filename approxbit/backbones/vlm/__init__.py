"""Video-language models, cut inside their vision tower. transformers is imported when one is built."""

from approxbit.backbones.vlm.asking import Asker, Said
from approxbit.backbones.vlm.base import VideoLanguageModel, VisionEdgeHalf, VisionServerHalf
from approxbit.backbones.vlm.edge_loading import load_edge_half
from approxbit.backbones.vlm.layout import TokenLayout
from approxbit.backbones.vlm.llava_onevision import LlavaOnevision, llava_onevision
from approxbit.backbones.vlm.small import llava_onevision_small, video_llava_small
from approxbit.backbones.vlm.tower import VisionTower
from approxbit.backbones.vlm.video_llava import VideoLlava, video_llava

__all__ = [
    "Asker",
    "LlavaOnevision",
    "Said",
    "TokenLayout",
    "VideoLanguageModel",
    "VideoLlava",
    "VisionEdgeHalf",
    "VisionServerHalf",
    "VisionTower",
    "llava_onevision",
    "llava_onevision_small",
    "load_edge_half",
    "video_llava",
    "video_llava_small",
]
