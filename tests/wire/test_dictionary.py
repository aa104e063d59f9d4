"""zstandard in the place of tables: the same promises as for any other coding."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import (
    Coding,
    Packet,
    PriorTables,
    StreamPlace,
    ZstdDictionary,
    codings_of,
    pack,
    packed_bytes,
    read_prior,
)
from approxbit.wire.coding import decode_payload, encode_planes

CONFIGURATION, SIZE = Configuration("B3", False, 16), (4, 5, 5)


def draw_codes(count: int, seed: int, share: float = 0.03) -> np.ndarray:
    """Codes that are one of ten with a few bits flipped."""
    source = np.random.default_rng(seed)
    ten = np.random.default_rng(0).random((10, 16, 100)) < 0.4
    return (ten[source.integers(10, size=count)] ^ (source.random((count, 16, 100)) < share)).astype(np.uint8)


@pytest.fixture(scope="module")
def dictionary() -> ZstdDictionary:
    return ZstdDictionary.train(SIZE, 0, 16, [pack(each) for each in draw_codes(400, 1)])


def packet_of(planes: np.ndarray, dictionary: ZstdDictionary) -> Packet:
    return Packet.of_code(CONFIGURATION, SIZE, planes, fingerprint=5, sequence=7, prior=dictionary)


def test_a_code_like_those_of_the_training_becomes_shorter_and_comes_back(dictionary: ZstdDictionary) -> None:
    for planes in draw_codes(20, 2):
        packet = packet_of(planes, dictionary)
        assert packet.coding is Coding.DICTIONARY
        assert len(packet.payload) < packed_bytes(16, 100)
        received = Packet.from_bytes(packet.to_bytes())
        assert received == packet
        np.testing.assert_array_equal(received.planes(dictionary), planes)


def test_a_code_that_would_become_no_shorter_is_packed_raw(dictionary: ZstdDictionary) -> None:
    planes = np.random.default_rng(3).integers(0, 2, (16, 100), np.uint8)
    assert packet_of(planes, dictionary).coding is Coding.RAW


def test_the_leading_bits_of_a_codec_cross_under_its_dictionary(dictionary: ZstdDictionary) -> None:
    planes = draw_codes(1, 4)[0, :8]
    packet = Packet.of_code(Configuration("B3", False, 8), SIZE, planes, prior=dictionary)
    assert packet.coding is Coding.DICTIONARY
    np.testing.assert_array_equal(packet.planes(dictionary), planes)


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_it_comes_back_from_its_bytes(dictionary: ZstdDictionary, share: float) -> None:
    again = read_prior(dictionary.to_bytes())
    assert again == dictionary
    planes = draw_codes(1, 5, share)[0]
    assert encode_planes(planes, again) == encode_planes(planes, dictionary)


def test_few_short_samples_are_the_dictionary_themselves() -> None:
    made = ZstdDictionary.train((1, 1, 1), 0, 8, [b"a", b"b"])
    assert made.content == b"ab"
    with pytest.raises(ValueError, match="bytes of the dictionary: expected 1 to 1048576, found 0"):
        ZstdDictionary.train((1, 1, 1), 0, 8, [])


def test_nothing_but_such_frames_is_read(dictionary: ZstdDictionary) -> None:
    payload = packet_of(draw_codes(1, 6)[0], dictionary).payload
    source, num_refused = np.random.default_rng(7), 0
    for _ in range(2000):
        forged = bytearray(payload)
        forged[source.integers(len(forged))] ^= 1 << source.integers(8)
        forged = forged[: source.integers(len(forged) + 1)] if source.random() < 0.3 else forged
        try:
            planes = decode_payload(Coding.DICTIONARY, bytes(forged), 16, 100, dictionary)
            assert planes.shape == (16, 100)  # zstandard has no checksum here: the packet has
        except WireError:
            num_refused += 1
    assert num_refused > 500
    for forged in (payload + b"\0", payload[:-1], b"", b"\0", payload[:2]):
        with pytest.raises(WireError, match=r"payload|descriptor of the frame"):
            decode_payload(Coding.DICTIONARY, forged, 16, 100, dictionary)


def test_a_frame_that_declares_a_size_is_refused_unread(dictionary: ZstdDictionary) -> None:
    for descriptor in (0x20, 0x40, 0x80, 0xE0, 0x04, 0x01):
        forged = bytes([descriptor]) + b"\xff" * 12
        with pytest.raises(WireError, match=f"descriptor of the frame: expected 0, found {descriptor}"):
            decode_payload(Coding.DICTIONARY, forged, 16, 100, dictionary)


def test_a_frame_of_another_length_is_refused(dictionary: ZstdDictionary) -> None:
    for num_bytes in (199, 201, 10_000_000):
        with pytest.raises(WireError, match="a frame of 200 bytes"):
            dictionary.decompress(dictionary.compress(bytes(num_bytes)), 200)


def test_a_coding_needs_its_own_prior(dictionary: ZstdDictionary) -> None:
    payload = packet_of(draw_codes(1, 8)[0], dictionary).payload
    tables = PriorTables.of_zeros(16, SIZE)
    with pytest.raises(ValueError, match="expected the codec's dictionary, as coding 4 needs, found Prior"):
        decode_payload(Coding.DICTIONARY, payload, 16, 100, tables)
    with pytest.raises(ValueError, match="expected the codec's tables, as coding 1 needs, found ZstdDict"):
        decode_payload(Coding.CONTEXT, payload, 16, 100, dictionary)
    with pytest.raises(ValueError, match="expected dictionary for 99 positions, found one for 100"):
        decode_payload(Coding.DICTIONARY, payload, 16, 99, dictionary)
    assert codings_of(None) == {Coding.RAW}
    assert codings_of(dictionary) == {Coding.RAW, Coding.DICTIONARY}
    assert codings_of(tables) == {Coding.RAW, Coding.CONTEXT, Coding.LAYERED}


def test_layers_updates_and_other_sizes_need_tables(dictionary: ZstdDictionary) -> None:
    planes = draw_codes(1, 9)[0]
    with pytest.raises(ValueError, match="expected tables, for layers or an update, found a dictionary"):
        encode_planes(planes, dictionary, cuts=(8, 16))
    place = StreamPlace.after(3, pack(planes), 1, 1)
    with pytest.raises(ValueError, match="expected tables, for layers or an update, found a dictionary"):
        Packet.of_code(CONFIGURATION, SIZE, planes, prior=dictionary, place=place, earlier=planes)
    with pytest.raises(ValueError, match="expected one for 99 positions, found a dictionary for 100"):
        encode_planes(planes[:, :99], dictionary)
    dictionary.check_fit(CONFIGURATION, SIZE)
    dictionary.check_fit(Configuration("B3", False, 4), SIZE)
    with pytest.raises(ValueError, match=r"a prior for 32-NoEnc-B3 must have .* at least 32 bits"):
        dictionary.check_fit(Configuration("B3", False, 32), SIZE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"AXZ\x01", "at least 14 bytes, found 4"),
        (b"AXZ\x01" + bytes(20), "time of the dictionary: expected 1 to 65535, found 0"),
        (b"AXZ\x01" + bytes([0, 1] * 3) + bytes(4) + b"x", "codebook_size of the dictionary: .* found 0"),
        (b"AXZ\x01" + bytes([0, 1] * 3) + bytes([0, 0, 0, 1]), "bytes of the dictionary: .* found 0"),
        (
            b"AXZ\x01" + bytes([0, 1] * 3) + b"\0\0\0\1\x37\xa4\x30\xecjunk",
            "content of the dictionary: expected",
        ),
        (b"AXZ\x02" + bytes(20), "magic of the tables"),
    ],
)
def test_malformed_dictionaries_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read_prior(data)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"pip install approxbit\[zstd\]"):
        ZstdDictionary((1, 1, 1), 0, 8, b"something new")
