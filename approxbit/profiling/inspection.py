"""Looks at the codes that a model makes of clips: what `approxbit inspect --codes` shows, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray
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
from approxbit.datasets.digits import JOINT_CLASSES, DigitsInMotion
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.profiling.likeness import describe_likeness
from approxbit.tasks.label_sets import JOINT, MARGINAL, action_logits, action_of
from approxbit.video.reader import read_clip

MARGIN_DISTANCES = (0.001, 0.01, 0.1)
MARGIN_EDGES = tuple(float(edge) for edge in np.geomspace(1e-3, 1e2, 41).round(6))
NUM_SAMPLES = 32_768
BATCH_SIZE = 32
# Whole codes are kept for the importance and the nearest codes: so many bits of them, a byte each.
MAX_KEPT_BITS = 2**27


def inspect_codec(
    name: str,
    videos: Sequence[Path] = (),
    num_clips: int = 480,
    num_importance: int = 120,
    checkpoints: str | Path | None = None,
    cache: str | Path | None = None,
) -> dict[str, Any]:
    """The facts that `approxbit.report.Inspection` holds, each of them a number, a text or a list of such.

    Args:
        name: A codec of the zoo.
        videos: Files to look at; by default test clips of Digits-in-Motion.
        num_clips: How many of the latter, at least 1.
        num_importance: Clips, the first of them, on which each bit is silenced in turn; at least 1.
        checkpoints: Folder of all families; by default as `zoo.find_checkpoints` says.
        cache: Folder for rendered clips; see `DigitsInMotion`.

    Raises:
        ValueError: There is no such codec, it answers no question of Digits-in-Motion and no videos are
            given, or there are fewer than 1 clips.
        VideoError: A video cannot be read.
    """
    for argument, value in (("num_clips", num_clips), ("num_importance", num_importance)):
        if value < 1:
            raise ValueError(f"expected {argument} to be at least 1, found {value}")
    model, question = zoo.load(name, checkpoints), zoo.card(name, checkpoints).label_set
    if videos:
        clips: _Clips = _VideoClips(videos)
    elif question in (MARGINAL, JOINT):
        _, num_frames, size, _ = model.backbone.clip_shape
        clips = _DigitClips(DigitsInMotion("test", num_clips, num_frames, size, cache))
    else:
        raise ValueError(
            f"{name} answers {question!r} and not a question of Digits-in-Motion: "
            "name your own files with --video"
        )
    return {"name": name, "source": clips.source, **describe_codes(model, clips, question, num_importance)}


@torch.no_grad()
def describe_codes(
    model: OffloadedModel, clips: _Clips, question: str, num_importance: int
) -> dict[str, Any]:
    """Everything about the codes of clips, in two passes: all codes stream by, then bits are silenced."""
    codec = model.codec
    num_bits = codec.configuration.codebook_size
    num_positions = codec.configuration.num_positions(codec.feature_shape.size)
    seen = _Seen(
        CodeStatistics(),
        ContextSamples(per_clip=min(num_positions, max(1, NUM_SAMPLES // len(clips)))),
        Margins(MARGIN_DISTANCES, MARGIN_EDGES),
    )
    for clip in _batches(model, clips):
        feature = model.edge_half(clip)
        code = codec.encode(feature)
        seen.update(code, codec.compute_logits(feature), _answer(model, question, code))
    planes, answers = torch.cat(seen.planes), torch.cat(seen.answers)
    labels = _labels_for(question, clips.labels)
    return {
        "codebook_size": num_bits,
        "grid_size": list(codec.grid_size),
        "num_tokens": codec.num_tokens,
        "num_clips": len(clips),
        "raw_bytes": codec.configuration.payload_bytes(codec.feature_shape, codec.num_tokens),
        **_describe_bits(seen),
        **_describe_importance(model, question, planes[:num_importance], labels, seen.statistics),
        "nearest": describe_likeness(
            planes.flatten(1), clips.names, answers.argmax(dim=1), model.label_names, clips.labels
        ),
    }


@dataclass(frozen=True)
class _DigitClips:
    """Test clips of Digits-in-Motion."""

    dataset: DigitsInMotion

    @property
    def source(self) -> str:
        return f"{len(self)} test clips of Digits-in-Motion"

    @property
    def names(self) -> list[str]:
        return [f"clip {index}" for index in range(len(self))]

    @property
    def labels(self) -> Int64[Tensor, " clip"] | None:
        return torch.from_numpy(self.dataset.labels)

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, index: int, num_frames: int) -> NDArray[np.uint8]:
        return np.repeat(self.dataset.frames[index][..., None], 3, axis=-1)


@dataclass(frozen=True)
class _VideoClips:
    """The user's own files, of which nothing is known."""

    paths: Sequence[Path]
    labels: Int64[Tensor, " clip"] | None = None

    @property
    def source(self) -> str:
        return f"{len(self)} video{'s' if len(self) > 1 else ''}"

    @property
    def names(self) -> list[str]:
        return [str(path) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, num_frames: int) -> NDArray[np.uint8]:
        return read_clip(self.paths[index], num_frames)


_Clips = _DigitClips | _VideoClips


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


def _batches(model: OffloadedModel, clips: _Clips) -> Iterator[Float[Tensor, "batch 3 time height width"]]:
    form = clip_format(model.backbone)
    for start in track(range(0, len(clips), BATCH_SIZE), "codes"):
        indices = range(start, min(start + BATCH_SIZE, len(clips)))
        frames = [form.prepare(clips.read(index, form.num_frames)) for index in indices]
        yield torch.from_numpy(np.stack(frames))


def _answer(model: OffloadedModel, question: str, code: Code) -> Float[Tensor, "batch class"]:
    """Logits of the question that the codec was trained for."""
    logits = model.answer(code)
    if question == MARGINAL and model.label_names == JOINT_CLASSES:
        return torch.from_numpy(action_logits(logits.numpy()))
    return logits


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
        "margin_shares": _plain(seen.margins.shares_within, digits=6),
        "margin_edges": list(MARGIN_EDGES),
        "margin_histogram": seen.margins.histogram.tolist(),
        "token_ones": None if token_ones is None else _plain(token_ones),
        "token_entropy": None if token_ones is None else _plain(binary_entropy(token_ones)),
    }


def _describe_importance(
    model: OffloadedModel,
    question: str,
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
        found = measure_importance(lambda code: _answer(model, question, code), shown, ones, tokens)
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


def _labels_for(question: str, labels: Int64[Tensor, " clip"] | None) -> Int64[Tensor, " clip"] | None:
    if labels is None:
        return None
    return action_of(labels) if question == MARGINAL else labels


def _plain(values: Tensor, digits: int = 4) -> Any:
    """Nested lists of rounded numbers, as JSON takes them."""
    return np.asarray(values.double()).round(digits).tolist()
