"""Top-1 against bytes on the wire: the paper's recipe packed, the same coded, and the best recipe coded.

    python benchmarks/figures/curve.py  # tables of both backbones, from the cards
    python benchmarks/figures/curve.py --out runs/curves  # and a picture of each
    python benchmarks/figures/curve.py --write  # both into benchmarks: RESULTS.md and figures/curves

(a) is the paper's recipe with packed codes, without the bits that never change; (b) the same codecs with
entropy coding; (c) the best recipe: nested codes with distillation, a price on entropy and attention in the
encoder, entropy coded. All accuracies and bytes are those of the 2,400 test clips, as the trainings and
`approxbit prior` left them in the cards. Bytes are payloads.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from documents import RESULTS, write_between
from live_bits import count_live_bits
from matplotlib.ticker import FuncFormatter
from rich.console import Console
from rich.table import Table

from approxbit import zoo
from approxbit.configuration import Configuration
from approxbit.datasets.digits import JOINT, MARGINAL
from approxbit.report.style import COLOURS, INK, make_figure, tidy

FAMILIES = {
    "digits-movinet": ("digits-movinet-paper", "digits-movinet"),
    "digits-movinet-actions": ("digits-movinet-actions-paper", "digits-movinet-actions"),
    "digits-mvitv2": ("digits-mvitv2-paper", "digits-mvitv2"),
}
PICTURES = Path(__file__).parent / "curves"
BEGIN, END = "<!-- curve: python benchmarks/figures/curve.py --write -->", "<!-- end of curve -->"
NAMES = {JOINT: "action x digit", MARGINAL: "actions"}
LABELS = {"a": "(a) paper's recipe, packed", "b": "(b) paper's recipe, coded", "c": "(c) best recipe, coded"}


@dataclass(frozen=True)
class Point:
    """One configuration on one curve."""

    curve: str
    configuration: str
    num_bytes: float
    top1: dict[str, float]


def read_points(family: str, curves: str) -> list[Point]:
    """The points of a family's codecs and of those nested in them, smallest first.

    Args:
        family: Of the zoo.
        curves: `ab` for codecs of the paper's recipe, `c` for the best one.
    """
    points = []
    for name in zoo.available():
        if name.partition("/")[0] != family:
            continue
        configuration = Configuration.parse(name.partition("/")[2])
        card = zoo.card(name)
        metrics, prefix = card.provenance.metrics, ""
        whole = Configuration.parse(card.name.partition("/")[2])
        packed = metrics["raw_bytes"] * count_live_bits(name) / whole.codebook_size
        if card.name != name:
            prefix = f"{configuration}_"
        top1 = {each: metrics[f"{prefix}top1_{each}"] for each in (JOINT, MARGINAL)}
        coded = metrics[f"{prefix}coded_bytes"]
        points += [
            Point(curve, str(configuration), packed if curve == "a" else coded, top1) for curve in curves
        ]
    return sorted(points, key=lambda point: point.num_bytes)


def read_both(family: str) -> list[Point]:
    """The points of all three curves, smallest first."""
    paper, best = FAMILIES[family]
    points = [*read_points(paper, "ab"), *read_points(best, "c")]
    return sorted(points, key=lambda point: point.num_bytes)


def cheapest(points: list[Point], label_set: str, least: float) -> Point | None:
    """The fewest bytes that reach an accuracy, in percent."""
    return next((point for point in points if point.top1[label_set] >= least), None)


def print_points(family: str, points: list[Point]) -> None:
    table = Table(title=f"{family}: top-1 (percent) and bytes per clip")
    for column in ("recipe", "configuration", "bytes", "action x digit", "actions"):
        table.add_column(column, justify="left" if column in ("recipe", "configuration") else "right")
    for point in points:
        table.add_row(
            LABELS[point.curve],
            point.configuration,
            f"{point.num_bytes:.1f}",
            f"{point.top1[JOINT]:.2f}",
            f"{point.top1[MARGINAL]:.2f}",
        )
    Console(width=110).print(table)


def markdown(family: str, points: list[Point]) -> str:
    """For every point of (a), by label set: its top-1, and the fewest bytes that each recipe needs for it."""
    lines = [
        f"![{family}](figures/curves/{family}.png)",
        "",
        "| (a) | bytes | label set | top-1 | (b) bytes | (c) bytes | (c) / (a) | by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for point in (each for each in points if each.curve == "a"):
        for label_set, name in NAMES.items():
            least = point.top1[label_set]
            found = {
                curve: cheapest([each for each in points if each.curve == curve], label_set, least)
                for curve in "bc"
            }
            ours = found["c"]
            cells = [
                f"`{point.configuration}`",
                f"{point.num_bytes:g}",
                name,
                f"{least:.2f}",
                f"{found['b'].num_bytes:.1f}" if found["b"] else "not reached",
                f"{ours.num_bytes:.1f}" if ours else "not reached",
                f"{ours.num_bytes / point.num_bytes:.3f}" if ours else "",
                f"`{ours.configuration}`" if ours else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def print_ratios(family: str, points: list[Point], tolerance: float) -> None:
    """For every point of (a): the fewest bytes of (b) and (c) that are as accurate, as shares of its own."""
    table = Table(title=f"{family}: bytes at the accuracy of (a), within {tolerance:g} points")
    for column in ("(a)", "label set", "top-1", "bytes", "(b) / (a)", "(c) / (a)", "by"):
        table.add_column(column, justify="left" if column in ("(a)", "label set", "by") else "right")
    for point in (each for each in points if each.curve == "a"):
        for label_set in (JOINT, MARGINAL):
            cells = [point.configuration, label_set, f"{point.top1[label_set]:.2f}", f"{point.num_bytes:g}"]
            found = None
            for curve in "bc":
                candidates = [each for each in points if each.curve == curve]
                found = cheapest(candidates, label_set, point.top1[label_set] - tolerance)
                cells.append(f"{found.num_bytes / point.num_bytes:.3f}" if found else "-")
            table.add_row(*cells, found.configuration if found else "")
    Console(width=110).print(table)


def draw(path: Path, family: str, points: list[Point]) -> None:
    """Both label sets beside each other, bytes on a logarithmic axis."""
    figure = make_figure(10, 4.3)
    for place, label_set in enumerate((JOINT, MARGINAL), start=1):
        axes = figure.add_subplot(1, 2, place)
        for colour, (curve, label) in zip(COLOURS, LABELS.items(), strict=False):
            chosen = [point for point in points if point.curve == curve]
            sizes = [point.num_bytes for point in chosen]
            axes.scatter(sizes, [point.top1[label_set] for point in chosen], s=22, color=colour, label=label)
            front = frontier(chosen, label_set)
            axes.plot(
                [point.num_bytes for point in front],
                [point.top1[label_set] for point in front],
                color=colour,
                drawstyle="steps-post",
                linewidth=1.2,
            )
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda num_bytes, _: f"{num_bytes:g}"))
        axes.set_xlabel("payload, bytes per clip", color=INK)
        axes.set_ylabel("top-1, percent", color=INK)
        axes.set_title(NAMES[label_set], loc="left", color=INK)
        tidy(axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(LABELS), frameon=False, fontsize=9)
    figure.suptitle(family, x=0.01, ha="left", color=INK)
    figure.savefig(path)


def frontier(points: list[Point], label_set: str) -> list[Point]:
    """Those that no smaller point is as accurate as."""
    best: list[Point] = []
    for point in points:
        if not best or point.top1[label_set] > best[-1].top1[label_set]:
            best.append(point)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--tolerance", type=float, default=0.0, help="points that may be missing")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--write", action="store_true", help="put all into RESULTS.md and figures/curves")
    options = parser.parse_args()
    folder = PICTURES if options.write else options.out
    tables = []
    for family in options.families:
        points = read_both(family)
        print_points(family, points)
        print_ratios(family, points, options.tolerance)
        tables.append(markdown(family, points))
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            draw(folder / f"{family}.png", family, points)
    if options.write:
        write_between(RESULTS, BEGIN, END, "\n\n".join(tables))


if __name__ == "__main__":
    main()
