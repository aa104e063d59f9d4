"""Measures the answers of the unsplit model and of every configuration of a family on one split."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.progress import track

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.datasets.check import match_source
from approxbit.datasets.source import ClipSource
from approxbit.datasets.table import find_source, record_of
from approxbit.families import DataRecord, locate, split_name
from approxbit.offload import OffloadedModel
from approxbit.profiling.evaluation.clips import AskedClips
from approxbit.profiling.evaluation.passes import (
    CHANGE,
    DIVERGENCE,
    SAME,
    Answered,
    CodeBytes,
    answer_codes,
    answer_unsplit,
)
from approxbit.profiling.evaluation.reading import Reader, open_reader
from approxbit.profiling.evaluation.record import UNSPLIT, EvaluatedArm, Evaluation, Plan
from approxbit.tasks import Task
from approxbit.zoo import describe_machine


@dataclass(frozen=True)
class Questioning:
    """How a video-language model is asked; of no use to any other.

    Attributes:
        tokenizer: Folder with its tokenizer; by default its own, if it came with one.
        prompt: Around each question, with `<video>` and `{question}`; its own by default.
        num_candidates: So many of the commonest answers of the train split are ranked by their likelihood.
    """

    tokenizer: str = ""
    prompt: str = ""
    num_candidates: int = 0


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        family: Whose models.
        backbone: The unsplit model.
        task: What its answers mean.
        models: By configuration; none of a family that is a backbone alone.
    """

    family: str
    backbone: Backbone
    task: Task
    models: dict[str, OffloadedModel]


def evaluate_family(
    name: str,
    source: ClipSource | None = None,
    split: str = "validation",
    num_clips: int | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    known: Evaluation | None = None,
    keep: Callable[[Evaluation], None] = lambda found: None,
    questioning: Questioning = Questioning(),
    device: str = "cpu",
    batch_size: int = 32,
) -> Evaluation:
    """The figures of the unsplit model and of the configurations of a family, on the same clips.

    Args:
        name: A family, of which every configuration is measured, those that are nested in others too; or one
            configuration, `digits-movinet/16-Enc-B5`.
        source: Of the clips; by default that of the cards (`find_source`).
        split: Whose clips. What is chosen by the figures belongs on `validation`.
        num_clips: Clips (of MSVD-QA, questions) at most; by default the whole split.
        checkpoints: Of all families; by default as `zoo.find_checkpoints` says.
        known: An earlier evaluation to go on from: arms that it has are not measured again.
        keep: Given everything found so far, after each arm.
        questioning: How a video-language model is asked.
        device: Of torch.
        batch_size: Clips of a batch.

    Raises:
        ValueError: There is no such family, configuration or split, the clips are not for its backbone, its
            cards do not say where clips are, nothing is known of how it answers questions, or `known` is an
            evaluation of something else.
        DatasetError: The clips of its cards cannot be had here.
        VideoError: A video cannot be read.
        ImportError: transformers is missing for a video-language model.
    """
    if num_clips is not None and num_clips < 1:
        raise ValueError(f"expected num_clips to be at least 1, found {num_clips}")
    subject = _open(name, checkpoints, device)
    found_source = source or find_source(name, checkpoints)
    source, task = match_source(found_source, split, subject.task, subject.backbone)
    reader = _open_reader(subject, task, source, questioning)
    plan = _plan(subject, source, split, num_clips, reader)
    _check_known(known, plan)
    missing = {
        each: model for each, model in subject.models.items() if not _has(known, each, model.fingerprint)
    }
    if known is not None and not missing and _has(known, UNSPLIT, subject.backbone.fingerprint):
        return known
    clips = AskedClips(source, split, num_clips, batch_size)
    whole = answer_unsplit(subject.backbone, reader, _shown(clips, UNSPLIT))
    found = _start(plan, source, whole, reader, known)
    if known is None:
        keep(found)
    for each, model in missing.items():
        answered, sizes = answer_codes(model, reader, _shown(clips, each), whole)
        found = replace(found.with_arm(_arm(each, model, answered, sizes, found)), date=_today())
        keep(found)
    return found


