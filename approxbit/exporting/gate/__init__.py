"""Targets, and the gate that every exported graph must pass."""

from approxbit.exporting.gate.float32_layers import find_float32_layers
from approxbit.exporting.gate.gate import check_graph
from approxbit.exporting.gate.report import GateReport, Violation
from approxbit.exporting.gate.target import Target, load_target, target_names

__all__ = [
    "GateReport",
    "Target",
    "Violation",
    "check_graph",
    "find_float32_layers",
    "load_target",
    "target_names",
]
