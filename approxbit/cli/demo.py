"""`approxbit demo`."""

from dataclasses import asdict
from pathlib import Path
from typing import List

import typer

from approxbit.cli.console import JSON, THREADS, TRUST, print_json, print_table, print_text, progress

FAMILY = typer.Option("scenes-vit", help="A family that answers questions and has a LUT.")
ROUNDS = typer.Option(6, min=1, help="About how often every arm has its turn at each bandwidth.")
FOLDER = typer.Option(Path("report"), help="Folder for the report.")
SEED = typer.Option(0, min=0, help="Picks the videos, the questions and the fluctuation of the link.")
SLOWDOWN = typer.Option(
    4.0, min=1.0, max=64.0, help="How many times less than one core the device gets: it is really held back."
)
SMALL_DEVICE = typer.Option(
    False, "--small-device", help="The device cannot hold the whole model: no edge-only, no fallback."
)


def demo(
    family: str = FAMILY,
    rounds: int = ROUNDS,
    out: Path = FOLDER,
    seed: int = SEED,
    slowdown: float = SLOWDOWN,
    small_device: bool = SMALL_DEVICE,
    threads: int = THREADS,
    as_json: bool = JSON,
    trust: List[str] = TRUST,
) -> None:
    """Ask late questions about videos over a shaped link; write a report that names the winner.

    A server process, a relay of 50, 3 and 6 Mbps, and an edge process that is held back. A clip is sent; then
    a question about it is drawn and asked. The selector chooses an arm by the measured bandwidth; codes,
    compressed video, the raw clip and the device alone have their turn beside it. The server dies once.
    """
    from approxbit.demo.screen import Screen
    from approxbit.demo.story import Settings, run_demo
    from approxbit.report import write_report

    screen = Screen(progress())
    folder = out / "videos-of-the-demo"
    report = run_demo(Settings(family, folder, rounds, slowdown, seed, not small_device, threads), screen)
    screen.say("drawing the report")
    page = write_report(out, report)
    if as_json:
        standings = [asdict(each) for each in report.standings]
        num_fallbacks = sum(record.fell_back for record in report.records)
        facts = {"num_questions": len(report.records), "num_fallbacks": num_fallbacks}
        print_json({"report": str(page), "conclusion": report.conclusion, **facts, "standings": standings})
        return
    header = ["link", "arm", "median latency", "clips", "score"]
    rows = [
        [
            *(f"{each.bandwidth_mbps:g} Mbps", each.arm),
            *(f"{each.latency_ms:.0f} ms", str(each.num_clips), f"{each.score:.1f} %"),
        ]
        for each in report.standings
    ]
    print_table(header, rows, num_text_columns=2)
    print_text(f"report: {page}")
    print_text(report.conclusion)
