"""Release cards -> verified, loaded backbones and codecs."""

from approxbit.zoo.builders import BUILDERS, build_backbone, list_offload_points
from approxbit.zoo.cards import BackboneCard, CodecCard, Provenance
from approxbit.zoo.folder import available, find_checkpoints
from approxbit.zoo.paper import PAPER_CONFIGURATIONS, build, build_family
from approxbit.zoo.store import (
    card,
    load,
    load_backbone,
    load_family,
    load_lut,
    save_backbone,
    save_codec,
    save_prior,
)
from approxbit.zoo.weights import WeightsRecord, compute_fingerprint

__all__ = [
    "BUILDERS",
    "PAPER_CONFIGURATIONS",
    "BackboneCard",
    "CodecCard",
    "Provenance",
    "WeightsRecord",
    "available",
    "build",
    "build_backbone",
    "build_family",
    "card",
    "compute_fingerprint",
    "find_checkpoints",
    "list_offload_points",
    "load",
    "load_backbone",
    "load_family",
    "load_lut",
    "save_backbone",
    "save_codec",
    "save_prior",
]
