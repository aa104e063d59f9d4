"""Makes backbones and codecs; the only room that knows Lightning.

Names load their module on first use: Lightning takes seconds to import, which `approxbit new` and
`approxbit prior` should not wait for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from approxbit.training.backbone_module import BackboneModule
    from approxbit.training.checkpoints import KeepLast
    from approxbit.training.codec_module import CodecModule
    from approxbit.training.data import ClipData
    from approxbit.training.language_module import LanguageModule
    from approxbit.training.micro_batches import MicroBatches, StreamedModule
    from approxbit.training.objective import ObjectiveWeights, reconstruction_loss
    from approxbit.training.optimization import Optimization
    from approxbit.training.question_module import QuestionModule
    from approxbit.training.release import Release

__all__ = [
    "BackboneModule",
    "ClipData",
    "CodecModule",
    "KeepLast",
    "LanguageModule",
    "MicroBatches",
    "ObjectiveWeights",
    "Optimization",
    "QuestionModule",
    "Release",
    "StreamedModule",
    "reconstruction_loss",
]

_LATER = {
    "backbone_module": ("BackboneModule",),
    "checkpoints": ("KeepLast",),
    "codec_module": ("CodecModule",),
    "data": ("ClipData",),
    "language_module": ("LanguageModule",),
    "micro_batches": ("MicroBatches", "StreamedModule"),
    "objective": ("ObjectiveWeights", "reconstruction_loss"),
    "optimization": ("Optimization",),
    "question_module": ("QuestionModule",),
    "release": ("Release",),
}
_HOME_OF = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
