"""Everything that the device computes with, for all configurations of a family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping

import numpy as np

from approxbit.engines.prepared import PathLike, load_prepared
from approxbit.engines.runner import ClipFormat, EdgeRunner, WholeRunner
from approxbit.tasks.label_sets import action_logits


@dataclass(frozen=True)
class Device:
    """Runners of all configurations, and what is known about them.

    Attributes:
        runners: By configuration.
        whole: The unsplit model.
        clip_format: How frames become a clip.
        label_names: Names of the classes; empty if they are not known.
        action_names: Names of the actions, where the logits are those of action x digit and the
            configurations were trained for the actions; else empty.
        feature_bytes: By configuration, the size of its feature as float32.
        backend: What computes, such as `onnxruntime 1.22.0`.
        num_threads: Threads for each operator.
    """

    runners: Mapping[str, EdgeRunner]
    whole: WholeRunner
    clip_format: ClipFormat
    label_names: tuple[str, ...]
    action_names: tuple[str, ...]
    feature_bytes: Mapping[str, int]
    backend: str
    num_threads: int

    def slowed(self, slowdown: float) -> Device:
        """The same device, emulated `slowdown` times slower; the answers stay the same.

        Raises:
            ValueError: `slowdown` is below 1.
        """
        if slowdown == 1:
            return self
        runners = {arm: runner.slowed(slowdown) for arm, runner in self.runners.items()}
        return replace(self, runners=runners, whole=self.whole.slowed(slowdown))

    def rank(self, logits: np.ndarray) -> list[tuple[str, float]]:
        """Classes and their probabilities, the likeliest first; the actions, where they are named."""
        names = self.label_names or tuple(f"class {index}" for index in range(len(logits)))
        if self.action_names:
            logits, names = action_logits(logits), self.action_names
        shares = np.exp(logits - logits.max())
        shares = shares / shares.sum()
        return [(names[index], float(shares[index])) for index in np.argsort(-shares, kind="stable")]


def open_device(prepared: PathLike, num_threads: int = 1) -> Device:
    """Open all configurations of a prepared family with ONNX Runtime; torch is not needed.

    Args:
        prepared: The file that `approxbit.exporting.prepare.prepare_family` wrote.
        num_threads: Threads for each operator.

    Raises:
        ArtefactError: The file is not well-formed, or an artefact is not the one that it names.
        ImportError: onnxruntime is not installed.
        ValueError: `num_threads` is below 1.
    """
    family = load_prepared(prepared)
    whole = family.open_whole(num_threads)
    return Device(
        runners=family.open_runners(num_threads),
        whole=whole,
        clip_format=whole.clip_format,
        label_names=family.label_names,
        action_names=family.action_names,
        feature_bytes=family.feature_bytes,
        backend=whole.backend,
        num_threads=num_threads,
    )
