"""`small`: the module `tests/engines/small_models.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_path = Path(__file__).parents[1] / "small_models.py"
_specification = importlib.util.spec_from_file_location("approxbit_tests_small_models", _path)
assert _specification is not None
assert _specification.loader is not None
_small = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_small)


@pytest.fixture(scope="session")
def small() -> ModuleType:
    return _small
