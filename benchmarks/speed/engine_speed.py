"""Is ONNX Runtime worth it on the edge, and what does the encoder cost there?

    python benchmarks/speed/engine_speed.py [--full] [--only 'mvit*'] [--pairs 15] [--threads 1 2]

For the shipped backbones, and with `--full` for all four of the paper at full size (see
`figures/full_size.py`; a pair takes up to minutes, so take few):

eager / ORT      the edge half, encoder and packing by torch's modules, against the exported graph
encoder          share of the exported encoder and packing in the exported edge half
eager / view     the edge half alone and its graph-safe view, both run by torch; the blocks of an MViTv2 half
                 are torchvision's own

All are medians over pairs of runs that take turns in going first, so that a busy machine slows both alike.
Fails if an aim is missed: ORT at least 1.5 times as fast on MViTv2 and not slower on MoViNet; at full size
an encoder of at most 3 %.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

import approxbit
from approxbit.backbones.feature import Feature
from approxbit.exporting.gate import load_target
from approxbit.exporting.graph import GraphInterface, export_graph
from approxbit.exporting.views import EdgeView
from approxbit.offload import OffloadedModel
from approxbit.zoo import describe_machine

sys.path.append(str(Path(__file__).parents[1] / "figures"))
from full_size import full_size

SHIPPED = ("digits-mvitv2/16-Enc-B6", "digits-movinet/16-Enc-B5")
FULL = (
    "mvitv2_b/64-Enc-B8",
    "movinet_a2/16-Enc-B3",
    "video_llava_7b/128-Enc-L8",
    "llava_onevision_0_5b/128-Enc-L8",
)
SMALLEST_SPEEDUP = {"mvitv2": 1.5, "movinet": 1.0}
LARGEST_ENCODER_SHARE = 0.03
TITLES = ("model", "threads", "eager ms", "ORT ms", "eager / ORT", "encoder", "eager / view")


@dataclass(frozen=True)
class Row:
    """What was measured for one model and one number of threads."""

    name: str
    threads: int
    eager_ms: float
    ort_ms: float
    speedup: float
    encoder_share: float
    view_speedup: float

    def cells(self) -> tuple[str, ...]:
        """As the table prints it."""
        times = (f"{self.eager_ms:.1f}", f"{self.ort_ms:.1f}", f"{self.speedup:.2f}")
        return (
            self.name,
            str(self.threads),
            *times,
            f"{100 * self.encoder_share:.2f} %",
            f"{self.view_speedup:.2f}",
        )

    def missed(self) -> list[str]:
        """The aims that this row misses, in words."""
        where = f"{self.name}, {self.threads} thread(s)"
        smallest = next((value for family, value in SMALLEST_SPEEDUP.items() if family in self.name), 0.0)
        found = []
        if self.speedup < smallest:
            found.append(f"{where}: ORT is {self.speedup:.2f} times as fast as eager, the aim is {smallest}")
        if self.name in FULL and self.encoder_share > LARGEST_ENCODER_SHARE:
            found.append(f"{where}: the encoder takes {self.encoder_share:.1%} of the edge's time")
        return found


class Encoder(nn.Module):
    """The codec's part of an `EdgeView` on the grid of a feature; class tokens are given once."""

    tokens: Tensor

    def __init__(self, view: EdgeView, tokens: Tensor) -> None:
        super().__init__()
        self.view = view
        self.register_buffer("tokens", tokens)

    def forward(self, grid: Tensor) -> Tensor:
        """The packed code."""
        return self.view.encode(Feature(grid, self.tokens))


def to_onnx(view: nn.Module, example: Tensor, input_name: str) -> bytes:
    """The float32 graph of a view, by the exporter that takes a tenth of the time."""
    target = replace(load_target("onnxruntime"), exporter="torchscript", opset=17)
    model = export_graph(view.eval(), example, GraphInterface(input_name, "packed"), target)
    graph: bytes = model.SerializeToString()
    return graph


def open_session(graph: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def time_pairs(
    first: Callable[[], object], second: Callable[[], object], num_pairs: int
) -> tuple[float, float, float]:
    """Median milliseconds of both, and the median of first / second."""
    pairs = []
    for number in range(-1, num_pairs):
        seconds: dict[Callable[[], object], float] = {}
        for run in (first, second) if number % 2 else (second, first):
            start = time.perf_counter()
            run()
            seconds[run] = time.perf_counter() - start
        if number >= 0:  # the first pair warms up
            pairs.append((seconds[first], seconds[second]))
    one, other = ([1000 * pair[index] for pair in pairs] for index in (0, 1))
    return statistics.median(one), statistics.median(other), statistics.median(a / b for a, b in pairs)


@torch.inference_mode()
def measure(name: str, model: OffloadedModel, num_pairs: int, threads: Iterable[int]) -> Iterator[Row]:
    """One row for each number of threads."""
    view = EdgeView(model)
    clip = torch.randn(1, *model.backbone.clip_shape)
    feature = model.edge_half(clip)
    edge_graph = to_onnx(view, clip, "clip")
    encoder_graph = to_onnx(Encoder(view, feature.tokens.clone()), feature.grid, "grid")
    for count in threads:
        torch.set_num_threads(count)
        edge = partial(open_session(edge_graph, count).run, None, {"clip": clip.numpy()})
        encoder = partial(open_session(encoder_graph, count).run, None, {"grid": feature.grid.numpy()})
        eager = partial(model.edge_runner(count).run, clip[0].numpy())
        eager_ms, ort_ms, speedup = time_pairs(eager, edge, num_pairs)
        *_, encoder_share = time_pairs(encoder, edge, num_pairs)
        *_, view_speedup = time_pairs(
            partial(model.edge_half, clip), partial(view.edge_half, clip), num_pairs
        )
        yield Row(name, count, eager_ms, ort_ms, speedup, encoder_share, view_speedup)


def print_line(cells: Iterable[str]) -> None:
    name, *rest = cells
    print(f"| {name:<24} | " + " | ".join(f"{cell:>12}" for cell in rest) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--full", action="store_true", help="also the paper's backbones at full size")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of runs (default: 15)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="such as 'digits-*'")
    options = parser.parse_args()
    torch.manual_seed(0)
    models: dict[str, Callable[[], OffloadedModel]] = {
        name: partial(approxbit.load, name) for name in SHIPPED
    }
    if options.full:
        models.update({name: partial(full_size, name) for name in FULL})
    chosen = {name: make for name, make in models.items() if fnmatch(name, options.only)}
    if not chosen:
        parser.error(f"no model is called {options.only}: {', '.join(models)}")
    missed: list[str] = []
    print(f"{datetime.date.today().isoformat()}, {describe_machine()}, {options.pairs} pairs")
    print_line(TITLES)
    for name, make in chosen.items():
        for row in measure(name, make(), options.pairs, options.threads):
            print_line(row.cells())
            missed += row.missed()
    print("\n".join(missed) or "all aims are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
