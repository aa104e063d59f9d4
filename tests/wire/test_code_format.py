"""A code format makes packets of its codes, and refuses what is none."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import CodeFormat, Packet, pack
from approxbit.wire.frame import Cursor

CONFIGURATION, SIZE = Configuration.parse("3-Enc-B3"), (2, 3, 3)
FORMAT = CodeFormat(CONFIGURATION, SIZE, 1, 0x0123456789ABCDEF)
PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)


def test_planes_and_packed_bytes_make_the_same_packet() -> None:
    packet = FORMAT.packet(PLANES, 7)
    assert packet == FORMAT.packet(pack(PLANES), 7) == FORMAT.packet(PLANES.astype(bool), 7)
    assert FORMAT.is_of(packet)
    np.testing.assert_array_equal(packet.planes(), PLANES)


def test_planes_must_fit_their_configuration() -> None:
    with pytest.raises(ValueError, match=r"planes: expected \(3, 5\) for 3-Enc-B3, found \(3, 4\)"):
        FORMAT.packet(PLANES[:, :4])
    with pytest.raises(ValueError, match="planes: expected only 0 and 1, found 2"):
        FORMAT.packet(2 * PLANES)
    with pytest.raises(WireError, match="payload: expected 2 bytes for 3 x 5 bits, found 3"):
        FORMAT.packet(bytes(3))


def test_packed_bytes_of_a_codec_with_a_prior_must_fit_too(make_prior) -> None:
    known = CodeFormat(CONFIGURATION, SIZE, 1, prior=make_prior(3, (1, 2, 2), 1))
    with pytest.raises(WireError, match="padding: expected 1 zero bits at the end, found 1"):
        known.packet(b"\xff\xff")
    assert known.packet(pack(PLANES)).planes(known.prior).tolist() == PLANES.tolist()


def test_a_packet_of_another_codec_is_not_of_the_format() -> None:
    others = [
        CodeFormat(Configuration.parse("3-NoEnc-B3"), (1, 2, 2), 1, FORMAT.fingerprint),
        CodeFormat(CONFIGURATION, (2, 3, 4), 1, FORMAT.fingerprint),
        CodeFormat(CONFIGURATION, SIZE, 1, 5),
    ]
    for other in others:
        assert not other.is_of(FORMAT.packet(PLANES))
    assert not FORMAT.is_of(Packet.of_clip(np.zeros((2, 3, 3, 3), np.uint8)))


def test_a_format_comes_back_without_its_prior(make_prior) -> None:
    known = CodeFormat(CONFIGURATION, SIZE, 1, 0x0123456789ABCDEF, make_prior(3, (1, 2, 2), 1))
    data = known.to_bytes()
    assert data.hex(" ") == "01 02 01 23 45 67 89 ab cd ef 00 02 00 03 00 03 00 01 00 03 42 33"
    cursor = Cursor(data)
    assert CodeFormat.read(cursor) == FORMAT
    assert cursor.num_left == 0


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, 2, "flags: expected 0 to 1, found 2"),
        (1, 0, "name_bytes: expected 1 to 32, found 0"),
        (1, 3, "name: expected 3 bytes, found 2"),
        (19, 0, "codebook_size: expected 1 to 4096, found 0"),
        (20, 46, "name: expected letters, digits"),
        (11, 0, "time: expected 1 to 65535, found 0"),
    ],
)
def test_a_malformed_format_is_refused(place: int, value: int, message: str) -> None:
    data = bytearray(FORMAT.to_bytes())
    data[place] = value
    with pytest.raises((ValueError, WireError), match=message):
        CodeFormat.read(Cursor(bytes(data)))
    with pytest.raises(WireError, match="code format: expected 18 bytes, found 17"):
        CodeFormat.read(Cursor(data[:19]))


def test_a_format_that_could_not_cross_cannot_be_made(make_prior) -> None:
    for arguments, message in [
        ((CONFIGURATION, (0, 3, 3)), "time: expected 1 to 65535, found 0"),
        ((CONFIGURATION, (1, 60000, 60000)), "positions: expected 1 to 4194304"),
        ((CONFIGURATION, SIZE, 65536), "num_tokens: expected 0 to 65535, found 65536"),
        ((CONFIGURATION, SIZE, 0, 2**64), "fingerprint: expected 0 to 18446744073709551615"),
        ((CONFIGURATION, SIZE, 0, 0, make_prior(3, (2, 3, 3))), "a prior for 3-Enc-B3 must have the grid"),
    ]:
        with pytest.raises(ValueError, match=message):
            CodeFormat(*arguments)


def test_its_sizes_are_those_of_a_packed_code() -> None:
    assert (FORMAT.num_positions, FORMAT.payload_bytes) == (5, 2)
