"""The LUT, SLAs and the selector: which arm serves the next clip best."""

from approxbit.select.lut import EDGE_ONLY, LUT, SERVER_ONLY, LUTRow, latency_ms
from approxbit.select.selector import Choice, pareto, select
from approxbit.select.sla import SLA, AccuracySLA, LatencySLA, parse_sla

__all__ = [
    "EDGE_ONLY",
    "LUT",
    "SERVER_ONLY",
    "SLA",
    "AccuracySLA",
    "Choice",
    "LUTRow",
    "LatencySLA",
    "latency_ms",
    "pareto",
    "parse_sla",
    "select",
]
