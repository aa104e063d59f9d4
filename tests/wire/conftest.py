"""Random tables for the tests of entropy coding, and the second implementation of the format."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import pytest

from approxbit.wire import PriorTables
from approxbit.wire.entropy import GlobalUnits


class MakePrior(Protocol):
    def __call__(
        self,
        codebook_size: int = 4,
        grid_size: tuple[int, int, int] = (2, 3, 3),
        num_tokens: int = 0,
        num_earlier: int = 7,
        num_reference: int = 0,
        units: int = 1,
        seed: int = 0,
        num_global: int = 0,
    ) -> PriorTables: ...


def random_prior(
    codebook_size: int = 4,
    grid_size: tuple[int, int, int] = (2, 3, 3),
    num_tokens: int = 0,
    num_earlier: int = 7,
    num_reference: int = 0,
    units: int = 1,
    seed: int = 0,
    num_global: int = 0,
) -> PriorTables:
    """Tables that use every weight; a constant code is likely under them, so that it becomes short.

    With `num_reference`, they have tables of updates, which look at so many positions of a reference.
    """
    source = np.random.default_rng(seed)
    pairs = codebook_size * (codebook_size - 1) // 2
    largest = 32767 // (13 + num_earlier * (codebook_size - 1) + num_reference + 3)

    def draw(*shape: int) -> np.ndarray:
        return source.integers(-largest // 4, largest + 1, shape).astype(np.int16)

    def draw_global() -> GlobalUnits | None:
        shape = codebook_size, math.prod(grid_size) + num_tokens, num_global
        if not num_global:
            return None
        return GlobalUnits(
            *(source.integers(-900, 1000, each).astype(np.int16) for each in (shape, shape[2:], shape))
        )

    def make(num_tokens: int, around: int, update: PriorTables | None = None) -> PriorTables:
        output = np.full((codebook_size, units), 2000, np.int16)
        output[:, 1:] = source.integers(-500, 500, (codebook_size, units - 1))
        return PriorTables(
            grid_size,
            num_tokens,
            before=draw(codebook_size, 13, units),
            earlier=draw(pairs, num_earlier, units),
            reference=draw(codebook_size, around, units),
            bias=draw(codebook_size, units, sum(grid_size)),
            output=output,
            token_weights=draw(pairs if num_tokens else 0),
            token_biases=draw(codebook_size if num_tokens else 0),
            global_units=draw_global(),
            update=update,
        )

    return make(num_tokens, 0, make(num_tokens, num_reference) if num_reference else None)


@pytest.fixture
def make_prior() -> MakePrior:
    return random_prior


def load_benchmark(name: str) -> ModuleType:
    """A module of `benchmarks/wire/`, where scripts import one another by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "wire"))
        return importlib.import_module(name)


@pytest.fixture(scope="session")
def wire_fuzz() -> ModuleType:
    return load_benchmark("wire_fuzz")


@pytest.fixture(scope="session")
def wire_vectors() -> ModuleType:
    return load_benchmark("wire_vectors")


@pytest.fixture(scope="session")
def wire_reader() -> ModuleType:
    return load_benchmark("wire_reader")
