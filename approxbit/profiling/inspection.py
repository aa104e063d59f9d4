"""Looks at the codes that a model makes of clips: what `approxbit inspect --codes` shows, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from rich.progress import track
from torch import Tensor

from approxbit import zoo
from approxbit.backbones.feature import Feature
from approxbit.codec import Code
from approxbit.codec.analysis import (
    CodeStatistics,
    ContextSamples,
    Importance,
    Margins,
    binary_entropy,
    measure_importance,
)
from approxbit.datasets.check import match_source
from approxbit.datasets.listing import UNLABELED
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import find_source
from approxbit.offload import OffloadedModel
from approxbit.profiling.likeness import describe_likeness
from approxbit.tasks import Classification, LabelSet, require_classification

MARGIN_DISTANCES = (0.001, 0.01, 0.1)
MARGIN_EDGES = tuple(float(edge) for edge in np.geomspace(1e-3, 1e2, 41).round(6))
NUM_SAMPLES = 32_768
BATCH_SIZE = 32
# Whole codes are kept for the importance and the nearest codes: so many bits of them, a byte each.
MAX_KEPT_BITS = 2**27


def inspect_codec(
    name: str,
    source: ClipSource | None = None,
    split: str = "test",
    num_clips: int = 480,
    num_importance: int = 120,
    checkpoints: str | Path | None = None,
) -> dict[str, Any]:
    """The facts that `approxbit.report.Inspection` holds, each of them a number, a text or a list of such.

    Args:
        name: A codec of the zoo.
        source: Of the clips to look at; by default that of the codec's card (`find_source`).
        split: Whose clips to take.
        num_clips: How many of them at most, at least 1.
        num_importance: Clips, the first of them, on which each bit is silenced in turn; at least 1.
        checkpoints: Folder of all families; by default as `zoo.find_checkpoints` says.

    Raises:
        ValueError: There is no such codec or split, the clips are not for its backbone, the cards do not say
            where clips are, or there are fewer than 1 clips.
        DatasetError: The clips of the card cannot be had here.
        VideoError: A video cannot be read.
    """
    for argument, value in (("num_clips", num_clips), ("num_importance", num_importance)):
        if value < 1:
            raise ValueError(f"expected {argument} to be at least 1, found {value}")
    model = zoo.load(name, checkpoints)
    found = find_source(name, checkpoints) if source is None else source
    source, task = match_source(found, split, model.task, model.backbone)
    loader = source.loader(split, BATCH_SIZE, num_clips=num_clips)
    names = source.names(split, len(loader.dataset))  # type: ignore[arg-type]
    facts = describe_codes(model, require_classification(task), loader, names, num_importance)
    return {"name": name, "source": f"{len(names)} {split} clips of {source.title}", **facts}


@torch.no_grad()
def describe_codes(
    model: OffloadedModel,
    task: Classification,
    batches: Iterable[Any],
    names: Sequence[str],
    num_importance: int,
) -> dict[str, Any]:
    """Everything about the codes of clips, in two passes: all codes stream by, then bits are silenced.

    Args:
        model: Whose codes.
        task: Of the model and of the targets of the clips.
        batches: `(clip of RGB in [0, 1], targets)`, batch by batch.
        names: Of all clips.
        num_importance: Clips of the second pass.
    """
    codec, asked = model.codec, task.label_set()
    num_positions = codec.configuration.num_positions(codec.feature_shape.size)
    seen = _Seen(
        CodeStatistics(),
        ContextSamples(per_clip=min(num_positions, max(1, NUM_SAMPLES // len(names)))),
        Margins(MARGIN_DISTANCES, MARGIN_EDGES),
    )
    targets = []
    for clip, target in track(batches, "codes"):
        feature = model.edge_half(model.backbone.normalise(clip))
        code = codec.encode(feature)
        seen.update(code, codec.compute_logits(feature), _answer(model, asked, code))
        targets.append(target)
    planes, answers = torch.cat(seen.planes), torch.cat(seen.answers)
    labels = torch.cat(targets)
    has_labels = UNLABELED not in labels
    asked_labels = torch.as_tensor(asked.labels(labels.numpy())) if has_labels else None
    return {
        "codebook_size": codec.configuration.codebook_size,
        "grid_size": list(codec.grid_size),
        "num_tokens": codec.num_tokens,
        "num_clips": len(labels),
        "raw_bytes": codec.configuration.payload_bytes(codec.feature_shape, codec.num_tokens),
        **_describe_bits(seen),
        **_describe_importance(model, asked, planes[:num_importance], asked_labels, seen.statistics),
        "nearest": describe_likeness(
            planes.flatten(1), names, answers.argmax(dim=1), task, labels if has_labels else None
        ),
    }


@dataclass(frozen=True)
class _Seen:
    """What the first pass leaves behind."""

    statistics: CodeStatistics
    samples: ContextSamples
    margins: Margins
    planes: list[Tensor] = field(default_factory=list)
    answers: list[Tensor] = field(default_factory=list)

    def update(self, code: Code, logits: Feature, answer: Float[Tensor, "batch class"]) -> None:
        """Take in one batch."""
        self.statistics.update(code)
        self.samples.update(code)
        self.margins.update(logits)
        self.answers.append(answer)
        planes = code.to_planes()
        room = MAX_KEPT_BITS // planes[0].numel() - sum(map(len, self.planes))
        self.planes.append(planes[: max(0, room)])


def _answer(model: OffloadedModel, asked: LabelSet, code: Code) -> Float[Tensor, "batch class"]:
    """Logits of the label set that the codec was trained for."""
    return torch.as_tensor(asked.logits(model.answer(code).numpy()))


def _describe_bits(seen: _Seen) -> dict[str, Any]:
    counts = seen.statistics
    token_ones = counts.token_ones
    return {
        "ones": _plain(counts.ones),
        "entropy": _plain(counts.entropy),
        "given_earlier": _plain(counts.given_earlier),
        "given_neighbours": _plain(counts.given_neighbours),
        "given_others": _plain(seen.samples.entropy_given_others()),
        "when_coded": _plain(seen.samples.entropy_when_coded()),
        "mutual_information": _plain(counts.mutual_information),
        "position_entropy": _plain(counts.position_entropy),
        "position_change": _plain(counts.position_change),
        "margin_distances": list(MARGIN_DISTANCES),
        "margin_shares": _plain(seen.margins.shares_within, decimals=6),
        "margin_edges": list(MARGIN_EDGES),
        "margin_histogram": seen.margins.histogram.tolist(),
        "token_ones": None if token_ones is None else _plain(token_ones),
        "token_entropy": None if token_ones is None else _plain(binary_entropy(token_ones)),
    }


def _describe_importance(
    model: OffloadedModel,
    asked: LabelSet,
    planes: UInt8[Tensor, "clip bit position"],
    labels: Int64[Tensor, " clip"] | None,
    statistics: CodeStatistics,
) -> dict[str, Any]:
    codec = model.codec
    batches = [
        (
            Code.from_planes(planes[start : start + BATCH_SIZE], codec.grid_size),
            None if labels is None else labels[: len(planes)][start : start + BATCH_SIZE],
        )
        for start in range(0, len(planes), BATCH_SIZE)
    ]

    def measure(ones: Tensor, tokens: bool) -> dict[str, Any]:
        name = "class-token bits" if tokens else "bits"
        shown = track(batches, f"answers without single {name}")
        found = measure_importance(lambda code: _answer(model, asked, code), shown, ones, tokens)
        return _plain_importance(found, len(planes))

    token_ones = statistics.token_ones
    return {
        "importance": measure(statistics.ones, tokens=False),
        "token_importance": None if token_ones is None else measure(token_ones, tokens=True),
    }


def _plain_importance(found: Importance, num_clips: int) -> dict[str, Any]:
    drop = found.accuracy_drop
    return {
        "num_clips": num_clips,
        "divergence": _plain(found.divergence),
        "changed": _plain(found.changed),
        "accuracy_drop": None if drop is None else _plain(drop),
        "accuracy": None if found.accuracy is None else round(found.accuracy, 4),
    }


def _plain(values: Tensor, decimals: int = 4) -> Any:
    """Nested lists of rounded numbers, as JSON takes them."""
    return np.asarray(values.double()).round(decimals).tolist()
