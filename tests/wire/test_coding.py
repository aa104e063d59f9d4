"""A second coding plugs into the seam: it is registered, named in packets, and checked like raw packing."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import RAW, Kind, Packet, RawCoding, coding, coding_of, register_coding
from approxbit.wire.frame import BytesLike, read_frame, write_frame

CONFIGURATION, SIZE = Configuration("B3", False, 4), (2, 4, 4)


class ConstantCoding:
    """Codes whose bits are all alike, as one byte; everything else is as long as raw and more."""

    number = 7

    def encode(self, planes: np.ndarray) -> bytes:
        first = int(planes.flat[0])
        return bytes([first]) if (planes == first).all() else bytes(planes.size)

    def check(self, payload: BytesLike, codebook_size: int, num_positions: int) -> None:
        if payload not in (b"\0", b"\1"):
            raise WireError("payload: expected 00 or 01, found " + bytes(payload).hex())

    def decode(self, payload: BytesLike, codebook_size: int, num_positions: int) -> np.ndarray:
        return np.full((codebook_size, num_positions), payload[0], np.uint8)


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch) -> ConstantCoding:
    monkeypatch.setattr(coding, "_CODINGS", dict(coding._CODINGS))
    constant = ConstantCoding()
    register_coding(constant)
    return constant


def test_a_registered_coding_is_written_and_read(constant: ConstantCoding) -> None:
    planes = np.ones((4, 32), np.uint8)
    packet = Packet.of_code(CONFIGURATION, SIZE, planes, coding=constant)
    assert (packet.coding, packet.payload) == (7, b"\1")
    data = packet.to_bytes()
    assert (data[13], len(data)) == (7, 41)
    received = Packet.from_bytes(data)
    assert received == packet
    np.testing.assert_array_equal(received.planes(), planes)
    np.testing.assert_array_equal(received.planes(ConstantCoding()), planes)


def test_a_coding_that_saves_nothing_gives_way_to_raw(constant: ConstantCoding) -> None:
    planes = np.eye(4, 32, dtype=np.uint8)
    packet = Packet.of_code(CONFIGURATION, SIZE, planes, coding=constant)
    assert (packet.coding, len(packet.payload)) == (0, 16)
    np.testing.assert_array_equal(packet.planes(), planes)


def test_a_malformed_payload_of_a_coding_is_refused(constant: ConstantCoding) -> None:
    frame = read_frame(
        Packet.of_code(CONFIGURATION, SIZE, np.ones((4, 32), np.uint8), coding=constant).to_bytes()
    )
    forged = write_frame(Kind.CODE, frame.details, frame.sequence, bytes(frame.body[:-1]) + b"\2")
    with pytest.raises(WireError, match="payload: expected 00 or 01, found 02"):
        Packet.from_bytes(forged)


@pytest.mark.parametrize("num_bytes", [0, 16, 17])
def test_a_coding_must_be_shorter_than_raw(constant: ConstantCoding, num_bytes: int) -> None:
    message = f"payload: expected 1 to 15 bytes, found {num_bytes} bytes in coding 7"
    with pytest.raises(WireError, match=message):
        Packet(Kind.CODE, CONFIGURATION, SIZE, bytes(num_bytes), coding=7)


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(WireError, match=r"coding: expected one of 0(, \d+)*, found 7"):
        coding_of(7)


def test_raw_is_always_there() -> None:
    assert coding_of(0) is RAW
    assert isinstance(RAW, RawCoding)


def test_a_packet_is_not_read_with_another_coding(constant: ConstantCoding) -> None:
    packet = Packet.of_code(CONFIGURATION, SIZE, np.ones((4, 32), np.uint8))
    with pytest.raises(ValueError, match="coding: expected the packet's 0, found 7"):
        packet.planes(constant)


def test_a_number_belongs_to_one_coding(constant: ConstantCoding) -> None:
    register_coding(constant)  # the same once more is no harm
    with pytest.raises(ValueError, match="coding number: expected one that is free, found 7"):
        register_coding(ConstantCoding())
    with pytest.raises(ValueError, match="coding number: expected 1 to 255, found 0"):
        register_coding(RawCoding())
