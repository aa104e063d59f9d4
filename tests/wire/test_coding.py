"""A packet says how its code is coded, and reads it with the tables of the codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import Coding, Kind, Packet, PriorTables, StreamPlace, pack
from approxbit.wire.coding import coding_of, decode_payload, encode_planes
from approxbit.wire.entropy import Reference
from approxbit.wire.frame import read_frame, write_frame

MakePrior = Callable[..., PriorTables]
CONFIGURATION, SIZE = Configuration("B3", False, 4), (2, 3, 3)
ONES = np.ones((4, 18), np.uint8)


def packet_of(planes: np.ndarray, prior: PriorTables | None, cuts: tuple[int, ...] = ()) -> Packet:
    return Packet.of_code(CONFIGURATION, SIZE, planes, 0, 5, 7, prior, cuts)


def test_a_coded_packet_is_shorter_and_comes_back(make_prior: MakePrior) -> None:
    packet = packet_of(ONES, make_prior())
    assert packet.coding is Coding.CONTEXT
    assert len(packet.payload) < 9
    data = packet.to_bytes()
    assert (data[13], len(data)) == (1, 40 + len(packet.payload))
    received = Packet.from_bytes(data)
    assert received == packet
    np.testing.assert_array_equal(received.planes(make_prior()), ONES)


def test_a_payload_may_be_empty(make_prior: MakePrior) -> None:
    prior = make_prior(codebook_size=1, grid_size=(1, 1, 1))
    packet = Packet.of_code(Configuration("B3", False, 1), (1, 1, 1), np.ones((1, 1), np.uint8), prior=prior)
    assert (packet.coding, packet.payload) == (Coding.CONTEXT, b"")
    np.testing.assert_array_equal(Packet.from_bytes(packet.to_bytes()).planes(prior), [[1]])


def test_a_code_that_coding_would_not_shorten_is_packed_raw(make_prior: MakePrior) -> None:
    planes = np.random.default_rng(0).integers(0, 2, (4, 18), np.uint8)
    packet = packet_of(planes, make_prior())
    assert (packet.coding, len(packet.payload)) == (Coding.RAW, 9)
    np.testing.assert_array_equal(packet.planes(), planes)


def test_the_leading_bits_of_a_codec_cross_under_its_tables(make_prior: MakePrior) -> None:
    packet = Packet.of_code(Configuration("B3", False, 2), SIZE, ONES[:2], prior=make_prior())
    assert packet.coding is Coding.CONTEXT
    np.testing.assert_array_equal(packet.planes(make_prior()), ONES[:2])


def test_coded_bits_need_the_tables_of_their_codec(make_prior: MakePrior) -> None:
    packet = packet_of(ONES, make_prior())
    with pytest.raises(ValueError, match="prior: expected the codec's tables, as coding 1 needs, found None"):
        packet.planes()
    with pytest.raises(ValueError, match="prior: expected tables for 18 positions, found one for 8"):
        packet.planes(make_prior(grid_size=(2, 2, 2)))
    with pytest.raises(ValueError, match=r"planes: expected \(up to 2, 18\) for these tables"):
        packet.planes(make_prior(codebook_size=2))


def test_a_payload_that_no_encoder_writes_is_refused(make_prior: MakePrior) -> None:
    frame = read_frame(packet_of(ONES, make_prior()).to_bytes())
    for end, message in [
        (b"\0", "payload: expected no zero at its end in coding 1"),
        (bytes(8) + b"\1", "payload: expected at most 8 bytes, found 9 bytes in coding 1"),
    ]:
        forged = write_frame(Kind.CODE, frame.details, frame.sequence, bytes(frame.body[:20]) + end)
        with pytest.raises(WireError, match=message):
            Packet.from_bytes(forged)
    forged = write_frame(Kind.CODE, frame.details, frame.sequence, bytes(frame.body[:20]) + bytes(6) + b"\1")
    with pytest.raises(WireError, match="payload: expected what the encoder writes for its bits"):
        Packet.from_bytes(forged).planes(make_prior())


def test_an_unknown_coding_is_refused() -> None:
    for number in (5, 255):
        with pytest.raises(WireError, match=f"coding: expected 0 to 4, found {number}"):
            coding_of(number)


LARGE, LARGE_SIZE = Configuration("B3", True, 4), (8, 10, 9)
CUTS = (1, 2, 4)


@pytest.fixture
def layered(make_prior: MakePrior) -> tuple[Packet, PriorTables, np.ndarray]:
    prior = make_prior(grid_size=(4, 5, 5), num_tokens=1)
    planes = (np.random.default_rng(1).random((4, 101)) < 0.97).astype(np.uint8)
    packet = Packet.of_code(LARGE, LARGE_SIZE, planes, 1, 3, 9, prior, CUTS)
    assert packet.coding is Coding.LAYERED
    return packet, prior, planes


def test_a_layered_packet_comes_back(layered: tuple[Packet, PriorTables, np.ndarray]) -> None:
    packet, prior, planes = layered
    received = Packet.from_bytes(packet.to_bytes())
    assert received == packet == Packet.from_prefix(packet.to_bytes())
    assert (received.num_bits, received.header_bytes) == (4, 44)
    np.testing.assert_array_equal(received.planes(prior), planes)


def test_a_layered_packet_that_is_cut_anywhere_gives_its_whole_layers(
    layered: tuple[Packet, PriorTables, np.ndarray],
) -> None:
    packet, prior, planes = layered
    data = packet.to_bytes()
    kept = [packet.keep_layers(count) for count in (1, 2, 3)]
    sizes = [len(each.payload) for each in kept]
    # The directory of fewer layers is shorter; that of all stays in the bytes that were cut.
    ends = [len(data) - sum(len(part) for part in packet._layers().parts[count:]) for count in (1, 2, 3)]
    assert sizes == sorted(sizes)
    num_read = 0
    for length in range(len(data) + 1):
        if length < ends[0]:
            with pytest.raises(WireError):
                Packet.from_prefix(data[:length])
            continue
        count = sum(length >= end for end in ends)
        received = Packet.from_prefix(data[:length])
        assert received == kept[count - 1]
        np.testing.assert_array_equal(received.planes(prior), planes[: CUTS[count - 1]])
        num_read += 1
    assert num_read == len(data) + 1 - ends[0]
    assert Packet.from_bytes(kept[1].to_bytes()) == kept[1]


def test_no_damage_to_a_cut_packet_goes_unseen(layered: tuple[Packet, PriorTables, np.ndarray]) -> None:
    packet = layered[0]
    data = packet.to_bytes()[:-1]
    kept = [packet.keep_layers(count) for count in (1, 2, 3)]
    for place in range(12, len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            try:
                received = Packet.from_prefix(bytes(damaged))
            except WireError:
                continue
            assert received in kept  # a later layer was hit, and is left out


def test_only_a_layered_packet_can_be_cut(make_prior: MakePrior) -> None:
    packet = packet_of(ONES, make_prior())
    with pytest.raises(WireError, match="coding: expected 2: only a layered packet can be cut, found 1"):
        Packet.from_prefix(packet.to_bytes())
    with pytest.raises(ValueError, match="coding: expected a layered packet, found CONTEXT"):
        packet.keep_layers(1)
    with pytest.raises(WireError, match=r"kind: expected 1 \(CODE\), found 2"):
        Packet.from_prefix(Packet.of_clip(np.zeros((1, 1, 2, 3), np.uint8)).to_bytes())


def test_layers_that_would_be_longer_than_raw_are_not_written(make_prior: MakePrior) -> None:
    packet = packet_of(ONES, make_prior(), (1, 2, 3, 4))
    assert packet.coding is Coding.RAW


def test_a_wrong_head_checksum_is_refused(layered: tuple[Packet, PriorTables, np.ndarray]) -> None:
    frame = read_frame(layered[0].to_bytes())
    body = bytearray(frame.body)
    body[20] ^= 1
    with pytest.raises(WireError, match=r"head checksum: expected [0-9a-f]{8}, found [0-9a-f]{8}"):
        Packet.from_bytes(write_frame(Kind.CODE, frame.details, frame.sequence, bytes(body)))


def update_of(
    planes: np.ndarray, prior: PriorTables, earlier: np.ndarray, steps: int = 1, back: int = 1
) -> Packet:
    place = StreamPlace.after(0x89ABCDEF, pack(earlier), back, steps)
    return Packet.of_code(CONFIGURATION, SIZE, planes, 0, 5, 7, prior, place=place, earlier=earlier)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_update_names_its_earlier_code_and_comes_back(steps: int, make_prior: MakePrior) -> None:
    prior, earlier = make_prior(num_reference=7), ONES.copy()
    earlier[1, 3] = 0
    packet = update_of(ONES, prior, earlier, steps, back=3)
    assert packet.coding is Coding.UPDATE
    assert packet.earlier_sequence == 4
    data = packet.to_bytes()
    assert (data[13], data[14], len(data)) == (3, 2, 48 + len(packet.payload))
    received = Packet.from_bytes(data)
    assert received == packet
    assert received.place is not None
    assert received.place.means(pack(earlier))
    assert not received.place.means(pack(ONES))
    np.testing.assert_array_equal(received.planes(prior, earlier), ONES)


def test_the_earlier_sequence_runs_through_zero(make_prior: MakePrior) -> None:
    packet = update_of(ONES, make_prior(num_reference=7), ONES, back=9)
    assert packet.earlier_sequence == 2**32 - 2


@pytest.mark.parametrize("cuts", [(), (2, 4)])
def test_a_key_packet_of_a_stream_says_which(cuts: tuple[int, ...], make_prior: MakePrior) -> None:
    prior, place = make_prior(grid_size=(6, 4, 4)), StreamPlace(0x89ABCDEF)
    planes = np.ones((4, 96), np.uint8)
    packet = Packet.of_code(CONFIGURATION, (6, 4, 4), planes, prior=prior, cuts=cuts, place=place)
    assert packet.coding is (Coding.LAYERED if cuts else Coding.CONTEXT)
    data = packet.to_bytes()
    assert data[40:44] == bytes.fromhex("89abcdef")
    assert Packet.from_bytes(data) == packet
    assert packet.earlier_sequence is None
    np.testing.assert_array_equal(packet.planes(prior), planes)
    if cuts:
        assert Packet.from_prefix(data).place == place


def test_an_update_that_saves_nothing_becomes_a_key_packet(make_prior: MakePrior) -> None:
    planes = np.random.default_rng(0).integers(0, 2, (4, 18), np.uint8)
    packet = update_of(planes, make_prior(num_reference=7), ONES)
    assert (packet.coding, packet.place) == (Coding.RAW, StreamPlace(0x89ABCDEF))
    np.testing.assert_array_equal(Packet.from_bytes(packet.to_bytes()).planes(), planes)


def test_places_and_codings_must_agree(make_prior: MakePrior) -> None:
    prior = make_prior(num_reference=7)
    packet = update_of(ONES, prior, ONES)
    key = Packet.of_code(CONFIGURATION, SIZE, ONES, prior=prior)
    assert packet.place is not None
    for wrong in (None, packet.place.as_key()):
        with pytest.raises(ValueError, match="place: expected one of an update with coding 3"):
            replace(packet, place=wrong)
    with pytest.raises(ValueError, match="place: expected one of a key packet, or none with coding 1"):
        replace(key, place=packet.place)
    with pytest.raises(ValueError, match="steps: expected 0 to 1, found 2"):
        update_of(ONES, prior, ONES, steps=2)
    with pytest.raises(ValueError, match="earlier: expected the planes it names, found NoneType"):
        packet.planes(prior)
    with pytest.raises(ValueError, match="earlier: expected none with this place, found ndarray"):
        key.planes(prior, ONES)
    with pytest.raises(ValueError, match="reference: expected none without tables or with layers"):
        encode_planes(ONES, None, reference=Reference(ONES, 1))
    with pytest.raises(ValueError, match="reference: expected none without tables or with layers"):
        encode_planes(ONES, prior, (2, 4), Reference(ONES, 1))
    with pytest.raises(ValueError, match="reference: expected the code that the packet names with coding 3"):
        decode_payload(Coding.UPDATE, b"", 4, 18, prior)
    with pytest.raises(ValueError, match="reference: expected none with coding 1"):
        decode_payload(Coding.CONTEXT, b"", 4, 18, prior, Reference(ONES, 1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((2**32,), "stream: expected 0 to 4294967295"),
        ((1, 256, 1, 1), "back: expected 0 to 255"),
        ((1, 1, 256, 1), "steps: expected 0 to 255"),
        ((1, 1, 1, -1), "checksum of the earlier code: expected 0 to 65535"),
        ((1, 0, 1, 0), r"steps and checksum: expected 0 and 0 in a key packet, found \(1, 0\)"),
    ],
)
def test_a_place_stays_within_its_bounds(values: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamPlace(*values)
    with pytest.raises(ValueError, match="back: expected 1 to 255, found 0"):
        StreamPlace.after(1, b"", 0, 1)


def reseal(data: bytes) -> bytes:
    return write_frame(Kind.CODE, data[13:16], 7, data[20:])


def test_malformed_places_are_refused(make_prior: MakePrior) -> None:
    data = update_of(ONES, make_prior(num_reference=7), ONES).to_bytes()
    with pytest.raises(WireError, match="back: expected 1 to 255, found 0"):
        Packet.from_bytes(reseal(data[:44] + b"\0" + data[45:]))
    with pytest.raises(WireError, match="steps: expected 0 to 1, found 2"):
        Packet.from_bytes(reseal(data[:45] + b"\2" + data[46:]))
    with pytest.raises(WireError, match="place in the stream: expected 8 bytes, found 7"):
        Packet.from_bytes(reseal(data[:47]))
    with pytest.raises(WireError, match="place: expected one of an update with coding 3, found None"):
        Packet.from_bytes(reseal(data[:14] + b"\0" + data[15:40] + data[48:]))
    with pytest.raises(WireError, match="flags: expected 0 to 3, found 4"):
        Packet.from_bytes(reseal(data[:14] + b"\4" + data[15:]))
    with pytest.raises(WireError, match="no zero at its end in coding 3"):
        Packet.from_bytes(reseal(data + b"\0"))
