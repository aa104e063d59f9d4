"""The device of a host that has torch: all configurations of a family, run as they were trained."""

from __future__ import annotations

import os
from typing import Any

from approxbit.edge.device import Device, all_arms
from approxbit.exporting.prepare import action_names, feature_bytes
from approxbit.offload.runners import torch_whole
from approxbit.tasks.label_sets import classification
from approxbit.zoo import card, load_family


def open_torch_device(
    family: str, checkpoints: str | os.PathLike[str] | None = None, num_threads: int = 1
) -> Device:
    """Load all configurations of a family; they share one backbone.

    Raises:
        ValueError: There is no such family, or it has no configurations.
        WeightsError: A file of the family is missing or not what its card says.
    """
    models = load_family(family, checkpoints)
    if not models:
        raise ValueError(f"the family {family} must have at least one configuration, found none")
    backbone, names = next((model.backbone, model.label_names) for model in models.values())
    whole = torch_whole(backbone, num_threads)
    codec: Any = card(f"{family}/{next(iter(models))}", checkpoints)
    own: Any = card(codec.backbone, checkpoints)
    actions = action_names(codec.label_set, names)
    task = classification(own.label_set, codec.label_set, backbone.num_classes, names, actions)
    runners = {name: model.edge_runner(num_threads) for name, model in models.items()}
    return Device(
        arms=all_arms(whole, runners, task),
        clip_format=whole.clip_format,
        task=task,
        feature_bytes={
            name: feature_bytes(backbone, model.codec.configuration.offload_point)
            for name, model in models.items()
        },
        backend=whole.backend,
        num_threads=num_threads,
    )
