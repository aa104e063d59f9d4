"""The tables of the README, from the cards and LUTs in checkpoints/.

    python benchmarks/figures.py            # prints them
    python benchmarks/figures.py --write    # puts them between the markers in README.md

The accuracies were measured by `approxbit measure`, which says so in the LUTs.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

import approxbit
from approxbit.select import EDGE_ONLY
from approxbit.tasks.label_sets import JOINT, MARGINAL
from approxbit.zoo import find_checkpoints

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: python benchmarks/figures.py --write -->", "<!-- end of figures -->"
HEADER = [
    "configuration",
    "bytes",
    "packed",
    "of float32",
    "action x digit",
    "drop",
    "actions",
    "drop",
    "edge + encode",
    "decode + server",
]


def family_table(family: str) -> str:
    """Markdown: every configuration of a family against its unsplit backbone."""
    lut = approxbit.load_lut(family)
    backbone = next(iter(approxbit.load_family(family).values())).backbone
    whole = lut.row(EDGE_ONLY)
    rows = [
        ["unsplit", "", "", "", f"{whole.accuracies[JOINT]:.2f}", "", f"{whole.accuracies[MARGINAL]:.2f}", "",
         f"{whole.edge_ms:.1f} ms", ""],
    ]  # fmt: skip
    for row in lut.rows:
        configuration = row.configuration
        if configuration is None:
            continue
        point = configuration.offload_point
        shape = backbone.feature_shape(point)
        floats = math.prod(shape) + backbone.num_tokens(point) * shape.channels
        rows.append(
            [
                f"`{row.arm}`",
                f"{row.payload_bytes:.1f}",
                f"{row.raw_bytes or row.payload_bytes:g}",
                f"1/{4 * floats / row.payload_bytes:.0f}",
                *(
                    text
                    for name in (JOINT, MARGINAL)
                    for text in (
                        f"{row.accuracies[name]:.2f}",
                        f"{row.accuracies[name] - whole.accuracies[name]:+.2f}",
                    )
                ),
                f"{row.edge_ms + row.encode_ms:.1f} ms",
                f"{row.decode_ms + row.server_ms:.1f} ms",
            ]
        )
    lines = [
        f"**{family}**: {lut.num_clips} test clips, {lut.date}, {lut.device}, {lut.threads} thread(s), edge "
        f"on {lut.backend}; bytes are the mean payload, entropy coded; top-1 in percent, absolute medians at "
        "batch size 1",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---" * len(HEADER) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def all_tables() -> str:
    """The tables of all families that have a LUT."""
    families = sorted({name.partition("/")[0] for name in approxbit.available()})
    measured = [family for family in families if (find_checkpoints() / family / "lut.json").is_file()]
    return "\n\n".join(family_table(family) for family in measured)


def replace_figures(text: str, tables: str) -> str:
    """`text` with everything between the markers replaced."""
    pattern = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"expected the markers {BEGIN!r} and {END!r}, found none")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{tables}\n\n{END}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables of the README.")
    parser.add_argument("--write", action="store_true", help="put them into README.md")
    tables = all_tables()
    if parser.parse_args().write:
        README.write_text(replace_figures(README.read_text(), tables))
    else:
        print(tables)


if __name__ == "__main__":
    main()
