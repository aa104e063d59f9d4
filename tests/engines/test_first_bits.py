"""Nested codes of one runner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.first_bits import FirstBitsRunner
from approxbit.engines.runner import EdgeResult
from approxbit.wire import CodeFormat, pack, unpack

WHOLE = CodeFormat(Configuration.parse("7-NoEnc-B2"), (1, 3, 5), fingerprint=9)
PLANES = np.random.default_rng(1).integers(0, 2, (7, WHOLE.num_positions), np.uint8)


def make_runner() -> Any:
    return SimpleNamespace(code_format=WHOLE, run=lambda clip: EdgeResult(pack(PLANES), 3.0, 0.5))


@pytest.mark.parametrize("bits", range(1, 8))
def test_the_first_bits_are_packed_as_a_code_of_so_many_bits(bits: int) -> None:
    runner = FirstBitsRunner(make_runner(), bits)
    result = runner.run(np.zeros(0))
    assert str(runner.code_format.configuration) == f"{bits}-NoEnc-B2"
    assert runner.code_format.fingerprint == 9
    assert (result.edge_ms, result.encode_ms) == (3.0, 0.5)
    assert np.array_equal(unpack(result.payload, bits, WHOLE.num_positions), PLANES[:bits])


@pytest.mark.parametrize("bits", [0, 8])
def test_more_bits_than_there_are_and_none_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 7 bits of 7-NoEnc-B2, found {bits}"):
        FirstBitsRunner(make_runner(), bits)
