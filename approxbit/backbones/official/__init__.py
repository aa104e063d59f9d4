"""Weights that the backbones' authors published: where they lie, how they look, how they load."""

from approxbit.backbones.official.known import KNOWN_CHECKPOINTS, KnownCheckpoint
from approxbit.backbones.official.loading import load_official
from approxbit.backbones.official.report import LeftOut, LoadReport

__all__ = [
    "KNOWN_CHECKPOINTS",
    "KnownCheckpoint",
    "LeftOut",
    "LoadReport",
    "load_official",
]
