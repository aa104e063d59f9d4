"""What it costs to switch the configuration between two clips, and what the split itself costs.

    python benchmarks/speed/switching.py [--family digits-movinet] [--repeats 40]
    python benchmarks/speed/switching.py --backbone mvitv2_b [--frames 8 --size 64] [--repeats 10]

The first form runs the shipped configurations of a family in turns and compares a clip that follows one of
another configuration with a clip that follows one of the same; then it looks at what many switches leave
behind. The second compares `server_half(edge_half(clip))` with the unsplit model at the paper's offload
points (aim: at most 1.02). Ratios are medians over pairs measured one right after the other, in alternating
order, on one thread.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.offload import OffloadedModel
from approxbit.zoo import describe_machine


def time_once(function: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def compare(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median of the ratios second / first, and the median milliseconds of `first`."""
    first(), second()
    ratios, times = [], []
    for repeat in range(repeats):
        pair = (first, second) if repeat % 2 == 0 else (second, first)
        measured = [time_once(function) for function in pair]
        ours = dict(zip(pair, measured, strict=True))
        ratios.append(ours[second] / ours[first])
        times.append(ours[first])
    return statistics.median(ratios), statistics.median(times)


def resident_kilobytes() -> int:
    """What this process holds in memory now (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def measure_switch(console: Console, models: dict[str, OffloadedModel], repeats: int) -> None:
    names = list(models)
    clip = torch.rand(1, *models[names[0]].backbone.clip_shape)

    def after(previous: str, name: str) -> Callable[[], float]:
        """Milliseconds of a clip through `name` right after one through `previous`."""

        def run() -> float:
            models[previous].encode(clip)
            return time_once(lambda: models[name].encode(clip))

        return run

    ratios, staying = [], []
    for index, name in enumerate(names):
        stay, switch = after(name, name), after(names[index - 1], name)
        stay(), switch()
        for _ in range(repeats):
            same, other = stay(), switch()
            ratios.append(other / same)
            staying.append(same)
    ratio, alone_ms = statistics.median(ratios), statistics.median(staying)
    console.print(
        "edge half + encoder of a clip after a switch, against one without: "
        f"ratio {ratio:.3f}, {(ratio - 1) * alone_ms:+.3f} ms of {alone_ms:.2f} ms"
    )
    choose_ms = statistics.median(time_once(lambda: models[names[0]]) for _ in range(1000))
    console.print(f"choosing the other configuration: {1000 * choose_ms:.2f} microseconds, no weight touched")
    gc.collect()
    before = resident_kilobytes()
    for _ in range(repeats):
        for name in names:
            models[name].encode(clip)
    gc.collect()
    left = resident_kilobytes() - before
    console.print(f"{repeats * len(names)} switches later the process holds {left:+d} kB")


def measure_split(
    console: Console, backbone: Backbone, clip: Tensor, points: list[str], repeats: int
) -> None:
    """Time the split against the unsplit model at each point, after checking that they agree."""
    for point in points:
        edge_half, server_half = backbone.edge_half(point), backbone.server_half(point)
        assert torch.equal(server_half(edge_half(clip)), backbone(clip))
        ratio, whole_ms = compare(
            lambda: backbone(clip),
            lambda edge_half=edge_half, server_half=server_half: server_half(edge_half(clip)),
            repeats,
        )
        console.print(f"{point}: split / unsplit {ratio:.3f} (unsplit {whole_ms:.1f} ms), the same bits")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", default="digits-movinet")
    parser.add_argument("--backbone", default="", help="a builder, such as mvitv2_b: time the split instead")
    parser.add_argument("--frames", type=int, default=8, help="of the clip")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=140, highlight=False)
    console.print(f"{datetime.date.today().isoformat()}, {describe_machine()}, 1 thread")
    if arguments.backbone:
        shape = (3, arguments.frames, arguments.size, arguments.size)
        backbone = zoo.build_backbone(arguments.backbone, {"clip_shape": shape})
        cut_at = {name.rpartition("-")[2] for name in zoo.PAPER_CONFIGURATIONS[arguments.backbone]}
        console.print(f"{arguments.backbone}, clip {shape}")
        measure_split(console, backbone, torch.rand(1, *shape), sorted(cut_at), arguments.repeats)
    else:
        console.print(f"{arguments.family}")
        measure_switch(console, zoo.load_family(arguments.family), arguments.repeats)


if __name__ == "__main__":
    main()
