"""`approxbit select`, and how a LUT is printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple

import typer

from approxbit.cli.console import FAMILY, JSON, print_json, print_table, print_text

if TYPE_CHECKING:
    from approxbit.select import LUT

BANDWIDTH = typer.Option(..., min=0.0, help="Of the uplink, 10^6 bits per second.")
SLA = typer.Option(..., help="'latency<=60ms' or 'accuracy>=92'.")
LUT_FILE = typer.Option(None, "--lut", help="A LUT file; by default the family's.")
ROUND_TRIP = typer.Option(0.0, min=0.0, help="Of the link.")
PAPER_MBPS = (3.0, 6.0, 50.0)


def select(
    bandwidth_mbps: float = BANDWIDTH,
    sla: str = SLA,
    family: str = FAMILY,
    lut_file: Optional[Path] = LUT_FILE,
    round_trip_ms: float = ROUND_TRIP,
    as_json: bool = JSON,
) -> None:
    """Say which arm of a LUT serves an SLA best at a bandwidth (Eq. 2 of the paper)."""
    from approxbit.select import LUT, parse_sla
    from approxbit.select import select as choose

    if lut_file is None:
        from approxbit.families import load_lut

        lut = load_lut(family)
    else:
        lut = LUT.load(lut_file)
    choice = choose(lut, bandwidth_mbps, parse_sla(sla), round_trip_ms)
    facts = {
        "arm": choice.arm,
        "latency_ms": round(choice.latency_ms, 3) if choice.latency_ms < float("inf") else None,
        "accuracy": choice.row.accuracy,
        "payload_bytes": choice.row.payload_bytes,
        "meets_sla": choice.meets_sla,
    }
    if as_json:
        print_json(facts)
        return
    print_lut(lut, (bandwidth_mbps,), round_trip_ms, choice.arm)
    verdict = "keeps" if choice.meets_sla else "is the closest arm, none keeps"
    print_text(f"{choice.arm} {verdict} {sla} at {bandwidth_mbps:g} Mbps")


def print_lut(
    lut: "LUT",
    bandwidths_mbps: Tuple[float, ...] = PAPER_MBPS,
    round_trip_ms: float = 0.0,
    chosen: str = "",
) -> None:
    """Its rows, and their latencies by Eq. 1 at some bandwidths; a chosen arm is marked."""
    from approxbit.select import latency_ms

    names = ["arm", "edge ms", "encode ms", "payload B", "packet B", "decode ms", "server ms", "accuracy %"]
    rows = []
    for row in lut.rows:
        latencies = [latency_ms(row, mbps, round_trip_ms) for mbps in bandwidths_mbps]
        rows.append(
            [
                row.arm + (" *" if row.arm == chosen else ""),
                f"{row.edge_ms:.1f}",
                f"{row.encode_ms:.1f}",
                f"{row.payload_bytes:,.0f}",
                "" if row.packet_bytes is None else f"{row.packet_bytes:,.0f}",
                f"{row.decode_ms:.1f}",
                f"{row.server_ms:.1f}",
                f"{row.accuracy:.2f}",
                *(f"{latency:.1f}" for latency in latencies),
            ]
        )
    print_table([*names, *(f"ms at {mbps:g} Mbps" for mbps in bandwidths_mbps)], rows)
    print_text(f"{lut.device}; {lut.num_clips} {lut.split} clips, {lut.figures[0]}; {lut.date}")
