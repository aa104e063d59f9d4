"""Families as files: where checkpoints lie, what their cards say, and the LUTs beside them."""

from approxbit.families.cards import BackboneCard, Card, CodecCard, DataRecord, Provenance, WeightsRecord
from approxbit.families.folder import available, find_checkpoints, find_configurations, list_families
from approxbit.families.hub import locate, split_name
from approxbit.families.named import card, find_task, list_models, load_lut

__all__ = [
    "BackboneCard",
    "Card",
    "CodecCard",
    "DataRecord",
    "Provenance",
    "WeightsRecord",
    "available",
    "card",
    "find_checkpoints",
    "find_configurations",
    "find_task",
    "list_families",
    "list_models",
    "load_lut",
    "locate",
    "split_name",
]
