"""From the name of a family to a service that is warm."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import numpy as np

from approxbit.engines.questions import FIRST_QUESTION, QuestionRunner
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import TorchQuestions, torch_whole
from approxbit.server.arms import CodesArm, CompressedVideoArm, RawClipArm, ServerArm
from approxbit.server.service import Service
from approxbit.tasks import Classification
from approxbit.wire import warm_up
from approxbit.zoo import LoadedFamily, load_whole_family

_log = logging.getLogger("approxbit.server")


def load_service(
    family: str, checkpoints: str | os.PathLike[str] | None = None, num_threads: int | None = None
) -> Service:
    """A service of all arms of a family of the zoo, over its one backbone.

    Args:
        family: Such as `digits-movinet`.
        checkpoints: The zoo's folder, by default the one that `approxbit.load` finds.
        num_threads: Threads for each operator; torch's own choice by default.

    Raises:
        ValueError: There is no such family, its codecs are for several backbones, or it answers no questions
            and its task is to answer some.
        WeightsError: A file of the family is missing or not what its card says.
    """
    loaded = load_whole_family(family, checkpoints)
    _log.info("%s: loaded %s", family, ", ".join(loaded.models) or "the backbone alone")
    service = serve_family(loaded, num_threads)
    _log.info("%s: ready", family)
    return service


def build_service(models: Iterable[OffloadedModel], num_threads: int | None = None) -> Service:
    """A service of models that share backbone and task; see `serve_family`.

    Raises:
        ValueError: There is no model, not all have the same backbone, or it answers no questions and their
            task is to answer some.
    """
    models = list(models)
    num_backbones = len({id(model.backbone) for model in models})
    if num_backbones != 1:
        raise ValueError(f"a service needs models of one shared backbone, found {num_backbones} backbones")
    named = {str(model.codec.configuration): model for model in models}
    return serve_family(LoadedFamily("", models[0].backbone, models[0].task, named), num_threads)


def serve_family(
    family: LoadedFamily, num_threads: int | None = None, questions: QuestionRunner | None = None
) -> Service:
    """A service of all arms that a family makes possible: clips and video always, codes where it has codecs.

    Every model has answered once, so that no clip waits for it.

    Args:
        family: With or without codecs.
        num_threads: Threads for each operator; torch's own choice by default.
        questions: Of a family that answers questions, what answers them; by default its own head.

    Raises:
        ValueError: The backbone answers no questions and its task is to answer some.
    """
    if any(model.prior is not None for model in family.models.values()):
        warm_up()
    whole = torch_whole(family.backbone, num_threads)
    arms: list[ServerArm] = [RawClipArm(whole), CompressedVideoArm(whole)]
    result = whole.run(whole.clip_format.prepare(np.zeros(whole.clip_format.frames_shape, np.uint8)))
    for model in family.models.values():
        runner = model.server_runner(num_threads)
        runner.run([bytes(runner.code_format.payload_bytes)])
        arms.append(CodesArm(runner, whole.clip_format))
    if isinstance(family.task, Classification):
        return Service(arms, family.task)
    questions = questions or TorchQuestions(family.backbone, num_threads)
    questions.ask(result.logits, [FIRST_QUESTION.value])
    return Service(arms, family.task, questions=questions)
