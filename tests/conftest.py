"""Shape checks on for the torch rooms, and the loader of the golden backbone cases."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jaxtyping import install_import_hook

install_import_hook(
    [
        "approxbit.backbones",
        "approxbit.codec",
        "approxbit.engines.views",
        "approxbit.offload",
        "approxbit.streaming",
    ],
    "beartype.beartype",
)


def load_golden() -> ModuleType:
    path = Path(__file__).parent / "golden" / "golden.py"
    specification = importlib.util.spec_from_file_location("golden_cases", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up there
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """`tests/golden/golden.py`: `golden.load_case(name)` and `golden.errors(case, outputs)`."""
    return load_golden()
