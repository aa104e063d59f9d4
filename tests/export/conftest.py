"""The fixtures of `bench.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_path = Path(__file__).parent / "bench.py"
_specification = importlib.util.spec_from_file_location("approxbit_tests_bench", _path)
assert _specification is not None
assert _specification.loader is not None
_bench = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_bench)

bindings, touched_names_file, rtx = _bench.bindings, _bench.touched_names_file, _bench.rtx
build_script, profile_script = _bench.build_script, _bench.profile_script
cudart, device, small_artefact = _bench.cudart, _bench.device, _bench.small_artefact
facts, power = _bench.facts, _bench.power
