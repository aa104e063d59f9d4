"""Everything that the device computes with, for all configurations of a family."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from approxbit.backbones.base import Backbone
from approxbit.data.digits import ACTION_CLASSES, JOINT_CLASSES
from approxbit.data.label_sets import MARGINAL, action_logits
from approxbit.engines.emulated import EmulatedDevice
from approxbit.engines.runner import ClipFormat, EdgeRunner, WholeRunner
from approxbit.engines.torch_runner import TorchEdgeRunner, TorchWholeRunner
from approxbit.zoo import card, load_family

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Device:
    """Runners of all configurations, and what is known about them.

    Attributes:
        runners: By configuration.
        whole: The unsplit model.
        clip_format: How frames become a clip.
        label_names: Names of the classes; empty if they are not known.
        label_set: Which question the configurations were trained to answer.
        feature_bytes: By configuration, the size of its feature as float32.
    """

    runners: Mapping[str, EdgeRunner]
    whole: WholeRunner
    clip_format: ClipFormat
    label_names: tuple[str, ...]
    label_set: str
    feature_bytes: Mapping[str, int]

    def slowed(self, slowdown: float) -> Device:
        """The same device, emulated `slowdown` times slower; the answers stay the same.

        Raises:
            ValueError: `slowdown` is below 1.
        """
        if slowdown == 1:
            return self
        runners: dict[str, Any] = {
            arm: EmulatedDevice(runner, slowdown) for arm, runner in self.runners.items()
        }
        whole: Any = EmulatedDevice(self.whole, slowdown)
        return replace(self, runners=runners, whole=whole)

    def rank(self, logits: np.ndarray) -> list[tuple[str, float]]:
        """Classes and their probabilities, the likeliest first.

        Where the configurations were trained for the actions of Digits-in-Motion and the logits are those of
        action x digit, the classes are the actions.
        """
        names = self.label_names or tuple(f"class {index}" for index in range(len(logits)))
        if self.label_set == MARGINAL and names == JOINT_CLASSES:
            logits, names = action_logits(logits), ACTION_CLASSES
        shares = np.exp(logits - logits.max())
        shares = shares / shares.sum()
        return [(names[index], float(shares[index])) for index in np.argsort(-shares, kind="stable")]


def open_device(
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
    model = next(iter(models.values()))
    whole = TorchWholeRunner(model.backbone, num_threads)
    return Device(
        {arm: TorchEdgeRunner(each, num_threads) for arm, each in models.items()},
        whole,
        whole.clip_format,
        model.label_names,
        card(f"{family}/{next(iter(models))}", checkpoints).label_set,
        {
            arm: _feature_bytes(model.backbone, each.codec.configuration.offload_point)
            for arm, each in models.items()
        },
    )


def _feature_bytes(backbone: Backbone, point: str) -> int:
    channels, time, height, width = backbone.feature_shape(point)
    return FLOAT32_BYTES * channels * (time * height * width + backbone.num_tokens(point))
