"""Makes backbones and codecs; the only room that knows Lightning."""

from approxbit.training.backbone_module import BackboneModule
from approxbit.training.checkpoints import KeepLast
from approxbit.training.codec_module import CodecModule
from approxbit.training.data import DigitsData
from approxbit.training.objective import ObjectiveWeights, reconstruction_loss
from approxbit.training.optimization import Optimization
from approxbit.training.release import Release
from approxbit.training.video_data import KineticsData, SomethingSomethingData

__all__ = [
    "BackboneModule",
    "CodecModule",
    "DigitsData",
    "KeepLast",
    "KineticsData",
    "ObjectiveWeights",
    "Optimization",
    "Release",
    "SomethingSomethingData",
    "reconstruction_loss",
]
