"""Answers and bytes of every arm on the same clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from jaxtyping import Float, Int64
from rich.progress import track
from torch import Tensor

from approxbit.backbones.base import Backbone
from approxbit.offload import OffloadedModel
from approxbit.select import EDGE_ONLY
from approxbit.wire.coding import encode_planes

Answers = dict[str, Float[Tensor, "clip class"]]


@dataclass(frozen=True)
class Outcome:
    """What came of some clips.

    Attributes:
        answers: Logits of the unsplit backbone (under `edge-only`) and of every configuration.
        labels: The clips' own.
        payload_bytes: By configuration, the mean length of its payload as it would cross the link.
    """

    answers: Answers
    labels: Int64[Tensor, " clip"]
    payload_bytes: dict[str, float]


@torch.inference_mode()
def compute_answers(
    backbone: Backbone, models: Mapping[str, OffloadedModel], batches: Iterable[Any]
) -> Outcome:
    """Answers of the unsplit backbone and of every configuration, and the bytes of their codes.

    Features are computed once for each offload point, however many configurations share it.

    Args:
        backbone: The unsplit model, which all of `models` share.
        models: Configuration -> model.
        batches: `(clip [batch, 3, time, height, width] normalised for the backbone, labels)`.
    """
    by_point: dict[str, dict[str, OffloadedModel]] = {}
    for name, model in models.items():
        by_point.setdefault(model.codec.configuration.offload_point, {})[name] = model
    parts: dict[str, list[Tensor]] = {name: [] for name in (EDGE_ONLY, *models)}
    sizes: dict[str, list[int]] = {name: [] for name in models}
    labels = []
    for clip, target in track(batches, "answers of all configurations"):
        labels.append(target)
        parts[EDGE_ONLY].append(backbone(clip))
        for group in by_point.values():
            feature = next(iter(group.values())).edge_half(clip)
            for name, model in group.items():
                code = model.codec.encode(feature)
                parts[name].append(model.answer(code, _size(feature.grid)))
                sizes[name] += [len(encode_planes(each, model.prior)[1]) for each in code.to_planes().numpy()]
    return Outcome(
        {name: torch.cat(logits) for name, logits in parts.items()},
        torch.cat(labels),
        {name: round(mean(each), 2) for name, each in sizes.items()},
    )


def _size(grid: Float[Tensor, "batch channel time height width"]) -> tuple[int, int, int]:
    _, _, time, height, width = grid.shape
    return time, height, width
