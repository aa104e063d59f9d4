"""The parts of a small artefact, opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from approxbit.engines.artefact import Artefact, load_artefact


@pytest.fixture
def artefact(small_artefact: Callable[..., Path]) -> Artefact:
    """A small artefact whose precision is weak-fp16."""
    return load_artefact(small_artefact())
