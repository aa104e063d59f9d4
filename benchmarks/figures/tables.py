"""The tables of RESULTS.md and of README.md, from the cards and LUTs in checkpoints/.

    python benchmarks/figures/tables.py          # prints them
    python benchmarks/figures/tables.py --write  # puts them between the markers of both documents

The accuracies were measured by `approxbit measure`, which says so in the LUTs.
"""

from __future__ import annotations

import argparse

from documents import REPOSITORY, RESULTS, write_between
from live_bits import count_live_bits

import approxbit
from approxbit import zoo
from approxbit.datasets.digits import JOINT, MARGINAL
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, LUTRow
from approxbit.select.selector import latency_ms
from approxbit.zoo import find_checkpoints

README = REPOSITORY / "README.md"
COMMAND = "python benchmarks/figures/tables.py --write"
BEGIN, END = f"<!-- figures: {COMMAND} -->", "<!-- end of figures -->"
ARMS_BEGIN, ARMS_END = f"<!-- arms: {COMMAND} -->", "<!-- end of arms -->"
HEADER = [
    "arm",
    "payload, bytes",
    "packed, live bits only",
    "tables, bytes",
    "action x digit",
    "drop",
    "actions",
    "drop",
    "edge + encode",
    "of edge-only",
    "decode + server",
]
NAMES = {EDGE_ONLY: "edge-only, answer sent", SERVER_ONLY: "raw clip"}
ANSWER_BYTES = 1  # one of 240 classes

ARMS_FAMILY = "digits-movinet"
ARMS = (EDGE_ONLY, SERVER_ONLY, "h264-superfast-crf32", "16-Enc-B3", "32-NoEnc-B5", "16-Enc-B5")
ARMS_MBPS = 3.0
SLOWDOWN = 16.0
ARMS_HEADER = [
    "arm",
    "top-1",
    "payload, bytes",
    "device's share of the work",
    "latency, equal machines",
    f"latency, device {SLOWDOWN:g} times slower",
]


def family_table(family: str) -> str:
    """Markdown: every arm of a family's LUT."""
    lut = approxbit.load_lut(family)
    caption = (
        f"**{family}**: {lut.num_clips} {lut.split} clips, {lut.date}, {lut.device}, "
        f"{lut.threads} thread(s), edge on {lut.backend}; payloads are means, entropy coded; "
        "top-1 in percent, median times at batch size 1"
    )
    return f"{caption}\n\n{as_table(HEADER, [family_cells(family, lut, row) for row in lut.rows])}"


def family_cells(family: str, lut: LUT, row: LUTRow) -> list[str]:
    whole = lut.row(EDGE_ONLY)
    packed = tables = ""
    if row.configuration is not None:
        name = f"{family}/{row.arm}"
        raw_bytes = row.raw_bytes or row.payload_bytes
        live_share = count_live_bits(name) / row.configuration.codebook_size
        packed, tables = f"{raw_bytes * live_share:g}", str(count_table_bytes(name))
    return [
        name_of(row.arm),
        payload_of(row),
        packed,
        tables,
        *(
            text
            for each in (f"top1_{JOINT}", f"top1_{MARGINAL}")
            for text in (
                f"{row.scores[each]:.2f}",
                "" if row == whole else f"{row.scores[each] - whole.scores[each]:+.2f}",
            )
        ),
        f"{row.edge_ms + row.encode_ms:.1f} ms",
        share_of_work(row, whole),
        f"{row.decode_ms + row.server_ms:.1f} ms",
    ]


def arms_table() -> str:
    """Markdown: a few arms of one family, at equal machines and on a slow device."""
    lut = approxbit.load_lut(ARMS_FAMILY)
    slow, whole = lut.scaled(edge_factor=SLOWDOWN), lut.row(EDGE_ONLY)
    rows = [
        [
            name_of(row.arm),
            f"{row.accuracy:.1f} %",
            payload_of(row),
            share_of_work(row, whole),
            *(f"{latency_ms(each.row(row.arm), ARMS_MBPS):.0f} ms" for each in (lut, slow)),
        ]
        for row in map(lut.row, ARMS)
    ]
    return as_table(ARMS_HEADER, rows)


def name_of(arm: str) -> str:
    if arm.startswith("h264-"):
        _, preset, crf = arm.split("-")
        return f"H.264 {preset}, CRF {crf[3:]}"
    return NAMES.get(arm, f"`{arm}`")


def payload_of(row: LUTRow) -> str:
    if row.arm == EDGE_ONLY:
        return f"{ANSWER_BYTES:,}"
    return f"{row.payload_bytes:,.1f}" if row.configuration else f"{row.payload_bytes:,.0f}"


def share_of_work(row: LUTRow, whole: LUTRow) -> str:
    return f"{(row.edge_ms + row.encode_ms) / (whole.edge_ms + whole.encode_ms):.0%}".replace("%", " %")


def count_table_bytes(name: str) -> int:
    """What the prior of a codec weighs on the device; 0 without one."""
    return (zoo.card(name).weights.shapes.get("prior.tables") or [0])[0]


def as_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [" | ".join(header), "|".join(["---"] * len(header)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"|{line}|" if line.startswith("---") else f"| {line} |" for line in lines)


def all_tables() -> str:
    """The tables of all families that have a LUT."""
    families = sorted({name.partition("/")[0] for name in approxbit.available()})
    measured = [family for family in families if (find_checkpoints() / family / "lut.json").is_file()]
    return "\n\n".join(family_table(family) for family in measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put them into RESULTS.md and README.md")
    if parser.parse_args().write:
        write_between(RESULTS, BEGIN, END, all_tables())
        write_between(README, ARMS_BEGIN, ARMS_END, arms_table())
    else:
        print(f"{arms_table()}\n\n{all_tables()}")


if __name__ == "__main__":
    main()
