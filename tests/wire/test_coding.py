"""A packet says how its code is coded, and reads it with the tables of the codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import CodeFormat, Coding, Packet, PriorTables, WindowPlace, code_format, codings_of, pack
from approxbit.wire.coding import coding_of, decode_payload, encode_planes
from approxbit.wire.entropy import Reference
from approxbit.wire.frame import Kind, read_frame, write_frame

MakePrior = Callable[..., PriorTables]
CONFIGURATION, SIZE = Configuration("B3", False, 4), (2, 3, 3)
ONES = np.ones((4, 18), np.uint8)


def packet_of(planes: np.ndarray, prior: PriorTables | None) -> Packet:
    return CodeFormat(CONFIGURATION, SIZE, 0, 5, prior).packet(planes, 7)


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
    known = CodeFormat(Configuration("B3", False, 1), (1, 1, 1), prior=prior)
    packet = known.packet(np.ones((1, 1), np.uint8))
    assert (packet.coding, packet.payload) == (Coding.CONTEXT, b"")
    np.testing.assert_array_equal(Packet.from_bytes(packet.to_bytes()).planes(prior), [[1]])


def test_a_code_that_coding_would_not_shorten_is_packed_raw(make_prior: MakePrior) -> None:
    planes = np.random.default_rng(0).integers(0, 2, (4, 18), np.uint8)
    packet = packet_of(planes, make_prior())
    assert (packet.coding, len(packet.payload)) == (Coding.RAW, 9)
    np.testing.assert_array_equal(packet.planes(), planes)


def test_the_leading_bits_of_a_codec_cross_under_its_tables(make_prior: MakePrior) -> None:
    packet = CodeFormat(Configuration("B3", False, 2), SIZE, prior=make_prior()).packet(ONES[:2])
    assert packet.coding is Coding.CONTEXT
    np.testing.assert_array_equal(packet.planes(make_prior()), ONES[:2])


def test_coded_bits_need_the_tables_of_their_codec(make_prior: MakePrior) -> None:
    packet = packet_of(ONES, make_prior())
    with pytest.raises(ValueError, match="prior: expected the codec's tables, as coding 1 needs, found None"):
        packet.planes()
    with pytest.raises(ValueError, match="prior: expected tables for 18 positions, found some for 8"):
        packet.planes(make_prior(grid_size=(2, 2, 2)))
    with pytest.raises(ValueError, match=r"planes: expected \(1 to 2, 18\) for these tables"):
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
    for number in (3, 255):
        with pytest.raises(WireError, match=f"coding: expected 0 to 2, found {number}"):
            coding_of(number)


def test_tables_say_which_codings_they_read(make_prior: MakePrior) -> None:
    assert codings_of(None) == {Coding.RAW}
    assert codings_of(make_prior()) == {Coding.RAW, Coding.CONTEXT}
    assert codings_of(make_prior(num_reference=1)) == set(Coding)


def update_of(
    planes: np.ndarray, prior: PriorTables, earlier: np.ndarray, steps: int = 1, back: int = 1
) -> Packet:
    """An update, whether or not it saves anything."""
    place = WindowPlace.after(pack(earlier), back, steps)
    coding, payload = encode_planes(planes, prior, Reference(earlier, steps))
    assert coding == Coding.UPDATE
    return Packet(CONFIGURATION, SIZE, payload, 0, 5, 7, coding, 9, place)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_update_names_its_earlier_code_and_comes_back(steps: int, make_prior: MakePrior) -> None:
    prior, earlier = make_prior(num_reference=7), ONES.copy()
    earlier[1, 3] = 0
    packet = update_of(ONES, prior, earlier, steps, back=3)
    assert packet.earlier_sequence == 4
    data = packet.to_bytes()
    assert (data[13], data[14], len(data)) == (2, 2, 46 + len(packet.payload))
    received = Packet.from_bytes(data)
    assert received == packet
    assert received.place is not None
    assert received.place.means(pack(earlier))
    assert not received.place.means(pack(ONES))
    np.testing.assert_array_equal(received.planes(prior, earlier), ONES)


def test_the_earlier_sequence_runs_through_zero(make_prior: MakePrior) -> None:
    assert update_of(ONES, make_prior(num_reference=7), ONES, back=9).earlier_sequence == 254
    assert packet_of(ONES, make_prior()).earlier_sequence is None


def trusting_format(make_prior: MakePrior) -> CodeFormat:
    """Tables of updates that take the guess at the same position for nearly sure."""
    key, grid = make_prior(grid_size=(4, 16, 16)), (4, 16, 16)
    reference, output = np.full((4, 1, 1), 4096, np.int16), np.full((4, 1), 4096, np.int16)
    update = replace(PriorTables.of_zeros(4, grid), reference=reference, output=output)
    return CodeFormat(CONFIGURATION, grid, prior=replace(key, update=update))


EARLIER = (np.random.default_rng(2).random((4, 1024)) < 0.9).astype(np.uint8)
PLACE = WindowPlace.after(pack(EARLIER), 1, 0)


def test_an_update_is_made_only_where_it_is_shorter_with_its_place(make_prior: MakePrior) -> None:
    known = trusting_format(make_prior)
    key = known.packet(EARLIER, 1, 9)
    update = known.packet(EARLIER, 1, 9, PLACE, EARLIER)
    assert (key.coding, update.coding, update.place) == (Coding.CONTEXT, Coding.UPDATE, PLACE)
    assert len(update.payload) + 4 < len(key.payload)
    np.testing.assert_array_equal(update.planes(known.prior, EARLIER), EARLIER)
    assert known.packet(pack(EARLIER), 1, 9, PLACE, pack(EARLIER)) == update
    assert known.packet(EARLIER, 1, 9, PLACE, 1 - EARLIER) == key


def test_four_bytes_that_an_update_saves_are_not_worth_its_place(
    make_prior: MakePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = trusting_format(make_prior)
    for saved, coding in ((4, Coding.CONTEXT), (5, Coding.UPDATE)):
        encoded = iter([(Coding.CONTEXT, bytes(9) + b"\1"), (Coding.UPDATE, bytes(9 - saved) + b"\1")])
        monkeypatch.setattr(code_format, "encode_planes", lambda *_, encoded=encoded: next(encoded))
        assert known.packet(EARLIER, 1, 9, PLACE, EARLIER).coding == coding


def test_tables_without_updates_make_key_packets(make_prior: MakePrior) -> None:
    for prior in (None, make_prior()):
        known = CodeFormat(CONFIGURATION, SIZE, prior=prior)
        packet = known.packet(ONES, 1, 9, WindowPlace.after(pack(ONES), 1, 0), ONES)
        assert packet == known.packet(ONES, 1, 9)


def test_places_and_codings_must_agree(make_prior: MakePrior) -> None:
    prior = make_prior(num_reference=7)
    packet, key = update_of(ONES, prior, ONES), packet_of(ONES, prior)
    with pytest.raises(ValueError, match="place: expected that of an update with coding 2, found None"):
        replace(packet, place=None)
    with pytest.raises(ValueError, match="place: expected none with coding 1, found WindowPlace"):
        replace(key, place=packet.place)
    with pytest.raises(ValueError, match="steps: expected 0 to 1, found 2"):
        update_of(ONES, prior, ONES, steps=2)
    with pytest.raises(ValueError, match="earlier: expected the planes that the place names, found NoneType"):
        packet.planes(prior)
    with pytest.raises(ValueError, match="earlier: expected none without a place, found ndarray"):
        key.planes(prior, ONES)
    with pytest.raises(ValueError, match="place and earlier: expected both or none"):
        CodeFormat(CONFIGURATION, SIZE).packet(ONES, earlier=ONES)
    with pytest.raises(ValueError, match="reference: expected none without tables, found one"):
        encode_planes(ONES, None, Reference(ONES, 1))
    with pytest.raises(ValueError, match="reference: expected the code that the packet names with coding 2"):
        decode_payload(Coding.UPDATE, b"", 4, 18, prior)
    with pytest.raises(ValueError, match="reference: expected none with coding 1"):
        decode_payload(Coding.CONTEXT, b"", 4, 18, prior, Reference(ONES, 1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 1), "back: expected 1 to 255, found 0"),
        ((256, 1, 1), "back: expected 1 to 255, found 256"),
        ((1, 256, 1), "steps: expected 0 to 255, found 256"),
        ((1, 1, -1), "checksum of the earlier code: expected 0 to 65535, found -1"),
    ],
)
def test_a_place_stays_within_its_bounds(values: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowPlace(*values)


def reseal(data: bytes) -> bytes:
    return write_frame(Kind.CODE, data[13:16], 7, data[20:])


def test_malformed_places_are_refused(make_prior: MakePrior) -> None:
    data = update_of(ONES, make_prior(num_reference=7), ONES).to_bytes()
    with pytest.raises(WireError, match="back: expected 1 to 255, found 0"):
        Packet.from_bytes(reseal(data[:42] + b"\0" + data[43:]))
    with pytest.raises(WireError, match="steps: expected 0 to 1, found 2"):
        Packet.from_bytes(reseal(data[:43] + b"\2" + data[44:]))
    with pytest.raises(WireError, match="place of the window: expected 4 bytes, found 3"):
        Packet.from_bytes(reseal(data[:45]))
    with pytest.raises(WireError, match="no zero at its end in coding 2"):
        Packet.from_bytes(reseal(data + b"\0"))
