from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.errors import WireError
from approxbit.wire import pack, packed_bytes, unpack


def planes_of(*rows: str) -> np.ndarray:
    return np.array([[int(bit) for bit in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("planes", "payload"),
    [
        (planes_of("1"), "80"),
        (planes_of("0"), "00"),
        (planes_of("00000001"), "01"),
        (planes_of("10000000", "00000001"), "8001"),
        (planes_of("111111111"), "ff80"),
        (planes_of("10110", "01001", "11100"), "b278"),  # 10110010 0111100 and one bit of padding
        (planes_of("1", "0", "1", "0", "1", "0", "1", "0", "1"), "aa80"),  # one position: a column
    ],
)
def test_bits_fill_bytes_from_the_top_plane_after_plane(planes: np.ndarray, payload: str) -> None:
    assert pack(planes).hex() == payload
    np.testing.assert_array_equal(unpack(bytes.fromhex(payload), *planes.shape), planes)


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 70), st.integers(1, 130), st.randoms(use_true_random=False))
def test_unpack_gives_back_what_pack_took_and_agrees_with_an_integer(
    codebook_size: int, num_positions: int, source
) -> None:
    number = source.getrandbits(codebook_size * num_positions)
    bits = f"{number:0{codebook_size * num_positions}b}"
    planes = np.array([int(bit) for bit in bits], np.uint8).reshape(codebook_size, num_positions)
    payload = pack(planes)
    assert len(payload) == packed_bytes(codebook_size, num_positions)
    assert int.from_bytes(payload, "big") == number << (8 * len(payload) - len(bits))
    unpacked = unpack(payload, codebook_size, num_positions)
    assert unpacked.dtype == np.uint8
    np.testing.assert_array_equal(unpacked, planes)
    assert pack(unpacked) == payload


def test_bool_and_strided_planes_pack_like_plain_ones() -> None:
    planes = planes_of("101", "011", "110", "001")
    expected = pack(planes)
    assert pack(planes.astype(bool)) == expected
    assert pack(np.asfortranarray(planes)) == expected
    assert pack(np.repeat(planes, 2, axis=1)[:, ::2]) == expected


def test_unpack_takes_any_bytes() -> None:
    for payload in (b"\xb2\x78", bytearray(b"\xb2\x78"), memoryview(b"..\xb2\x78")[2:]):
        np.testing.assert_array_equal(unpack(payload, 3, 5), planes_of("10110", "01001", "11100"))


@pytest.mark.parametrize("planes", [np.zeros((2, 3), np.float32), np.zeros(6, np.uint8), [[0, 1]]])
def test_pack_takes_only_matrices_of_bits(planes: object) -> None:
    with pytest.raises(ValueError, match=r"planes: expected uint8 or bool \[bit, position\], found"):
        pack(planes)  # type: ignore[arg-type]


def test_pack_refuses_what_is_empty_or_no_bit() -> None:
    with pytest.raises(ValueError, match=r"at least one bit and one position, found \(0, 3\)"):
        pack(np.zeros((0, 3), np.uint8))
    with pytest.raises(ValueError, match="planes: expected only 0 and 1, found 255"):
        pack(np.array([[0, 255]], np.uint8))


@pytest.mark.parametrize("sizes", [(0, 5), (3, 0), (-3, -5)])
def test_unpack_needs_sizes(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="codebook_size and num_positions: expected at least 1, found"):
        unpack(b"\xb2\x78", *sizes)


@pytest.mark.parametrize("payload", [b"", b"\xb2", b"\xb2\x78\x00"])
def test_a_payload_of_another_length_is_refused(payload: bytes) -> None:
    expected = f"payload: expected 2 bytes for 3 x 5 bits, found {len(payload)}"
    with pytest.raises(WireError, match=expected):
        unpack(payload, 3, 5)


def test_a_huge_declared_size_is_refused_without_allocating() -> None:
    with pytest.raises(WireError, match="payload: expected 1152921504606846976 bytes"):
        unpack(b"\xb2\x78", 2**32, 2**31)


@pytest.mark.parametrize(("last", "found"), [(0x79, "1"), (0x7F, "1")])
def test_padding_must_be_zero(last: int, found: str) -> None:
    with pytest.raises(WireError, match=f"padding: expected 1 zero bits at the end, found {found}"):
        unpack(bytes([0xB2, last]), 3, 5)
    with pytest.raises(WireError, match="padding: expected 7 zero bits at the end, found 0000100"):
        unpack(b"\x84", 1, 1)
