"""Measures the LUT of a family on this machine."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.datasets.digits import DigitsInMotion
from approxbit.engines.prepared import load_prepared
from approxbit.engines.runner import EdgeRunner, ServerRunner
from approxbit.exporting.prepare import prepare_family
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import torch_whole
from approxbit.profiling.accuracy import Outcome, compute_answers
from approxbit.profiling.timing import PartTimes, Side, WholeTimes, measure_times
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, LUTRow
from approxbit.tasks.label_sets import JOINT, MARGINAL, action_logits, action_of
from approxbit.zoo import describe_machine

BACKENDS = ("onnxruntime", "torch")


def profile_family(
    family: str,
    num_clips: int = 2400,
    num_timed: int = 60,
    num_threads: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
    cache: str | Path | None = None,
    backend: str = "onnxruntime",
    announce: Callable[[str], None] = lambda text: None,
) -> LUT:
    """Latency parts, bytes and test accuracy of all configurations of a family, edge-only and server-only.

    Latencies are medians at batch size 1; under ONNX Runtime one graph does all that the edge does, so that
    `encode_ms` is the entropy coding alone. Accuracies are those of torch on both sides. The server-only arm
    sends the clip as uint8 RGB. Payloads are means over the clips, as they cross the link: entropy coded
    where the codec has a prior, and without the packet's header.

    Args:
        family: A family of the zoo that was trained on Digits-in-Motion.
        num_clips: Test clips for the accuracies.
        num_timed: Test clips for the latencies.
        num_threads: Threads of either side.
        checkpoints: Folder of all families; by default as `zoo.find_checkpoints` says.
        cache: Folder for rendered clips and exported artefacts; by default as `find_cache` says.
        backend: What computes the edge side, `onnxruntime` or `torch`. The server side is torch's.
        announce: Told in a sentence when something must be exported.

    Raises:
        ImportError: A package of `approxbit[export]` is missing for the backend `onnxruntime`.
        ValueError: There is no such backend or family, the family answers another question than those of
            Digits-in-Motion, or there are fewer than 1 clips or threads.
    """
    _check(backend, num_clips=num_clips, num_timed=num_timed, num_threads=num_threads)
    models = zoo.load_family(family, checkpoints)
    label_set = zoo.card(f"{family}/{next(iter(models))}", checkpoints).label_set
    if label_set not in (JOINT, MARGINAL):
        raise ValueError(f"{family} answers {label_set!r}, expected {JOINT!r} or {MARGINAL!r}")
    backbone = next(iter(models.values())).backbone
    _, num_frames, size, _ = backbone.clip_shape
    dataset = DigitsInMotion("test", num_clips, num_frames, size, cache)
    prepare = _Preparation(backbone)
    outcome = compute_answers(backbone, models, DataLoader(dataset, 50, collate_fn=prepare))
    clips = [prepare(dataset.__getitems__([i]))[0][0].numpy() for i in range(min(num_timed, num_clips))]
    if backend == "torch":
        edge = _open_torch_edge(backbone, models, num_threads)
    else:
        edge = _open_onnx_edge(prepare_family(family, checkpoints, cache, announce=announce), num_threads)
    times = measure_times(edge, _open_server(backbone, models, num_threads), clips)
    return LUT(
        _make_rows(math.prod(backbone.clip_shape), times, outcome, label_set),
        device=describe_machine(),
        backend=edge.whole.backend,
        date=datetime.date.today().isoformat(),
        num_clips=num_clips,
        threads=num_threads,
        family=family,
        accuracy_names=(label_set, *({JOINT, MARGINAL} - {label_set})),
    )


def _check(backend: str, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"expected {name} to be at least 1, found {value}")
    if backend not in BACKENDS:
        raise ValueError(f"expected the backend {' or '.join(BACKENDS)}, found {backend!r}")


def _make_rows(
    raw_bytes: int,
    times: tuple[WholeTimes, Mapping[str, PartTimes]],
    outcome: Outcome,
    label_set: str,
) -> tuple[LUTRow, ...]:
    whole_ms, parts = times
    accuracies = {
        name: _top1_by_label_set(logits, outcome.labels) for name, logits in outcome.answers.items()
    }
    whole = accuracies[EDGE_ONLY]
    rows = [
        LUTRow(EDGE_ONLY, whole_ms.edge_ms, 0.0, 0, 0.0, 0.0, whole[label_set], whole),
        LUTRow(SERVER_ONLY, 0.0, 0.0, raw_bytes, 0.0, whole_ms.server_ms, whole[label_set], whole),
    ]
    for name, part in parts.items():
        latency = (part.edge_ms, part.encode_ms, outcome.payload_bytes[name], part.decode_ms, part.server_ms)
        top1 = accuracies[name]
        rows.append(LUTRow(name, *latency, top1[label_set], top1, raw_bytes=part.raw_bytes))
    return tuple(rows)


def _open_onnx_edge(prepared: Path, num_threads: int) -> Side[EdgeRunner]:
    family = load_prepared(prepared)
    return Side(family.open_whole(num_threads), family.open_runners(num_threads))


def _open_torch_edge(
    backbone: Backbone, models: Mapping[str, OffloadedModel], num_threads: int
) -> Side[EdgeRunner]:
    runners = {name: model.edge_runner(num_threads) for name, model in models.items()}
    return Side(torch_whole(backbone, num_threads), runners)


def _open_server(
    backbone: Backbone, models: Mapping[str, OffloadedModel], num_threads: int
) -> Side[ServerRunner]:
    runners = {name: model.server_runner(num_threads) for name, model in models.items()}
    return Side(torch_whole(backbone, num_threads), runners)


class _Preparation:
    """A batch of grey frames -> clips as the backbone wants them, and labels."""

    def __init__(self, backbone: Backbone) -> None:
        self.mean, self.std = torch.tensor([backbone.mean, backbone.std]).view(2, 1, 3, 1, 1, 1)

    def __call__(self, batch: Any) -> tuple[Tensor, Tensor]:
        frames, labels = batch
        return ((frames.float() / 255.0).unsqueeze(1) - self.mean) / self.std, labels


def _top1_by_label_set(logits: Tensor, labels: Tensor) -> dict[str, float]:
    joint, targets = logits.numpy(), labels.numpy()
    return {
        JOINT: _top1(joint, targets),
        MARGINAL: _top1(action_logits(joint), action_of(targets)),
    }


def _top1(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Percent of clips whose largest logit is that of their label."""
    return round(100.0 * float((logits.argmax(axis=-1) == labels).mean()), 3)
