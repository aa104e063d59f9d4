"""`approxbit demo`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, List, Tuple

import typer

from approxbit.cli.console import FAMILY, JSON, THREADS, TRUST, print_json, print_table, print_text, progress

if TYPE_CHECKING:
    from approxbit.report import Report

CLIPS = typer.Option(32, min=1, help="About so many clips for each of the six segments of the link.")
FOLDER = typer.Option(Path("report"), help="Folder for the report.")
SEED = typer.Option(0, min=0, help="Picks the videos and the fluctuation of the link.")
LABEL_SET = typer.Option("", help="Of the family's task; by default the one that it was trained for.")
SLOWDOWN = typer.Option(
    16.0,
    min=1.0,
    help="How many times slower than this machine the device is emulated (16: edge-only then takes 7 times "
    "what the server takes, as from an Orin to an A100).",
)


def demo(
    family: str = FAMILY,
    clips_per_segment: int = CLIPS,
    out: Path = FOLDER,
    seed: int = SEED,
    label_set: str = LABEL_SET,
    slowdown: float = SLOWDOWN,
    threads: int = THREADS,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Answer held-out videos over a shaped link, and write a report.

    A server process, a relay of 50, 3 and 6 Mbps and an edge process that computes with ONNX Runtime and is
    emulated slower than this machine. For each clip the edge chooses a configuration by the measured
    bandwidth and the SLA. Its graphs are exported at first use.
    """
    from approxbit.demo.screen import Screen
    from approxbit.demo.story import Settings, run_demo
    from approxbit.report import write_report

    screen = Screen(progress())
    settings = Settings(
        family, out / "videos-of-the-demo", clips_per_segment, seed, label_set, slowdown, threads
    )
    report = run_demo(settings, screen)
    screen.say("drawing the report")
    page = write_report(out, report)
    if as_json:
        print_json({"report": str(page), **asdict(report.summary)})
        return
    print_table([], describe(report), num_text_columns=2)
    print_text(f"report: {page}")


def describe(report: "Report") -> List[Tuple[str, str]]:
    """The summary in words: (what, figure)."""
    from approxbit.report.style import format_bytes

    summary = report.summary
    total, codes = summary.total, summary.codes
    lines = [
        (
            "accuracy",
            f"{total.answered:.1f} % of {total.num_clips} clips; the unsplit model {total.unsplit:.1f} %, "
            f"equal answers {total.agreement:.1f} %",
        ),
    ]
    if codes.num_clips:
        lines += [
            (
                "through codes",
                f"{codes.answered:.1f} % of {codes.num_clips} clips; the unsplit model "
                f"{codes.unsplit:.1f} %, equal answers {codes.agreement:.1f} %",
            ),
            (
                "bytes per code",
                f"{format_bytes(summary.code_bytes)}; 1/{summary.raw_bytes / summary.code_bytes:,.0f} of the "
                f"raw clip, 1/{summary.file_bytes / summary.code_bytes:,.0f} of the H.264 file, "
                f"1/{summary.code_feature_bytes / summary.code_bytes:,.0f} of the float32 feature",
            ),
        ]
    lines += [
        ("latency", f"median {summary.latency_p50_ms:.0f} ms, 95 % within {summary.latency_p95_ms:.0f} ms"),
        ("SLA kept", f"{summary.num_hits} of {total.num_clips} clips"),
    ]
    lines += [
        (f"  {phase.sla}", f"{phase.num_hits} of {phase.num_clips}" + _infeasible(phase.num_infeasible))
        for phase in summary.phases
    ]
    return [
        *lines,
        ("arms used", ", ".join(f"{arm} {count}" for arm, count in summary.arms.items())),
        ("fallbacks", str(summary.num_fallbacks)),
        ("probes", format_bytes(summary.probe_bytes)),
        ("device", f"emulated: {report.lut.device}; {report.lut.backend}"),
        ("wall time", f"{summary.wall_s:.0f} s, set-up included"),
    ]


def _infeasible(count: int) -> str:
    return f"; no arm could keep it for {count}" if count else ""
