"""What a run comes to: figures, plots and one HTML page. Functions take plain rows and write files."""

from approxbit.report.inspection import Inspection, judge
from approxbit.report.inspection_plot import draw_inspection
from approxbit.report.pareto import draw_pareto
from approxbit.report.phases import draw_phases, find_phases
from approxbit.report.records import AskedRecord, save_records
from approxbit.report.report import Report, write_report
from approxbit.report.timeline import draw_timeline
from approxbit.report.verdict import Standing, conclude, stand, winners

__all__ = [
    "AskedRecord",
    "Inspection",
    "Report",
    "Standing",
    "conclude",
    "draw_inspection",
    "draw_pareto",
    "draw_phases",
    "draw_timeline",
    "find_phases",
    "judge",
    "save_records",
    "stand",
    "winners",
    "write_report",
]
