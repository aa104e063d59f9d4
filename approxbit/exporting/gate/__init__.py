"""Device profiles, and the gate that every exported graph must pass."""

from approxbit.exporting.gate.agreement import (
    Agreement,
    AnswerAgreement,
    CodeAgreement,
    compare_codes,
    measure_agreement,
)
from approxbit.exporting.gate.float32_layers import find_float32_layers
from approxbit.exporting.gate.gate import check_graph
from approxbit.exporting.gate.profile import Profile, load_profile, profile_names
from approxbit.exporting.gate.report import GateReport, Violation

__all__ = [
    "Agreement",
    "AnswerAgreement",
    "CodeAgreement",
    "GateReport",
    "Profile",
    "Violation",
    "check_graph",
    "compare_codes",
    "find_float32_layers",
    "load_profile",
    "measure_agreement",
    "profile_names",
]
