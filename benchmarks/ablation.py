"""What each part of the codec's training is worth: the paper's Table 4, extended.

    python benchmarks/ablation.py                                   # 3 seeds of every variant
    python benchmarks/ablation.py --only paper distillation --seeds 1 --steps 200
    python benchmarks/ablation.py --family digits-mvitv2 --configuration 16-Enc-B6 --num-train 8000

Every variant is the base recipe (Eq. 3 with Adam, a cosine and distillation from the unsplit model) with one
change, and is trained on the same features. What is done lies in `runs/ablation` and is not done again, so
the command can be stopped at any time. With the default number of steps a training takes about a minute on
one core, and its prior a third of that. Bytes are those of the raw code and of its entropy coding, with
tables trained on the training clips' codes; accuracies are of the test clips.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.table import Table

from approxbit.backbones.feature import Feature
from approxbit.codec import Code, Codec, LookupFree, NoisyThreshold, Spherical
from approxbit.data.label_sets import JOINT, MARGINAL
from approxbit.training import CodecModule, DigitsData, ObjectiveWeights, Optimization
from approxbit.training.features import FeatureData, FeatureDataset, find_features
from approxbit.training.objective import answer_for, compute_top1
from approxbit.training.prior_family import fit_prior, measure_prior
from approxbit.zoo.cards import describe_machine

PAPER = {"objective": ObjectiveWeights(), "optimization": Optimization()}
FAST = Optimization(learning_rate=3e-3, schedule="cosine")
BASE: dict[str, Any] = {"objective": ObjectiveWeights(distillation=1), "optimization": FAST}


def with_weights(**changes: float) -> dict[str, Any]:
    """The base recipe with other weights of the objective."""
    return {**BASE, "objective": ObjectiveWeights(**{"distillation": 1.0, **changes})}


VARIANTS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "paper + cosine": {**PAPER, "optimization": Optimization(schedule="cosine")},
    "paper + cosine, rate 3e-3": {**PAPER, "optimization": FAST},
    "base (+ distillation)": BASE,
    "rate 1e-3": {**BASE, "optimization": Optimization(schedule="cosine")},
    "rate 6e-3": {**BASE, "optimization": Optimization(learning_rate=6e-3, schedule="cosine")},
    "constant rate": {**BASE, "optimization": Optimization(learning_rate=3e-3)},
    "gradient clipping": {**BASE, "clip": 1.0},
    "encoder attention": {**BASE, "encoder_attention": True},
    "no reconstruction loss": with_weights(reconstruction=0),
    "no binary loss": with_weights(binary=0),
    "no task loss": with_weights(task=0),
    "downstream features": with_weights(downstream=1),
    "temperature 2": with_weights(temperature=2),
    "rate term 0.3": with_weights(rate=0.3),
    "rate term 1": with_weights(rate=1),
    "rate term 3": with_weights(rate=3),
    "noisy threshold": {**BASE, "binarizer": NoisyThreshold},
    "lookup-free": {
        **BASE,
        "binarizer": LookupFree,
        "objective": ObjectiveWeights(distillation=1, binary=0.1),
    },
    "spherical": {**BASE, "binarizer": Spherical, "objective": ObjectiveWeights(distillation=1, binary=0.1)},
    "nested": {**BASE, "nested_sizes": (4, 8)},
    "shipped recipe, not nested": {
        **with_weights(rate=0.5),
        "encoder_attention": True,
        "clip": 1.0,
    },
}


class Bench:
    """Features of one backbone at one offload point, and what codecs make of them."""

    def __init__(self, family: str, configuration: str, num_train: int, num_test: int) -> None:
        self.family, self.configuration = family, configuration
        module = self.make_module({})
        clips = DigitsData(batch_size=16, num_train=num_train, num_test=num_test)
        self.data = FeatureData(clips, module.model, module.compute_feature, clips.batch_size)
        self.test = find_features(module.model, module.compute_feature, clips.loader("test"), "test")

    def make_module(self, variant: dict[str, Any]) -> CodecModule:
        """A module that has not learned yet."""
        change = {name: value for name, value in variant.items() if name != "clip"}
        if "binarizer" in change:
            change["binarizer"] = change["binarizer"]()
        return CodecModule(self.family, self.configuration, **change)

    def run(self, variant: dict[str, Any], num_steps: int, seed: int) -> dict[str, float]:
        """Train a variant, and measure it on the test clips."""
        L.seed_everything(seed, verbose=False)
        module = self.make_module(variant)
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=num_steps,
            gradient_clip_val=variant.get("clip"),
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        start = time.perf_counter()
        trainer.fit(module, datamodule=self.data)
        if trainer.interrupted:
            raise KeyboardInterrupt
        seconds = time.perf_counter() - start
        return {"seconds": round(seconds, 1), **self._measure(module.eval())}

    @torch.no_grad()
    def _measure(self, module: CodecModule) -> dict[str, float]:
        model = module.model
        code = encode_all(model.codec, self.test)
        answers = torch.cat([model.answer(part) for part in split(code)])
        found = {
            name: round(compute_top1(*answer_for(name, answers, self.test.labels)).item(), 3)
            for name in (JOINT, MARGINAL)
        }
        with torch.enable_grad():
            prior = fit_prior(model, encode_all(model.codec, self.data.train))
        coded = measure_prior(self.configuration, prior, prior.freeze(), code)
        return {**found, "raw_bytes": coded.raw_bytes, "coded_bytes": round(coded.coded_bytes, 2)}


@torch.no_grad()
def encode_all(codec: Codec, dataset: FeatureDataset, batch_size: int = 200) -> Code:
    """The codes of all features, as integers."""
    parts = []
    for start in range(0, len(dataset), batch_size):
        chosen = slice(start, start + batch_size)
        parts.append(codec.encode(Feature(dataset.grid[chosen].float(), dataset.tokens[chosen].float())))
    return Code(*(torch.cat(column) for column in zip(*parts, strict=True)))


def split(code: Code, batch_size: int = 100) -> list[Code]:
    """A code in batches."""
    return [
        Code(*each) for each in zip(code.grid.split(batch_size), code.tokens.split(batch_size), strict=True)
    ]


def print_results(results: dict[str, list[dict[str, float]]], title: str) -> None:
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


def describe(values: list[float]) -> str:
    """Mean, and standard deviation where there are several values."""
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", default="digits-movinet")
    parser.add_argument("--configuration", default="16-Enc-B5")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--num-train", type=int, default=16_000)
    parser.add_argument("--num-test", type=int, default=2_400)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", module="lightning")
    folder = options.folder / f"{options.family}-{options.configuration}-{options.steps}-{options.num_train}"
    folder.mkdir(parents=True, exist_ok=True)
    bench: Bench | None = None
    results: dict[str, list[dict[str, float]]] = {}
    title = f"{options.family}, {options.configuration}, {options.steps} steps; {describe_machine()}"
    try:
        for seed in range(options.seeds):
            for name in options.only:
                path = folder / f"{name.replace(' ', '_')}-{seed}.json"
                if not path.exists():
                    bench = bench or Bench(
                        options.family, options.configuration, options.num_train, options.num_test
                    )
                    path.write_text(json.dumps(bench.run(VARIANTS[name], options.steps, seed)))
                results.setdefault(name, []).append(json.loads(path.read_text()))
    finally:
        print_results(results, title)


if __name__ == "__main__":
    main()
