"""The device of a host that has torch: all configurations of a family, run as they were trained."""

from __future__ import annotations

import os

from approxbit.edge.device import Device, all_arms
from approxbit.exporting.prepare import feature_bytes
from approxbit.offload.runners import TorchQuestions, torch_whole
from approxbit.tasks import Classification
from approxbit.zoo import load_family


def open_torch_device(
    family: str, checkpoints: str | os.PathLike[str] | None = None, num_threads: int = 1
) -> Device:
    """Load all configurations of a family; they share one backbone.

    Raises:
        ValueError: There is no such family, it has no configurations, or it answers no questions
            and its task is to answer some.
        WeightsError: A file of the family is missing or not what its card says.
    """
    models = load_family(family, checkpoints)
    if not models:
        raise ValueError(f"the family {family} must have at least one configuration, found none")
    first = next(iter(models.values()))
    backbone, task = first.backbone, first.task
    whole = torch_whole(backbone, num_threads)
    questions = None if isinstance(task, Classification) else TorchQuestions(backbone, num_threads)
    runners = [model.edge_runner(num_threads) for model in models.values()]
    return Device(
        arms=all_arms(whole, runners, task, questions),
        clip_format=whole.clip_format,
        task=task,
        feature_bytes={
            name: feature_bytes(backbone, model.codec.configuration.offload_point)
            for name, model in models.items()
        },
        backend=whole.backend,
        num_threads=num_threads,
    )
