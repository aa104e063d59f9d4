"""The directory of a layered payload: its bytes worked out by hand, and every fault refused by name."""

from __future__ import annotations

import pytest

from approxbit.errors import WireError
from approxbit.wire.layers import Layers

LAYERS = Layers((2, 8), (b"\x07", bytes(range(1, 131))))
# 2 bits in 1 byte, then 6 bits in 130 = 2 + 128 bytes; checksums as CRC-16/XMODEM.
DIRECTORY = "02 02 01 70e7 06 8201"


def test_the_directory_worked_out_by_hand() -> None:
    data = LAYERS.to_bytes()
    assert data[:8].hex() == DIRECTORY.replace(" ", "")
    assert len(data) == 10 + 1 + 130
    assert Layers.from_bytes(data, 8) == LAYERS
    assert Layers.from_bytes(data, 4096) == LAYERS


def test_the_checksum_is_the_one_of_its_name() -> None:
    assert Layers((1,), (b"123456789",)).directory()[-2:].hex() == "31c3"


def test_fewer_layers_are_kept() -> None:
    assert LAYERS.keep(2) == LAYERS
    assert LAYERS.keep(1) == Layers((2,), (b"\x07",))
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"num_layers: expected 1 to 2, found {count}"):
            LAYERS.keep(count)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("", "num_layers: expected 1 to 8, found 0"),
        ("00", "num_layers: expected 1 to 8, found 0"),
        ("09", "num_layers: expected 1 to 8, found 9"),
        ("01", "directory of the layers: expected numbers of 1 to 4 bytes"),
        ("01 80808080", "directory of the layers: expected numbers of 1 to 4 bytes, found 80808080"),
        ("01 8100 01 70e7 07", "directory of the layers: expected numbers of 1 to 4 bytes, found 8100"),
        ("01 00 01 70e7 07", "bits of the layers: expected rising to at most 8, found 0"),
        ("01 09 01 70e7 07", "bits of the layers: expected rising to at most 8, found 9"),
        ("02 07 01 70e7 02 00 0000", "bits of the layers: expected rising to at most 8, found 9"),
        ("01 02 01 70", "directory of the layers: expected 5 bytes, found 4"),
        ("01 02 01 70e7", "layers: expected the first one, intact"),
        ("01 02 01 70e7 08", "layers: expected the first one, intact"),
        ("02 02 01 70e7 01 01 70e7 07 08", "payload: expected the layers of its directory, intact"),
        ("01 02 01 70e7 07 00", "payload: expected the layers of its directory, intact"),
        ("01 02 ffffff7f 0000 07", "layers: expected the first one, intact"),
    ],
)
def test_a_malformed_payload_is_refused_by_name(payload: str, message: str) -> None:
    with pytest.raises(WireError, match=message):
        Layers.from_bytes(bytes.fromhex(payload), 8)


def test_layers_that_do_not_rise_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="cuts: expected rising numbers of bits"):
        Layers((2, 2), (b"", b""))
    with pytest.raises(ValueError, match="cuts: expected one for each of 1 layers"):
        Layers((1, 2), (b"",))
    with pytest.raises(ValueError, match="num_layers: expected 1 to 255, found 0"):
        Layers((), ())
