"""What each part of the codec's training is worth: the paper's Table 4, extended.

    python benchmarks/experiments/ablation.py  # 3 seeds of every variant
    python benchmarks/experiments/ablation.py --only paper distillation --seeds 1 --steps 200
    python benchmarks/experiments/ablation.py --family digits-mvitv2 --configuration 16-Enc-B6

Every variant is the base recipe (Eq. 3 with Adam, a cosine and distillation from the unsplit model) with one
change, and is trained on the same features. What is done lies in `runs/ablation` and is not done again, so
the command can be stopped at any time. With the default number of steps a training takes about a minute on
one core, and its prior a third of that. Bytes are those of the raw code and of its entropy coding, with
tables trained on the training clips' codes; accuracies are of the test clips.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from codec_bench import Figures, describe, open_bench
from rich.console import Console
from rich.table import Table

from approxbit.codec import CodecOptions, LookupFree, NoisyThreshold, Spherical
from approxbit.datasets.digits import JOINT, MARGINAL
from approxbit.training import ObjectiveWeights, Optimization
from approxbit.zoo import describe_machine

PAPER = {"objective": ObjectiveWeights(), "optimization": Optimization()}
FAST = Optimization(learning_rate=3e-3, schedule="cosine")
BASE: dict[str, Any] = {"objective": ObjectiveWeights(distillation=1), "optimization": FAST}


def with_weights(**changes: float) -> dict[str, Any]:
    """The base recipe with other weights of the objective."""
    return {**BASE, "objective": ObjectiveWeights(**{"distillation": 1.0, **changes})}


VARIANTS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "paper + cosine": {**PAPER, "optimization": Optimization(schedule="cosine")},
    "paper + cosine, learning rate 3e-3": {**PAPER, "optimization": FAST},
    "base (+ distillation)": BASE,
    "learning rate 1e-3": {**BASE, "optimization": Optimization(schedule="cosine")},
    "learning rate 6e-3": {**BASE, "optimization": Optimization(learning_rate=6e-3, schedule="cosine")},
    "constant learning rate": {**BASE, "optimization": Optimization(learning_rate=3e-3)},
    "start from components": {
        **BASE,
        "optimization": Optimization(learning_rate=3e-3, schedule="cosine", initialization="components"),
    },
    "gradient clipping": {**BASE, "clip": 1.0},
    "wider decoder": {**BASE, "options": CodecOptions(hidden_channels=96)},
    "encoder attention": {**BASE, "options": CodecOptions(encoder_attention=True)},
    "no reconstruction loss": with_weights(reconstruction=0),
    "no binary loss": with_weights(binary=0),
    "no task loss": with_weights(task=0),
    "downstream features": with_weights(downstream=1),
    "temperature 2": with_weights(temperature=2),
    "rate term 0.3": with_weights(rate=0.3),
    "rate term 1": with_weights(rate=1),
    "rate term 3": with_weights(rate=3),
    "rate term 3, rising": with_weights(rate=3, rate_warmup=0.8),
    "noisy threshold": {**BASE, "binarizer": NoisyThreshold},
    "lookup-free": {
        **BASE,
        "binarizer": LookupFree,
        "objective": ObjectiveWeights(distillation=1, binary=0.1),
    },
    "lookup-free, full weight, clipping": {**BASE, "binarizer": LookupFree, "clip": 1.0},
    "spherical": {**BASE, "binarizer": Spherical, "objective": ObjectiveWeights(distillation=1, binary=0.1)},
    "nested": {**BASE, "options": CodecOptions(nested_sizes=(4, 8))},
    "shipped recipe, not nested": {
        **with_weights(temperature=4, rate=18, rate_warmup=0.5),
        "options": CodecOptions(encoder_attention=True),
        "prior_preset": "global",
        "clip": 1.0,
    },
}


def print_results(results: dict[str, list[Figures]], title: str) -> None:
    """Means over the seeds, and the spread where there are several."""
    table = Table(title=title)
    for column in ("variant", "action x digit", "actions", "raw bytes", "coded bytes", "seconds"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, found in results.items():
        table.add_row(
            name,
            *(describe([each[key] for each in found]) for key in (JOINT, MARGINAL)),
            f"{found[0]['raw_bytes']:g}",
            describe([each["coded_bytes"] for each in found]),
            f"{statistics.mean(each['seconds'] for each in found):.0f}",
        )
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--configuration", default="16-Enc-B5")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--steps", type=int, default=400)
    options, bench = open_bench(parser, "runs/ablation")
    size = str(bench.configuration.codebook_size)
    results: dict[str, list[Figures]] = {}
    title = f"{options.family}, {options.configuration}, {options.steps} steps; {describe_machine()}"
    try:
        for seed in range(options.seeds):
            for name in options.only:
                found = bench.run(name, VARIANTS[name], options.steps, seed)
                results.setdefault(name, []).append(found[size])
    finally:
        print_results(results, title)


if __name__ == "__main__":
    main()
