"""Measures the LUT of a family on this machine."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from approxbit import zoo
from approxbit.datasets.check import match_source
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import find_source
from approxbit.edge import LocalTransport, Outcome
from approxbit.edge.arms import EdgeArm
from approxbit.edge.device import open_device
from approxbit.edge.measure import TIMES, answer_clips, median_times
from approxbit.exporting.prepare import prepare_family
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import LUT, LUTRow
from approxbit.server.loading import build_service
from approxbit.server.service import Service
from approxbit.tasks import Task, require_classification
from approxbit.wire import AnswerKind, Logits, Wanted
from approxbit.zoo import describe_machine

BACKENDS = ("onnxruntime", "torch")
NUM_WARM_UP = 3
ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)
"""So that every label set can be scored, and not only the one that the family was trained to answer."""


def profile_family(
    family: str,
    source: ClipSource | None = None,
    split: str = "validation",
    num_clips: int = 2400,
    num_timed: int = 60,
    num_threads: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
    backend: str = "onnxruntime",
    announce: Callable[[str], None] = lambda text: None,
    known: LUT | None = None,
) -> LUT:
    """Latency parts, bytes and scores of all arms of a family.

    Every clip goes the way that it goes in a session, arm by arm, at batch size 1, but over no link.
    Latencies are medians; under ONNX Runtime one graph does all that the edge does, and `encode_ms` is the
    entropy coding alone. Payloads are means, as they cross the link, without the packet's header.

    Args:
        family: A family of the zoo.
        source: Of its clips; by default that of its cards (`find_source`).
        split: Whose clips to take. A selector that goes by the LUT makes choices, so `validation`.
        num_clips: At most so many, for scores and payloads.
        num_timed: The first so many also count for the latencies.
        num_threads: Threads of either side.
        checkpoints: Of all families; by default as `zoo.find_checkpoints` says.
        backend: What computes the edge side, `onnxruntime` or `torch`; on the server it is torch.
        announce: Told in a sentence when something must be exported.
        known: An older LUT of the family, to measure the times alone, on `num_timed` clips.

    Raises:
        ImportError: A package of `approxbit[export]` is missing for the backend `onnxruntime`.
        ValueError: There is no such backend, family, configuration or split, the clips are not for its
            backbone, its cards do not say where clips are, a number is below 1, or `known` has other arms.
        DatasetError: The clips of its cards cannot be had here.
    """
    _check(backend, num_clips=num_clips, num_timed=num_timed, num_threads=num_threads)
    models = zoo.load_family(family, checkpoints)
    if not models:
        raise ValueError(f"the family {family} has no configuration yet: train a codec")
    first, source = next(iter(models.values())), source or find_source(family, checkpoints)
    source, task = match_source(source, split, require_classification(first.task), first.backbone)
    clips, labels = _read(source, split, num_timed if known else num_clips)
    if backend == "torch":
        device = open_torch_device(family, checkpoints, num_threads)
    else:
        device = open_device(prepare_family(family, checkpoints, announce=announce), num_threads)
    service = build_service(models.values(), num_threads)
    lut = LUT(
        _answer_all(device.arms, service, clips, partial(_row, num_timed, labels, task)),
        device=describe_machine(),
        backend=device.backend,
        date=datetime.date.today().isoformat(),
        num_clips=len(clips),
        threads=num_threads,
        family=family,
        figures=task.figures,
        split=split,
    )
    return lut if known is None else _with_times(known, lut)


def _check(backend: str, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"expected {name} to be at least 1, found {value}")
    if backend not in BACKENDS:
        raise ValueError(f"expected the backend {' or '.join(BACKENDS)}, found {backend!r}")


def _read(
    source: ClipSource, split: str, num_clips: int
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """The first clips of a split as frames, uint8 `[time, height, width, 3]`, and their targets."""
    clips, labels = [], []
    for clip, target in source.loader(split, 1, num_clips=num_clips):
        clips.append((clip[0] * 255).round().byte().permute(1, 2, 3, 0).contiguous().numpy())
        labels.append(int(target[0]))
    return clips, np.array(labels)


def _answer_all(
    arms: Sequence[EdgeArm],
    service: Service,
    clips: Sequence[NDArray[np.uint8]],
    row_of: Callable[[EdgeArm, Sequence[Outcome]], LUTRow],
) -> tuple[LUTRow, ...]:
    """The row of every arm, after the first clips were answered once to warm up."""
    shown = track([*clips[:NUM_WARM_UP], *clips], "answers of all arms")
    outcomes = list(answer_clips(arms, LocalTransport(service), shown, ALL_LOGITS))[-len(clips) :]
    return tuple(map(row_of, arms, zip(*outcomes, strict=True)))


def _with_times(known: LUT, timed: LUT) -> LUT:
    """The bytes and scores of one LUT with the times of the other."""
    if (known.family, set(known.arms)) != (timed.family, set(timed.arms)):
        raise ValueError(
            f"expected a LUT of {timed.family} with the arms {', '.join(timed.arms)}, "
            f"found one of {known.family} with {', '.join(known.arms)}: measure all of it"
        )
    rows = tuple(
        replace(row, **{name: getattr(timed.row(row.arm), name) for name in TIMES}) for row in known.rows
    )
    device = f"{timed.device}; bytes and scores of {known.date}"
    kept = {name: getattr(known, name) for name in ("num_clips", "figures", "split")}
    return replace(timed, rows=rows, device=device, **kept)


def _row(
    num_timed: int,
    labels: NDArray[np.int64],
    task: Task,
    arm: EdgeArm,
    outcomes: Sequence[Outcome],
) -> LUTRow:
    """The row of one arm, of its outcomes on all clips."""
    logits = np.stack([each.answer.values for each in outcomes if isinstance(each.answer, Logits)])
    scores = require_classification(task).score(logits, labels)
    return LUTRow(
        arm.name,
        **median_times(outcomes[:num_timed]),
        payload_bytes=round(mean(each.payload_bytes for each in outcomes), 2),
        accuracy=scores[task.figures[0]],
        scores=scores,
        raw_bytes=arm.code_format.payload_bytes if arm.code_format else None,
    )
