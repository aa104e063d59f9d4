"""Small cases worked out by hand, and the two versions of the innermost loops held to each other."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from approxbit.wire.entropy import compiled, has_compiler, kernels, warm_up
from approxbit.wire.entropy.compiled import compile_kernels, load_kernels, plain_kernels


def test_probabilities_are_those_of_the_logistic_function() -> None:
    found = kernels.make_probabilities()
    limit = kernels.LOGIT_LIMIT
    assert len(found) == 2 * limit + 1
    assert found[limit] == 32768
    assert (found[0], found[-1]) == (1, 65535)
    for index, value in enumerate(found):
        exact = 65536 / (1 + math.exp(-(index - limit) / 256))
        assert abs(value - exact) <= 0.501
    np.testing.assert_array_equal(found + found[::-1], 65536)


def test_the_first_bits_of_an_interval_worked_out_by_hand() -> None:
    """1 with 1/4: [0, 2^38). Then 0 with 1/2: [2^37, 2^38), whose first number of one byte is 0x20."""
    state, buffer = np.array([0, 1 << 40, 0, 0]), np.zeros(4, np.uint8)
    assert kernels.encode_bit(1, 16384, state, buffer)
    assert kernels.encode_bit(0, 32768, state, buffer)
    assert state.tolist() == [1 << 37, 1 << 37, 0, 0]
    state[:] = [0, 1 << 40, 5, 0x20 << 32]
    payload = np.array([0x20], np.uint8)
    bits = [kernels.decode_bit(chance, state, payload) for chance in (16384, 32768)]
    assert bits == [1, 0]
    assert state.tolist() == [0, 1 << 37, 5, 0]


def test_a_carry_runs_back_through_full_bytes() -> None:
    buffer = np.array([7, 255, 255, 9], np.uint8)
    kernels.carry(buffer, 3)
    assert buffer.tolist() == [8, 0, 0, 9]


@pytest.mark.parametrize("units", [1, 4])
def test_loops_and_array_operations_give_the_same_numbers(units: int) -> None:
    source = np.random.default_rng(1)

    def draw(*shape: int, high: int = 300) -> np.ndarray:
        return source.integers(-high, high, shape).astype(np.int16)

    times, height, width = 2, 3, 4
    bias = draw(units, times + height + width)
    sums, others = np.zeros((2, units, times * (height + 1) * (width + 1)), np.int16)
    kernels.set_biases(sums, bias, times, height, width)
    kernels.set_biases_at_once(others, bias, times, height, width)
    np.testing.assert_array_equal(sums, others)

    values, weights, shifts = draw(100, high=2), draw(3, units), np.array([-4, 0, 7])
    for function, result in ((kernels.add_products, sums), (kernels.add_products_at_once, others)):
        function(result, values, weights, shifts, 20, 5, 30)
    np.testing.assert_array_equal(sums, others)

    table, chances = kernels.make_probabilities(), np.zeros((2, sums.shape[1]), np.int32)
    output, added = draw(units, high=9000), draw(sums.shape[1] + 2).astype(np.int64)
    kernels.find_probabilities(sums, output, added, table, chances[0])
    kernels.find_probabilities_at_once(others, output, added, table, chances[1])
    np.testing.assert_array_equal(*chances)

    hidden, inputs, outputs = draw(units).astype(np.int64), draw(units), draw(units)
    seen = hidden.copy()
    kernels.see(hidden, inputs, -1)
    kernels.see_at_once(seen, inputs, -1)
    np.testing.assert_array_equal(hidden, seen)
    assert kernels.sum_global(hidden, outputs) == kernels.sum_global_at_once(seen, outputs)


def test_warming_up_leaves_nothing_to_translate(make_prior) -> None:
    if not has_compiler():
        pytest.skip("numba is not installed")
    from approxbit.wire.entropy import Reference, decode, encode

    warm_up()
    dispatchers = load_kernels()
    before = [len(each.signatures) for each in dispatchers]
    for prior in (make_prior(), make_prior(num_tokens=1, num_reference=7, units=3, num_global=2)):
        planes = np.ones((4, prior.num_positions), np.uint8)
        reference = Reference(planes, 1) if prior.update is not None else None
        payload = encode(planes, prior, reference)
        assert payload is not None
        decode(memoryview(payload), prior, 4, reference)
    assert [len(each.signatures) for each in dispatchers] == before == [1, 1]


def test_without_a_compiler_the_kernels_run_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.NO_COMPILER, "1")
    assert not has_compiler()
    assert load_kernels() is plain_kernels()


def test_a_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compile_kernels.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'approxbit\[fast\]'"):
        compile_kernels()


def test_the_compiler_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, approxbit.wire.entropy; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
