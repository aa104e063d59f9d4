"""Measures the LUT of a family on this machine."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from approxbit.datasets.check import match_source
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import find_source
from approxbit.edge.device import Device, open_device
from approxbit.edge.measure import TIMES
from approxbit.engines.questions import QuestionRunner
from approxbit.exporting.prepare import prepare_family
from approxbit.offload.runners import TorchQuestions
from approxbit.profiling.evaluation.clips import AskedClips
from approxbit.profiling.rows import MACRO, AskedFrames, Witness, rows_of_classes, rows_of_questions
from approxbit.profiling.torch_device import torch_device
from approxbit.select import LUT, LUTRow
from approxbit.server.loading import serve_family
from approxbit.tasks import Classification, Task
from approxbit.zoo import LoadedFamily, describe_machine, load_whole_family

ONNXRUNTIME, TORCH = "onnxruntime", "torch"
BACKENDS = (ONNXRUNTIME, TORCH)


def profile_family(
    family: str,
    source: ClipSource | None = None,
    split: str = "validation",
    num_clips: int = 2400,
    num_timed: int = 60,
    num_threads: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
    backend: str = "",
    announce: Callable[[str], None] = lambda text: None,
    known: LUT | None = None,
) -> LUT:
    """Latency parts, bytes and scores of all arms of a family.

    Every clip goes the way that it goes in a session, arm by arm, at batch size 1, but over no link.
    Latencies are medians; under ONNX Runtime one graph does all that the edge does, and `encode_ms` is the
    entropy coding alone. Payloads are means, without headers. Questions come late: when the clip was sent.
    Latencies are then those of a clip and one question, and the accuracy is the mean over question types.

    Args:
        family: A family of the zoo. One without codecs has the arms that need none.
        source: Of its clips; by default that of its cards (`find_source`).
        split: Whose clips to take. A selector that goes by the LUT makes choices, so `validation`.
        num_clips: At most so many, for scores and payloads.
        num_timed: The first so many also count for the latencies.
        num_threads: Threads of either side.
        checkpoints: Of all families; by default as `zoo.find_checkpoints` says.
        backend: What computes the edge side, `onnxruntime` or `torch`, which is on the server. By default
            `onnxruntime`, and `torch` for a family without codecs, which has no graphs.
        announce: Told in a sentence when something must be exported.
        known: An older LUT of the family, to measure the times alone, on `num_timed` clips.

    Raises:
        ImportError: A package of `approxbit[export]` is missing for the backend `onnxruntime`.
        ValueError: There is no such backend, family or split, the clips are not for its backbone, its cards
            do not say where clips are, nothing is asked about a clip, a number is below 1, or `known` has
            other arms.
        DatasetError: The clips of its cards cannot be had here.
    """
    _check(backend, num_clips=num_clips, num_timed=num_timed, num_threads=num_threads)
    loaded = load_whole_family(family, checkpoints)
    source = source or find_source(family, checkpoints)
    source, task = match_source(source, split, loaded.task, loaded.backbone)
    clips = _read(source, split, num_timed if known else num_clips)
    witness = _open_witness(loaded, num_threads)
    if (backend or _default_backend(loaded)) == TORCH:
        device = torch_device(loaded, num_threads, witness)
    else:
        file = prepare_family(family, checkpoints, announce=announce)
        device = open_device(file, num_threads, questions=witness)
    lut = LUT(
        _rows(device, loaded, clips, task, num_timed, witness),
        *(describe_machine(), device.backend, datetime.date.today().isoformat(), len(clips), num_threads),
        family=family,
        figures=task.figures if witness is None else (MACRO, *task.figures),
        split=split,
    )
    return lut if known is None else _with_times(known, lut)


def _default_backend(loaded: LoadedFamily) -> str:
    return ONNXRUNTIME if loaded.models else TORCH


def _open_witness(loaded: LoadedFamily, num_threads: int) -> Witness | None:
    """What answers questions on both sides; None for a classifier."""
    if isinstance(loaded.task, Classification):
        return None
    return Witness(TorchQuestions(loaded.backbone, num_threads))


def _rows(
    device: Device,
    loaded: LoadedFamily,
    clips: Sequence[AskedFrames],
    task: Task,
    num_timed: int,
    witness: Witness | None,
) -> tuple[LUTRow, ...]:
    questions: QuestionRunner | None = witness
    service = serve_family(loaded, device.num_threads, questions)
    if isinstance(task, Classification):
        return rows_of_classes(device.arms, service, clips, task, num_timed)
    assert witness is not None
    return rows_of_questions(device.arms, service, witness, clips, task, num_timed)


def _check(backend: str, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"expected {name} to be at least 1, found {value}")
    if backend and backend not in BACKENDS:
        raise ValueError(f"expected the backend {' or '.join(BACKENDS)}, found {backend!r}")


def _read(source: ClipSource, split: str, num_clips: int) -> list[AskedFrames]:
    """The first clips of a split, those that something is asked about."""
    clips = []
    for clip, asked, _ in AskedClips(source, split, num_clips, batch_size=1):
        frames = (clip[0] * 255).round().byte().permute(1, 2, 3, 0).contiguous().numpy()
        if asked[0]:
            clips.append(AskedFrames(frames, asked[0]))
    if not clips:
        raise ValueError(f"expected questions in the split {split} of {source.title}, found none")
    return clips


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
