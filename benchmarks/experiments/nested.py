"""One nested codec against one codec for each codebook size, with the same steps in total.

    python benchmarks/experiments/nested.py             # 800 steps a size, 3 seeds: an hour on one core
    python benchmarks/experiments/nested.py --steps 200 --seeds 1
    python benchmarks/experiments/nested.py --sizes 32  # only what is to know of 32 bits

All are trained by the same recipe, without a price on entropy, which would weigh differently on each size.
The nested codec has as many steps as the separate ones have together, and its time is one training's; two of
five clips keep all bits, which gain least from what the fewer ones learn. What is done lies in `runs/nested`
and is not done again, so the command can be stopped at any time. Accuracies are of the test clips, in
percent; bytes are those of the entropy coding.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from typing import Any

from codec_bench import CodecBench, Figures, describe, open_bench
from rich.console import Console
from rich.table import Table

from approxbit.codec import CodecOptions
from approxbit.datasets.digits import JOINT, MARGINAL
from approxbit.training import ObjectiveWeights, Optimization
from approxbit.zoo import describe_machine

RECIPE: dict[str, Any] = {
    "objective": ObjectiveWeights(distillation=1),
    "optimization": Optimization(learning_rate=3e-3, schedule="cosine"),
    "options": CodecOptions(encoder_attention=True),
    "clip": 1.0,
}
SIZES = (4, 8, 16, 32)
WHOLE_SHARE = 0.4
COLUMNS = (
    "bits", "separate", "nested", "difference", "actions: separate", "nested", "bytes: separate", "nested",
)  # fmt: skip

Found = dict[int, list[Figures]]
"""Figures of all seeds by codebook size."""


def run(
    bench: CodecBench, sizes: list[int], num_steps: int, num_seeds: int, separate: Found, nested: Found
) -> None:
    """Train the nested codec and a separate one for each size, and add what was found size by size."""
    options = replace(RECIPE["options"], nested_sizes=SIZES[:-1], whole_share=WHOLE_SHARE)
    variant = {**RECIPE, "options": options}
    for seed in range(num_seeds):
        together = bench.run("nested", variant, num_steps * len(SIZES), seed)
        for size in sizes:
            alone = bench.run(f"separate {size}", RECIPE, num_steps, seed, size)
            separate.setdefault(size, []).append(alone[str(size)])
            nested.setdefault(size, []).append(together[str(size)])


def print_results(separate: Found, nested: Found, title: str) -> None:
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for size, alone in separate.items():
        inside = nested[size]
        cells = [[each[key] for each in found] for key in (JOINT, MARGINAL) for found in (alone, inside)]
        difference = [one[JOINT] - other[JOINT] for one, other in zip(inside, alone, strict=True)]
        coded = [describe(each["coded_bytes"] for each in found) for found in (alone, inside)]
        joint, marginal = [describe(each) for each in cells[:2]], [describe(each) for each in cells[2:]]
        table.add_row(str(size), *joint, describe(difference), *marginal, *coded)
    console = Console(width=130)
    console.print(table)
    if separate:
        total = sum(statistics.mean(each["seconds"] for each in found) for found in separate.values())
        one = statistics.mean(each["seconds"] for each in nested[max(nested)])
        console.print(f"training: {total:.0f} s for the separate codecs, {one:.0f} s for the nested one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--configuration", default="32-Enc-B5", help="the encoder and the offload point")
    parser.add_argument("--steps", type=int, default=800, help="of each separate codec")
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES), metavar="BITS")
    options, bench = open_bench(parser, "runs/nested")
    separate: Found = {}
    nested: Found = {}
    try:
        run(bench, options.sizes, options.steps, options.seeds, separate, nested)
    finally:
        title = (
            f"{options.family}, {options.configuration}, {options.steps} steps a size; {describe_machine()}"
        )
        print_results(separate, nested, title)


if __name__ == "__main__":
    main()
