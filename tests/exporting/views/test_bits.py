"""Bits packed in a graph are the bytes of the wire."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.exporting.views.bits import PackBits, UnpackBits
from approxbit.wire import pack


@st.composite
def codes(draw: st.DrawFn) -> np.ndarray:
    """Bit planes of a few codes of one size."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)


@settings(deadline=None)
@given(codes())
def test_packed_bits_are_those_of_the_wire_and_come_back(planes: np.ndarray) -> None:
    bits = torch.from_numpy(planes).flatten(1)
    packed = PackBits(bits.shape[1])(bits > 0)
    assert packed.dtype == torch.uint8
    assert [row.numpy().tobytes() for row in packed] == [pack(code) for code in planes]
    assert torch.equal(UnpackBits(bits.shape[1])(packed), bits.float())


def test_every_byte_is_unpacked_right() -> None:
    packed = torch.arange(256, dtype=torch.uint8)[:, None]
    expected = np.unpackbits(packed.numpy(), axis=1)
    assert np.array_equal(UnpackBits(8)(packed).numpy(), expected)


def test_bits_may_be_packed_into_int32() -> None:
    packed = PackBits(9, "int32")(torch.ones(1, 9) > 0)
    assert packed.dtype == torch.int32
    assert packed.tolist() == [[255, 128]]


def test_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="output_type must be one of uint8, int32, found 'int8'"):
        PackBits(8, "int8")
