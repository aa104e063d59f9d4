"""One arm over all clips: its answers, its figures entry by entry, and the bytes of its codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.codec import Code
from approxbit.offload import OffloadedModel
from approxbit.offload.inputs import prepare
from approxbit.profiling.evaluation.clips import Batch, Question
from approxbit.profiling.evaluation.reading import Reader, Reading
from approxbit.profiling.evaluation.record import Asked
from approxbit.wire import PriorTables, packed_bytes
from approxbit.wire.coding import encode_planes

SAME, DIVERGENCE, CHANGE = "same_answer", "divergence", "change"


@dataclass
class Answered:
    """What one arm said.

    Attributes:
        readings: Its answers, entry by entry.
        values: By figure, a number for each entry.
        questions: The entries.
        groups: The group of each entry.
        num_clips: How many clips there were.
    """

    readings: list[Reading] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    num_clips: int = 0

    def add(self, batch: Batch, readings: Sequence[Reading], reader: Reader) -> None:
        """Take in a batch with its answers."""
        questions = [each for about in batch.asked for each in about]
        self.readings += readings
        self.questions += questions
        self.groups += [group for group, about in zip(batch.groups, batch.asked, strict=True) for _ in about]
        self.num_clips += len(batch.clip)
        for question, reading in zip(questions, readings, strict=True):
            self._note(reader.score(question, reading))

    def compare(self, divergences: Sequence[float], references: Answered, primary: str) -> None:
        """Take in how far the answers of the last batch are from those of the unsplit model."""
        start = len(self.readings) - len(divergences)
        for entry, lost in enumerate(divergences, start):
            is_same = self.readings[entry].answer == references.readings[entry].answer
            change = self.values[primary][entry] - references.values[primary][entry]
            self._note({SAME: 100.0 * is_same, DIVERGENCE: lost, f"{CHANGE}_{primary}": change})

    def _note(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def asked(self) -> Asked:
        """The entries as a file has them."""
        has_words = any(each.text for each in self.questions)
        return Asked(
            groups=tuple(self.groups),
            targets=tuple(each.answer for each in self.questions),
            questions=tuple(each.text for each in self.questions) if has_words else (),
            types=tuple(each.kind for each in self.questions) if has_words else (),
        )


class CodeBytes:
    """Bytes and dead bits of the codes of one configuration.

    Args:
        prior: The codec's tables; None if it has none.
    """

    def __init__(self, prior: PriorTables | None) -> None:
        self.prior = prior
        self._coded: list[int] = []
        self._lowest: np.ndarray | None = None
        self._highest: np.ndarray | None = None
        self._num_positions = 0

    def add(self, code: Code) -> None:
        """Take in the codes of a batch."""
        planes = code.to_planes().cpu().numpy()
        self._num_positions = planes.shape[2]
        low, high = planes.min(axis=(0, 2)), planes.max(axis=(0, 2))
        self._lowest = low if self._lowest is None else np.minimum(self._lowest, low)
        self._highest = high if self._highest is None else np.maximum(self._highest, high)
        if self.prior is not None:
            self._coded += [len(encode_planes(each, self.prior)[1]) for each in planes]

    def facts(self) -> dict[str, float | int | None]:
        """As the fields of an `EvaluatedArm` of the same names."""
        assert self._lowest is not None
        assert self._highest is not None
        num_bits, live = len(self._lowest), int((self._highest > self._lowest).sum())
        return {
            "num_bits": num_bits,
            "live_bits": live,
            "packed_bytes": packed_bytes(num_bits, self._num_positions),
            "live_packed_bytes": (live * self._num_positions + 7) // 8,
            "coded_bytes": round(float(np.mean(self._coded)), 3) if self._coded else None,
        }


@torch.inference_mode()
def answer_unsplit(backbone: Backbone, reader: Reader, batches: Iterable[Batch]) -> Answered:
    """All answers of the model as a whole.

    Raises:
        ValueError: A clip or a question is not for the model.
        VideoError: A video cannot be read.
    """
    found = Answered()
    for batch in batches:
        found.add(batch, reader.read(backbone(prepare(batch.clip, backbone)), batch.asked), reader)
    return found


@torch.inference_mode()
def answer_codes(
    model: OffloadedModel, reader: Reader, batches: Iterable[Batch], references: Answered
) -> tuple[Answered, CodeBytes]:
    """All answers of a model that sees codes, beside those of the unsplit model; raises as `answer_unsplit`.

    The code is made before anything is asked.
    """
    found, sizes, start = Answered(), CodeBytes(model.prior), 0
    for batch in batches:
        code = model.encode(batch.clip)
        sizes.add(code)
        output = model.answer(code)
        readings = reader.read(output, batch.asked)
        found.add(batch, readings, reader)
        aligned = references.readings[start : start + len(readings)]
        whole = partial(_whole, model.backbone, batch.clip)
        divergences = reader.diverge(readings, aligned, output, whole, batch.asked)
        found.compare(divergences, references, reader.figures[0])
        start += len(readings)
    return found, sizes


def _whole(backbone: Backbone, clip: Tensor) -> Tensor:
    output: Tensor = backbone(prepare(clip, backbone))
    return output
