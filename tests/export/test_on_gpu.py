"""The same script where there is a GPU and a genuine TensorRT."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from approxbit.engines.artefact import load_artefact, load_reference
from approxbit.engines.opening import open_edge
from approxbit.engines.tensorrt.library import Features, import_tensorrt

HAS_GPU = os.path.exists("/dev/nvidia0") or os.path.exists("/dev/nvhost-gpu")
pytestmark = pytest.mark.skipif(
    not HAS_GPU or importlib.util.find_spec("tensorrt") is None, reason="needs a GPU and TensorRT"
)


def test_both_halves_are_built_checked_and_run(
    small_artefact: Callable[..., Path], build_script: ModuleType
) -> None:
    weak = Features.of(import_tensorrt()).weak_types
    folder = small_artefact(precision="weak-fp16" if weak else "fp32", dynamic_batch=3)
    arguments = [str(folder), "--graph", "both"] + (["--fp32"] if weak else [])
    assert build_script.main(arguments) == 0
    reference = load_reference(load_artefact(folder))
    with open_edge(folder, "tensorrt") as runner:
        payloads = [runner.run(clip).payload for clip in reference.clip]
    assert payloads == [row.tobytes() for row in reference.packed]
