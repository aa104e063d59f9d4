"""Vector quantisation beside binary codes: bytes and top-1 on the test clips of Digits-in-Motion.

    python benchmarks/experiments/vq.py  # trains what is missing, measures what is new, prints
    python benchmarks/experiments/vq.py --only digits-movinet/10-Enc-B5

Trains the configurations of the two VQ recipes (Table 5 of the paper) with the budget of the paper's binary
recipes, and compares them with the codecs of those, packed, and with the family's LUT, entropy coded.
Everything is kept below `--runs`: an interrupted training goes on from its last checkpoint, and a measured
configuration is not measured again. Bytes are those of the packed indices, without the packet's header. Times
are medians at batch size 1 on one thread.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from rich.console import Console
from rich.table import Table

from approxbit import zoo
from approxbit.baselines.vq import compute_perplexity, from_index_bits
from approxbit.baselines.vq_module import VQModule
from approxbit.configuration import Configuration
from approxbit.datasets.digits import DigitsClips
from approxbit.training.checkpoints import last_checkpoint
from approxbit.training.cli import main as train
from approxbit.training.cli import parse_recipe, read_recipe
from approxbit.training.release import measure_figures
from approxbit.wire import pack
from approxbit.zoo import describe_machine

REPOSITORY = Path(__file__).parents[2]
RECIPES = {
    "digits-movinet": "recipes/digits/movinet_vq.yaml",
    "digits-mvitv2": "recipes/digits/mvitv2_vq.yaml",
}
NUM_TIMED = 60
HEADER = (
    "configuration", "code", "bytes", "action x digit", "actions",
    "entries in use", "perplexity", "encode", "decode",
)  # fmt: skip


def train_one(recipe: str, configuration: str, root: Path) -> None:
    """Train, or go on; nothing happens where it is done already."""
    words = ["--config", str(REPOSITORY / recipe), f"--configurations=[{configuration}]"]
    train([*words, f"--trainer.default_root_dir={root}"])


def load_trained(recipe: str, configuration: str, root: Path) -> VQModule:
    """The module of a finished training, in eval mode."""
    change = f"--model.init_args.configuration={configuration}"
    module = read_recipe(["--config", str(REPOSITORY / recipe), change]).model
    assert isinstance(module, VQModule)
    path = last_checkpoint(root / configuration)
    state = torch.load(path, weights_only=True)["state_dict"]
    module.load_state_dict(state, strict=False)
    return module.eval()


@torch.inference_mode()
def measure(module: VQModule) -> dict[str, Any]:
    """Bytes, top-1, use of the entries and the codec's own times."""
    codec, batches = module.model.codec, DigitsClips().loader("test", 50)
    codes = [codec.encode(module.compute_feature(clip)) for clip, _ in batches]
    planes = torch.cat([code.to_planes() for code in codes])
    counts = from_index_bits(planes.transpose(1, 2)).flatten().bincount(minlength=len(codec.entries))
    first = module.compute_feature(next(iter(batches))[0][:NUM_TIMED])
    features = [type(first)(grid[None], tokens[None]) for grid, tokens in zip(*first, strict=True)]
    singles = [codec.encode(feature) for feature in features]
    return {
        "bytes": len(pack(planes[0].numpy())),
        **measure_figures(module.task, {"": module}, batches),
        "entries_used": int((counts > 0).sum()),
        "entries": len(counts),
        "perplexity": round(compute_perplexity(counts), 1),
        "encode_ms": round(median_ms(codec.encode, features), 3),
        "decode_ms": round(median_ms(codec.decode, singles), 3),
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(),
    }


def median_ms(function: Callable[[Any], object], inputs: list[Any]) -> float:
    """Milliseconds of one call, once it is warm."""
    times = []
    for value in inputs[:3] + inputs:
        start = time.perf_counter()
        function(value)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def measure_once(family: str, configuration: str, runs: Path) -> dict[str, Any]:
    """Train and measure, unless the result lies there."""
    root = runs / family
    result = root / configuration / "result.json"
    if not result.exists():
        train_one(RECIPES[family], configuration, root)
        result.write_text(json.dumps(measure(load_trained(RECIPES[family], configuration, root))))
    return json.loads(result.read_text())


def paper_rows(family: str, points: set[str]) -> list[tuple[str, ...]]:
    """The binary codes of the paper's recipe at some offload points, packed."""
    rows = []
    for name in zoo.available():
        owner, _, configuration = name.partition("/")
        if owner != f"{family}-paper" or Configuration.parse(configuration).offload_point not in points:
            continue
        metrics = zoo.card(name).provenance.metrics
        top1 = [f"{metrics[f'top1_{each}']:.2f}" for each in ("action_digit", "actions")]
        rows.append((configuration, "binary, paper's recipe", f"{metrics['raw_bytes']:g}", *top1, *[""] * 4))
    return rows


def binary_rows(family: str, points: set[str]) -> list[tuple[str, ...]]:
    """The family's binary codes at some offload points, as its LUT measured them."""
    rows = []
    for row in zoo.load_lut(family).rows:
        if row.configuration is None or row.configuration.offload_point not in points:
            continue
        top1 = [f"{row.scores[f'top1_{each}']:.2f}" for each in ("action_digit", "actions")]
        times = f"{row.encode_ms:.2f} ms", f"{row.decode_ms:.2f} ms"
        rows.append((row.arm, "binary, ours, coded", f"{row.payload_bytes:g}", *top1, "", "", *times))
    return rows


def vq_row(configuration: str, found: dict[str, Any]) -> tuple[str, ...]:
    return (
        configuration, "VQ", str(found["bytes"]), f"{found['top1_action_digit']:.2f}",
        f"{found['top1_actions']:.2f}", f"{found['entries_used']} of {found['entries']}",
        f"{found['perplexity']:g}", f"{found['encode_ms']:.2f} ms", f"{found['decode_ms']:.2f} ms",
    )  # fmt: skip


def make_table(family: str, found: dict[str, dict[str, Any]]) -> Table:
    points = {Configuration.parse(each).offload_point for each in found}
    rows = [
        *paper_rows(family, points),
        *binary_rows(family, points),
        *(vq_row(*each) for each in found.items()),
    ]
    table = Table(title=family, title_justify="left", box=None)
    for index, title in enumerate(HEADER):
        table.add_column(title, justify="left" if index < 2 else "right")
    for row in sorted(rows, key=lambda row: float(row[2])):
        table.add_row(*row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", help="family/configuration; may be repeated")
    parser.add_argument("--runs", type=Path, default=Path("runs/vq"))
    options = parser.parse_args()
    wanted = options.only or [
        f"{family}/{configuration}"
        for family, recipe in RECIPES.items()
        for configuration in parse_recipe(REPOSITORY / recipe).configurations
    ]
    torch.set_num_threads(1)
    console = Console(width=140, highlight=False)
    families: dict[str, dict[str, dict[str, Any]]] = {}
    for name in wanted:
        family, _, configuration = name.partition("/")
        families.setdefault(family, {})[configuration] = measure_once(family, configuration, options.runs)
    for family, found in families.items():
        newest = max(found.values(), key=lambda each: each["date"])
        console.print(f"\n{newest['date']}, {newest['machine']}; top-1 in percent, 2,400 test clips")
        console.print(make_table(family, found))


if __name__ == "__main__":
    main()
