"""From the name of a family to a service that is warm."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import numpy as np

from approxbit.families import list_models
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import TorchQuestions, torch_whole
from approxbit.server.arms import CodesArm, CompressedVideoArm, RawClipArm, ServerArm
from approxbit.server.service import Service
from approxbit.tasks import Classification
from approxbit.wire import warm_up
from approxbit.zoo import load_family

FIRST_QUESTION = "what is there"
"""Asked before all others, so that none of them waits for what is only done once."""

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
        ValueError: There is no such family, it has no configurations, or it answers no questions
            and its task is to answer some.
        WeightsError: A file of the family is missing or not what its card says.
    """
    list_models(family, checkpoints)
    models = load_family(family, checkpoints)
    _log.info("%s: loaded %s", family, ", ".join(models))
    service = build_service(models.values(), num_threads)
    _log.info("%s: ready", family)
    return service


def build_service(models: Iterable[OffloadedModel], num_threads: int | None = None) -> Service:
    """A service of models that share backbone and task, for all arms that they make possible.

    Every model has answered once, so that no clip waits for it.

    Args:
        models: At least one.
        num_threads: Threads for each operator; torch's own choice by default.

    Raises:
        ValueError: There is no model, not all have the same backbone, or it answers no questions and their
            task is to answer some.
    """
    models = list(models)
    if len({id(model.backbone) for model in models}) != 1:
        raise ValueError(
            "a service needs models of one shared backbone, "
            f"found {len({id(model.backbone) for model in models})} backbones"
        )
    if any(model.prior is not None for model in models):
        warm_up()
    whole = torch_whole(models[0].backbone, num_threads)
    arms: list[ServerArm] = [RawClipArm(whole), CompressedVideoArm(whole)]
    result = whole.run(whole.clip_format.prepare(np.zeros(whole.clip_format.frames_shape, np.uint8)))
    for model in models:
        runner = model.server_runner(num_threads)
        runner.run([bytes(runner.code_format.payload_bytes)])
        arms.append(CodesArm(runner, whole.clip_format))
    task = models[0].task
    if isinstance(task, Classification):
        return Service(arms, task)
    questions = TorchQuestions(models[0].backbone, num_threads)
    questions.ask(result.logits, [FIRST_QUESTION])
    return Service(arms, task, questions=questions)
