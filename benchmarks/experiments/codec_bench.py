"""Codecs of one offload point, trained on features computed once, and measured on the test clips."""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import Code, Codec
from approxbit.configuration import Configuration
from approxbit.datasets.digits import JOINT, MARGINAL, TASK, DigitsClips
from approxbit.training import ClipData, CodecModule
from approxbit.training.features import FeatureData, FeatureDataset, find_features
from approxbit.training.objective import answer_for, compute_top1
from approxbit.training.prior_family import fit_prior, make_metrics, measure_prior

Figures = dict[str, float]
"""Of one codec on the test clips: top-1 (percent) by label set, `raw_bytes`, `coded_bytes`, `seconds`."""


class CodecBench:
    """Features of one backbone at one offload point, and what codecs make of them.

    What is done lies in `folder` and is not done again.

    Args:
        family: The backbone, a release of the zoo.
        configuration: At the offload point; others there can be run too.
        num_train: Clips for training.
        num_test: Clips for the test.
        folder: For the results.
    """

    def __init__(self, family: str, configuration: str, num_train: int, num_test: int, folder: Path) -> None:
        self.family, self.configuration = family, Configuration.parse(configuration)
        self.clips = ClipData(DigitsClips(num_train, num_test=num_test), batch_size=16)
        self.folder = folder
        self._data: FeatureData | None = None
        self._test: FeatureDataset | None = None

    def run(
        self, name: str, variant: Mapping[str, Any], num_steps: int, seed: int, size: int | None = None
    ) -> dict[str, Figures]:
        """Train a codec, and measure it and all that is nested in it: figures by codebook size.

        Args:
            name: Of the result's file.
            variant: Arguments of `CodecModule`; `clip` for the gradient's norm, and the class of a binariser.
            num_steps: Of the training.
            seed: Of the training.
            size: Codebook size; by default that of the configuration.
        """
        path = self.folder / f"{name.replace(' ', '_')}-{seed}.json"
        if not path.exists():
            found = self._train_and_measure(variant, num_steps, seed, size)
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found))
        done: dict[str, Figures] = json.loads(path.read_text())
        return done

    def _train_and_measure(
        self, variant: Mapping[str, Any], num_steps: int, seed: int, size: int | None
    ) -> dict[str, Figures]:
        L.seed_everything(seed, verbose=False)
        module = self._make_module(variant, size)
        self._find_features(module)
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
        trainer.fit(module, datamodule=self._data)
        if trainer.interrupted:
            raise KeyboardInterrupt
        seconds = round(time.perf_counter() - start, 1)
        found = self._measure(module.eval())
        return {key: {**figures, "seconds": seconds} for key, figures in found.items()}

    def _make_module(self, variant: Mapping[str, Any], size: int | None) -> CodecModule:
        change = {name: value for name, value in variant.items() if name != "clip"}
        if "binarizer" in change:
            change["binarizer"] = change["binarizer"]()
        configuration = replace(self.configuration, codebook_size=size or self.configuration.codebook_size)
        return CodecModule(self.family, str(configuration), **change)

    def _find_features(self, module: CodecModule) -> None:
        if self._data is None:
            edge, clips = module.compute_feature, self.clips
            self._data = FeatureData(clips, module.model, edge, clips.batch_size)
            self._test = find_features(module.model, edge, clips.loader("test"), "test")

    @torch.no_grad()
    def _measure(self, module: CodecModule) -> dict[str, Figures]:
        assert self._data is not None
        assert self._test is not None
        model, codec = module.model, module.model.codec
        code = encode_all(codec, self._test)
        with torch.enable_grad():
            prior = fit_prior(model, encode_all(codec, self._data.train))
        tables = prior.freeze()
        whole = measure_prior(str(codec.configuration), tables, code, prior)
        coded = make_metrics(codec, tables, whole, code)
        found = {}
        for size in (*codec.nested_sizes, codec.configuration.codebook_size):
            smaller = model.first_bits(size)
            first = Code(code.grid[:, :size], code.tokens[..., :size])
            answers = torch.cat([smaller.answer(part) for part in split(first)])
            is_nested = size != codec.configuration.codebook_size
            prefix = f"{smaller.codec.configuration}_" if is_nested else ""
            found[str(size)] = {
                **{each: top1_percent(each, answers, self._test.labels) for each in (JOINT, MARGINAL)},
                "raw_bytes": whole.raw_bytes * size / codec.configuration.codebook_size,
                "coded_bytes": coded[f"{prefix}coded_bytes"],
            }
        return found


def open_bench(parser: argparse.ArgumentParser, folder: str) -> tuple[argparse.Namespace, CodecBench]:
    """The command line, and the bench that it asks for.

    Args:
        parser: With `--configuration` and `--steps`; what all benches take is added.
        folder: Where the results of all such benches lie by default.
    """
    add = parser.add_argument
    add("--family", default="digits-movinet")
    add("--seeds", type=int, default=3)
    add("--num-train", type=int, default=16_000)
    add("--num-test", type=int, default=2_400)
    add("--threads", type=int, default=1)
    add("--folder", type=Path, default=Path(folder))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", module="lightning")
    own = options.folder / f"{options.family}-{options.configuration}-{options.steps}-{options.num_train}"
    bench = CodecBench(options.family, options.configuration, options.num_train, options.num_test, own)
    return options, bench


def top1_percent(label_set: str, answers: torch.Tensor, labels: torch.Tensor) -> float:
    """Top-1 in percent, rounded."""
    return round(compute_top1(*answer_for(TASK.label_set(label_set), answers, labels)).item(), 3)


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


def describe(values: Iterable[float]) -> str:
    """Mean, and standard deviation where there are several values."""
    found = list(values)
    spread = f" +- {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.2f}{spread}"
