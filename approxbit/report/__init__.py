"""What a run comes to: figures, plots and one HTML page. Functions take plain rows and write files."""

from approxbit.report.inspection import Inspection, judge
from approxbit.report.inspection_plot import draw_inspection
from approxbit.report.pareto import draw_pareto
from approxbit.report.payload import draw_payloads
from approxbit.report.records import ClipRecord, Payload, save_payloads, save_records
from approxbit.report.report import Report, write_report
from approxbit.report.summary import Accuracy, Phase, Summary, summarise
from approxbit.report.timeline import draw_timeline

__all__ = [
    "Accuracy",
    "ClipRecord",
    "Inspection",
    "Payload",
    "Phase",
    "Report",
    "Summary",
    "draw_inspection",
    "draw_pareto",
    "draw_payloads",
    "draw_timeline",
    "judge",
    "save_payloads",
    "save_records",
    "summarise",
    "write_report",
]
