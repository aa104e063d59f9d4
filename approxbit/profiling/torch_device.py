"""The device of a host that has torch: all configurations of a family, run as they were trained."""

from __future__ import annotations

import os

from approxbit.edge.device import Device, all_arms
from approxbit.engines.questions import QuestionRunner
from approxbit.exporting.prepare import feature_bytes
from approxbit.offload.runners import TorchQuestions, torch_whole
from approxbit.tasks import Classification
from approxbit.zoo import LoadedFamily, load_whole_family


def open_torch_device(
    family: str, checkpoints: str | os.PathLike[str] | None = None, num_threads: int = 1
) -> Device:
    """Load all configurations of a family, if it has any; they share one backbone.

    Raises:
        ValueError: There is no such family, its codecs are for several backbones, or it answers no questions
            and its task is to answer some.
        WeightsError: A file of the family is missing or not what its card says.
    """
    return torch_device(load_whole_family(family, checkpoints), num_threads)


def torch_device(
    family: LoadedFamily, num_threads: int = 1, questions: QuestionRunner | None = None
) -> Device:
    """The device of a family that is loaded.

    Args:
        family: With or without codecs.
        num_threads: Threads for each operator.
        questions: Of a family that answers questions, what answers them; by default its own head.

    Raises:
        ValueError: The backbone answers no questions and its task is to answer some.
    """
    backbone, task = family.backbone, family.task
    whole = torch_whole(backbone, num_threads)
    if questions is None and not isinstance(task, Classification):
        questions = TorchQuestions(backbone, num_threads)
    runners = [model.edge_runner(num_threads) for model in family.models.values()]
    return Device(
        arms=all_arms(whole, runners, task, questions),
        clip_format=whole.clip_format,
        task=task,
        feature_bytes={
            name: feature_bytes(backbone, model.codec.configuration.offload_point)
            for name, model in family.models.items()
        },
        backend=whole.backend,
        num_threads=num_threads,
    )
