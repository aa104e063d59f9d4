"""Table 2 of the paper on Scenes: what late questions cost at 3, 6 and 50 Mbps, arm by arm.

    python benchmarks/figures/table2.py          # prints it
    python benchmarks/figures/table2.py --write  # puts it between the markers in RESULTS.md

Everything comes from the LUT of a family that answers questions (`approxbit measure`), so scores are those of
validation, on clips that were sent before there was a question. A latency is that of a clip and one question
by Eq. 1, on a device as fast as the server and on one that is slower: its times multiplied. Bytes on the link
are those of the clip's packet and of one answer, both ways, with TCP and IP; the question is the same for
every arm and left out. Edge-only sends its answer.
"""

from __future__ import annotations

import argparse

from documents import RESULTS, write_between
from scenes import HEADER_BYTES, link_bytes

from approxbit.families import load_lut
from approxbit.report.style import sort_arms
from approxbit.select import LUT, AccuracySLA, LUTRow, latency_ms, select

FAMILY = "scenes-vit"
BANDWIDTHS_MBPS = (3.0, 6.0, 50.0)
SLOWDOWNS = (1.0, 4.0)
TOLERANCE = 1.0
"""Points below the best score that count as good enough."""
BEGIN, END = "<!-- table 2: python benchmarks/figures/table2.py --write -->", "<!-- end of table 2 -->"


def clip_link_bytes(row: LUTRow) -> float:
    """What crosses for a clip and the answer to one question, headers of TCP and IP included.

    Raises:
        ValueError: The LUT does not know the arm's packets.
    """
    if not row.crosses_link:
        return link_bytes(0)
    if row.packet_bytes is None:
        raise ValueError(f"expected the packets of {row.arm} in the LUT, found none: run approxbit measure")
    return link_bytes(row.packet_bytes - HEADER_BYTES)


def markdown(lut: LUT) -> str:
    """A row for each arm; in each column of latencies the fastest arm that is good enough is bold."""
    floor = max(row.accuracy for row in lut.rows) - TOLERANCE
    columns = [(lut.scaled(factor), factor, mbps) for factor in SLOWDOWNS for mbps in BANDWIDTHS_MBPS]
    fastest = [select(slowed, mbps, AccuracySLA(floor)).arm for slowed, _, mbps in columns]
    names = [f"ms, {mbps:g} Mbps" + (f", {factor:g}x" if factor > 1 else "") for _, factor, mbps in columns]
    head = ["arm", lut.figures[0], "payload B", "packet B", "link B", *names]
    lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
    for arm in sort_arms(lut.arms):
        row = lut.row(arm)
        packet = "" if row.packet_bytes is None else f"{row.packet_bytes:,.0f}"
        cells = [arm, f"{row.accuracy:.1f}", f"{row.payload_bytes:,.0f}", packet]
        cells.append(f"{clip_link_bytes(row):,.0f}")
        for (slowed, _, mbps), winner in zip(columns, fastest, strict=True):
            text = f"{latency_ms(slowed.row(arm), mbps):.0f}"
            cells.append(f"**{text}**" if arm == winner else text)
        lines.append(_line(cells))
    source = f"{lut.num_clips} {lut.split} clips; {lut.device}; {lut.backend} on the edge; {lut.date}."
    bold = f"Bold: the fastest of those that score at least {floor:.1f} %."
    return "\n".join([*lines, "", f"{source} {bold} x: the device's times multiplied."])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", default=FAMILY)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    text = markdown(load_lut(options.family))
    if options.write:
        write_between(RESULTS, BEGIN, END, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
