"""Entropy coding of codes: the probability of each bit comes from integer tables that belong to a codec."""

from approxbit.wire.entropy.coder import decode, encode, warm_up
from approxbit.wire.entropy.compiled import has_compiler
from approxbit.wire.entropy.context import PRESETS, Preset
from approxbit.wire.entropy.global_units import GlobalUnits
from approxbit.wire.entropy.reference import Reference, count_steps
from approxbit.wire.entropy.tables import PriorTables

__all__ = [
    "PRESETS",
    "GlobalUnits",
    "Preset",
    "PriorTables",
    "Reference",
    "count_steps",
    "decode",
    "encode",
    "has_compiler",
    "warm_up",
]
