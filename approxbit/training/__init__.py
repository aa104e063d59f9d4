"""Makes backbones and codecs; the only room that knows Lightning."""

from approxbit.training.backbone_module import BackboneModule
from approxbit.training.checkpoints import KeepLast
from approxbit.training.codec_module import CodecModule
from approxbit.training.data import ClipData
from approxbit.training.micro_batches import MicroBatches, StreamedModule
from approxbit.training.objective import ObjectiveWeights, reconstruction_loss
from approxbit.training.optimization import Optimization
from approxbit.training.release import Release

__all__ = [
    "BackboneModule",
    "ClipData",
    "CodecModule",
    "KeepLast",
    "MicroBatches",
    "ObjectiveWeights",
    "Optimization",
    "Release",
    "StreamedModule",
    "reconstruction_loss",
]
