"""Release cards -> verified, loaded backbones and codecs."""

from approxbit.families import (
    BackboneCard,
    CodecCard,
    DataRecord,
    Provenance,
    WeightsRecord,
    available,
    card,
    find_checkpoints,
    find_task,
    load_lut,
)
from approxbit.zoo.builders import BUILDERS, build_backbone, is_builder
from approxbit.zoo.importing import import_backbone
from approxbit.zoo.loaded import LoadedFamily, load_whole_family
from approxbit.zoo.machine import describe_machine
from approxbit.zoo.paper import PAPER_CONFIGURATIONS, build, build_family
from approxbit.zoo.sketching import list_offload_points, sketch_backbone
from approxbit.zoo.store import (
    load,
    load_backbone,
    load_family,
    save_backbone,
    save_codec,
    save_prior,
)
from approxbit.zoo.weights import compute_fingerprint

__all__ = [
    "BUILDERS",
    "PAPER_CONFIGURATIONS",
    "BackboneCard",
    "CodecCard",
    "DataRecord",
    "LoadedFamily",
    "Provenance",
    "WeightsRecord",
    "available",
    "build",
    "build_backbone",
    "build_family",
    "card",
    "compute_fingerprint",
    "describe_machine",
    "find_checkpoints",
    "find_task",
    "import_backbone",
    "is_builder",
    "list_offload_points",
    "load",
    "load_backbone",
    "load_family",
    "load_lut",
    "load_whole_family",
    "save_backbone",
    "save_codec",
    "save_prior",
    "sketch_backbone",
]
