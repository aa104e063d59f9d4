"""Measures the LUT of a family on this machine."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from approxbit import zoo
from approxbit.datasets.digits import DigitsInMotion
from approxbit.edge import LocalTransport, Outcome
from approxbit.edge.arms import EdgeArm
from approxbit.edge.device import open_device
from approxbit.edge.measure import answer_clips, median_times
from approxbit.exporting.prepare import prepare_family
from approxbit.profiling.torch_device import open_torch_device
from approxbit.select import LUT, LUTRow
from approxbit.server.loading import load_service
from approxbit.tasks.label_sets import JOINT, MARGINAL, action_logits, action_of
from approxbit.wire import AnswerKind, Logits, Wanted
from approxbit.zoo import describe_machine

BACKENDS = ("onnxruntime", "torch")
NUM_WARM_UP = 3
ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)
"""So that every label set can be scored, and not only the one that the family was trained to answer."""


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
    """Latency parts, bytes and test accuracy of all arms of a family.

    Every clip goes the way that it goes in a session, arm by arm: through the device's half, the wire format
    and the service, at batch size 1, but over no link. Latencies are medians; under ONNX Runtime one graph
    does all that the edge does, so that `encode_ms` is the entropy coding alone. Payloads are means, as they
    cross the link: entropy coded where the codec has a prior, and without the packet's header.

    Args:
        family: A family of the zoo that was trained on Digits-in-Motion.
        num_clips: Test clips for accuracies and bytes.
        num_timed: The first so many also count for the latencies.
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
    label_set = _label_set(family, checkpoints)
    if backend == "torch":
        device = open_torch_device(family, checkpoints, num_threads)
    else:
        prepared = prepare_family(family, checkpoints, cache, announce=announce)
        device = open_device(prepared, num_threads)
    service = load_service(family, checkpoints, num_threads)
    num_frames, size, _, _ = device.clip_format.frames_shape
    dataset = DigitsInMotion("test", num_clips, num_frames, size, cache)
    clips = [np.repeat(grey[..., None], 3, axis=-1) for grey in dataset.frames]
    shown = track([*clips[:NUM_WARM_UP], *clips], "answers of all arms")
    outcomes = list(answer_clips(device.arms, LocalTransport(service), shown, ALL_LOGITS))[-num_clips:]
    by_arm = zip(device.arms, zip(*outcomes, strict=True), strict=True)
    return LUT(
        tuple(_row(arm, each, num_timed, dataset.labels, label_set) for arm, each in by_arm),
        device=describe_machine(),
        backend=device.backend,
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


def _label_set(family: str, checkpoints: str | os.PathLike[str] | None) -> str:
    """The one that the family was trained to answer."""
    first: Any = zoo.card(f"{family}/{next(iter(zoo.load_family(family, checkpoints)))}", checkpoints)
    if first.label_set not in (JOINT, MARGINAL):
        raise ValueError(f"{family} answers {first.label_set!r}, expected {JOINT!r} or {MARGINAL!r}")
    return first.label_set


def _row(
    arm: EdgeArm, outcomes: Sequence[Outcome], num_timed: int, labels: NDArray[np.int64], label_set: str
) -> LUTRow:
    """The row of one arm, of its outcomes on all clips."""
    logits = np.stack([each.answer.values for each in outcomes if isinstance(each.answer, Logits)])
    accuracies = {JOINT: _top1(logits, labels), MARGINAL: _top1(action_logits(logits), action_of(labels))}
    return LUTRow(
        arm.name,
        **median_times(outcomes[:num_timed]),
        payload_bytes=round(mean(each.payload_bytes for each in outcomes), 2),
        accuracy=accuracies[label_set],
        accuracies=accuracies,
        raw_bytes=arm.code_format.payload_bytes if arm.code_format else None,
    )


def _top1(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Percent of clips whose largest logit is that of their label."""
    return round(100.0 * float((logits.argmax(axis=-1) == labels).mean()), 3)
