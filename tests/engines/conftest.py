"""The fixtures of `tests/export`: a small artefact, and a machine that seems to have TensorRT and CUDA."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_path = Path(__file__).parents[1] / "export" / "bench.py"
_specification = importlib.util.spec_from_file_location("approxbit_tests_bench", _path)
assert _specification is not None
assert _specification.loader is not None
_bench = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_bench)

build_script, cudart, device, small_artefact = (
    _bench.build_script,
    _bench.cudart,
    _bench.device,
    _bench.small_artefact,
)