def _plan(subject: Subject, source: ClipSource, split: str, num_clips: int | None, reader: Reader) -> Plan:
    fingerprint, data = f"{subject.backbone.fingerprint:016x}", record_of(source) or DataRecord(source.title)
    return Plan(subject.family, fingerprint, data, split, num_clips, reader.prompt, reader.candidates)


def _arm(
    name: str, model: OffloadedModel, answered: Answered, sizes: CodeBytes, found: Evaluation
) -> EvaluatedArm:
    facts: Any = sizes.facts()
    figures = found.asked.bootstrap().summarise(answered.values)
    answers = tuple(each.answer for each in answered.readings)
    return EvaluatedArm(name, f"{model.fingerprint:016x}", figures, answers, **facts)


def _open(name: str, checkpoints: str | os.PathLike[str] | None, device: str) -> Subject:
    _check_device(device)
    root, local = locate(name, checkpoints)
    family, configuration = split_name(local)
    models = {configuration: zoo.load(local, root)} if configuration else zoo.load_family(family, root)
    for model in models.values():
        model.to(device)
    backbones = {id(model.backbone): model.backbone for model in models.values()}
    if len(backbones) > 1:
        raise ValueError(
            f"expected configurations of one backbone, found {len(backbones)} in {family}: evaluate them one "
            f"by one, such as {family}/{next(iter(models))}"
        )
    if models:
        first = next(iter(models.values()))
        return Subject(family, first.backbone, first.task, models)
    return Subject(family, zoo.load_backbone(family, root).to(device), zoo.find_task(family, root), {})


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"expected a device of torch on this machine, found {device!r}: {reason}") from error


def _open_reader(subject: Subject, task: Task, source: ClipSource, questioning: Questioning) -> Reader:
    def candidates() -> Sequence[str]:
        if not questioning.num_candidates:
            return ()
        common = Counter(source.answers("train")).most_common(questioning.num_candidates)
        if not common:
            raise ValueError(
                "expected the answers of the train split, to rank the commonest "
                f"{questioning.num_candidates}, found none in {source.title}"
            )
        return [answer for answer, _ in common]

    return open_reader(subject.backbone, task, questioning.tokenizer, questioning.prompt, candidates)


def _check_known(known: Evaluation | None, plan: Plan) -> None:
    if known is None or known.plan == plan:
        return
    different = [each for each in Plan.__annotations__ if getattr(known.plan, each) != getattr(plan, each)]
    pairs = ", ".join(f"{each} {getattr(plan, each)!r:.80}" for each in different)
    found = ", ".join(f"{getattr(known.plan, each)!r:.80}" for each in different)
    raise ValueError(
        f"expected an evaluation of the same to go on from, with {pairs}, found {found}: name another --out"
    )


def _has(known: Evaluation | None, name: str, fingerprint: int) -> bool:
    arm = known.arm(name) if known is not None else None
    return arm is not None and arm.fingerprint == f"{fingerprint:016x}"


def _shown(clips: AskedClips, name: str) -> Any:
    batches = -(-clips.num_samples // clips.batch_size)
    return track(clips, name, total=batches)


def _start(
    plan: Plan, source: ClipSource, whole: Answered, reader: Reader, known: Evaluation | None
) -> Evaluation:
    """With the unsplit model alone; or the known evaluation, if it was asked the same."""
    if not whole.questions:
        raise ValueError(f"expected questions in the split {plan.split} of {source.title}, found none")
    asked = whole.asked()
    if known is not None:
        if known.asked != asked:
            raise ValueError(
                f"expected the evaluation to go on from to be of the same {len(asked.groups)} entries of "
                f"{source.title}, found others: the data changed, name another --out"
            )
        return known
    bootstrap, primary = asked.bootstrap(), reader.figures[0]
    answers = tuple(each.answer for each in whole.readings)
    figures = bootstrap.summarise(whole.values)
    unsplit = EvaluatedArm(UNSPLIT, plan.backbone_fingerprint, figures, answers)
    names = (*reader.figures, f"{CHANGE}_{primary}", SAME, DIVERGENCE)
    counts = whole.num_clips, bootstrap.num_groups
    machine = describe_machine()
    return Evaluation(plan, source.title, *counts, machine, _today(), names, (unsplit,), asked=asked)


def _today() -> str:
    return datetime.date.today().isoformat()
