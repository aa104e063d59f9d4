from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.configuration import Configuration
from approxbit.errors import FingerprintError, WireError
from approxbit.wire import HEADER_BYTES, Kind, Packet, pack
from approxbit.wire.frame import write_frame

CONFIGURATION = Configuration.parse("3-Enc-B3")
SIZE = (2, 3, 3)
PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)
CLIP = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def packet_of_code(**changes: Any) -> Packet:
    packet = Packet.of_code(CONFIGURATION, SIZE, PLANES, num_tokens=1, fingerprint=2**64 - 1, sequence=7)
    return dataclasses.replace(packet, **changes)


def forged(
    kind: int = 1,
    coding: int = 0,
    flags: int = 1,
    name: bytes = b"B3",
    fingerprint: int = 0,
    sizes: tuple[int, int, int] = SIZE,
    num_tokens: int = 1,
    codebook_size: int = 3,
    payload: bytes = b"\xb2\x78",
    name_bytes: int | None = None,
) -> bytes:
    """A packet written by hand, sealed whatever stands in it."""
    numbers = ((fingerprint, 8), *((extent, 2) for extent in sizes), (num_tokens, 2), (codebook_size, 2))
    body = b"".join(number.to_bytes(width, "big") for number, width in numbers) + name + payload
    details = bytes([coding, flags, len(name) if name_bytes is None else name_bytes])
    return write_frame(kind, details, 7, body)  # type: ignore[arg-type]


def forged_clip(**changes: Any) -> bytes:
    clip = {"kind": 2, "flags": 0, "name": b"", "sizes": (1, 1, 2), "num_tokens": 0, "codebook_size": 0}
    return forged(**{**clip, "payload": bytes(6), **changes})


def test_a_code_comes_back() -> None:
    packet = packet_of_code()
    received = Packet.from_bytes(packet.to_bytes())
    assert received == packet
    assert (received.kind, received.configuration, received.feature_size) == (Kind.CODE, CONFIGURATION, SIZE)
    assert (received.num_tokens, received.fingerprint, received.sequence) == (1, 2**64 - 1, 7)
    assert (received.codebook_size, received.num_positions, received.coding) == (3, 5, 0)
    np.testing.assert_array_equal(received.planes(), PLANES)


def test_a_clip_comes_back() -> None:
    packet = Packet.of_clip(CLIP[:, ::-1], fingerprint=5, sequence=2**32 - 1)
    received = Packet.from_bytes(packet.to_bytes())
    assert received == packet
    assert (received.kind, received.configuration, received.feature_size) == (Kind.CLIP, None, (2, 3, 4))
    assert (received.codebook_size, received.num_positions, received.num_tokens) == (0, 0, 0)
    np.testing.assert_array_equal(received.clip(), CLIP[:, ::-1])
    assert not received.clip().flags.writeable


@settings(deadline=None, max_examples=150)
@given(
    st.builds(
        Configuration, st.sampled_from(["B8", "x", "a" * 32, "b.1_"]), st.booleans(), st.integers(1, 33)
    ),
    st.tuples(*[st.sampled_from([1, 2, 3, 5, 8])] * 3),
    st.integers(0, 3),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
)
def test_every_code_comes_back_from_exactly_its_bytes(
    configuration: Configuration, size: tuple, num_tokens: int, fingerprint: int, sequence: int, source
) -> None:
    shape = configuration.codebook_size, configuration.num_positions(size, num_tokens)
    planes = np.frombuffer(source.randbytes(shape[0] * shape[1]), np.uint8).reshape(shape) & 1
    packet = Packet.of_code(configuration, size, planes, num_tokens, fingerprint, sequence)
    data = packet.to_bytes()
    assert Packet.from_bytes(data) == packet
    assert Packet.from_bytes(data).to_bytes() == data
    np.testing.assert_array_equal(Packet.from_bytes(data).planes(), planes)
    assert len(data) == packet.header_bytes + configuration.payload_bytes((1, *size), num_tokens)


@settings(deadline=None, max_examples=50)
@given(st.tuples(*[st.integers(1, 7)] * 3), st.randoms(use_true_random=False))
def test_every_clip_comes_back(size: tuple[int, int, int], source) -> None:
    time, height, width = size
    clip = np.frombuffer(source.randbytes(3 * time * height * width), np.uint8).reshape(*size, 3)
    np.testing.assert_array_equal(Packet.from_bytes(Packet.of_clip(clip).to_bytes()).clip(), clip)


def test_the_header_has_40_bytes_for_a_name_of_two_letters() -> None:
    assert HEADER_BYTES == 38
    assert packet_of_code().header_bytes == 40
    assert len(packet_of_code().to_bytes()) == 40 + 2
    assert Packet.of_clip(CLIP).header_bytes == 38
    assert len(Packet.of_clip(CLIP).to_bytes()) == 38 + CLIP.size


def test_the_largest_sizes_cross() -> None:
    configuration = Configuration("B8", True, 1)
    planes = np.zeros((1, 2**22), np.uint8)
    packet = Packet.of_code(configuration, (1, 2**12, 2**12), planes)
    assert Packet.from_bytes(packet.to_bytes()) == packet
    wide = Packet.of_code(Configuration("B8", False, 4096), (1, 1, 1), np.ones((4096, 1), np.uint8))
    assert Packet.from_bytes(wide.to_bytes()) == wide


def test_numbers_of_numpy_make_equal_packets() -> None:
    size = tuple(np.array(SIZE))
    packet = Packet.of_code(CONFIGURATION, size, PLANES, np.int64(1), np.uint64(2**64 - 1), np.int8(7))  # type: ignore[arg-type]
    assert packet == packet_of_code()
    assert hash(packet) == hash(packet_of_code())
    assert type(packet.fingerprint) is int


def test_the_fingerprint_must_be_the_receivers() -> None:
    packet = packet_of_code(fingerprint=0xABC)
    packet.check_fingerprint(0xABC)
    message = "fingerprint: expected 0xffffffffffffffff, found 0x0000000000000abc: load the same weights"
    with pytest.raises(FingerprintError, match=message):
        packet.check_fingerprint(2**64 - 1)


def test_forged_is_what_to_bytes_writes() -> None:
    assert forged() == packet_of_code(fingerprint=0).to_bytes()
    assert forged_clip() == Packet.of_clip(np.zeros((1, 1, 2, 3), np.uint8), sequence=7).to_bytes()


# In the order of the checks; each packet has its own fault and those of all that stand below it.
FAULTS_OF_A_CODE: list[tuple[str, dict[str, Any]]] = [
    ("kind: expected 1 (CODE) or 2 (CLIP), found 4", {"kind": 4}),
    ("flags: expected 0 to 3, found 4", {"flags": 4}),
    ("name_bytes: expected 0 to 6, found 7", {"name_bytes": 7}),
    ("codebook_size: expected 1 to 4096, found 4097", {"codebook_size": 4097}),
    ("name of the offload point: expected letters, digits", {"name": b"B\xc3\xa4"}),
    ("time: expected 1 to 65535, found 0", {"sizes": (0, 60000, 60000)}),
    ("positions: expected 1 to 4194304, found 900065535", {"sizes": (1, 60000, 60000), "num_tokens": 65535}),
    ("coding: expected 0 to 4, found 9", {"coding": 9}),
    ("payload: expected 2 bytes for 3 x 5 bits, found 3", {"payload": b"\xb2\x78\xff"}),
]


@pytest.mark.parametrize("place", range(len(FAULTS_OF_A_CODE)))
def test_the_first_fault_of_a_code_is_named(place: int) -> None:
    message = FAULTS_OF_A_CODE[place][0]
    changes: dict[str, Any] = {}
    for _, fault in reversed(FAULTS_OF_A_CODE[place:]):
        changes.update(fault)
    with pytest.raises(WireError) as raised:
        Packet.from_bytes(forged(**changes))
    assert str(raised.value).startswith(message)


# Each clip has the named fault and that of the next row.
@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("flags: expected 0 to 3, found 128", {"flags": 128, "name_bytes": 33}),
        ("name_bytes: expected 0 to 32, found 33", {"name_bytes": 33, "payload": bytes(99), "flags": 1}),
        ("flags, name_bytes and codebook_size: expected 0 in a clip, found (1, 2, 3)",
         {"flags": 1, "name": b"B8", "codebook_size": 3, "sizes": (1, 1, 0)}),
        ("width: expected 1 to 65535, found 0", {"sizes": (1, 1, 0), "num_tokens": 1}),
        ("configuration, num_tokens, coding and place: expected None, 0, 0 and None in a clip, found (None,",
         {"num_tokens": 1, "coding": 2, "sizes": (60000, 60000, 1)}),
        ("bytes of the clip: expected 3 to 67108864, found 10800000000",
         {"sizes": (60000, 60000, 1), "payload": bytes(7)}),
        ("payload: expected 6 bytes for 1 x 1 x 2 x 3, found 7", {"payload": bytes(7)}),
    ],
)  # fmt: skip
def test_the_first_fault_of_a_clip_is_named(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as raised:
        Packet.from_bytes(forged_clip(**changes))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (write_frame(Kind.CODE, bytes(3), 0, bytes(17)), "body_bytes: expected at least 18, found 17"),
        (forged(codebook_size=0), "codebook_size: expected 1 to 4096, found 0"),
        (forged(name=b""), "name of the offload point: .* found b''"),
        (forged(name=b".3"), "name of the offload point: .* found b'.3'"),
        (forged(name=b"B-3"), "name of the offload point: .* found b'B-3'"),
        (forged(name=b"B3\n"), r"name of the offload point: .* found b'B3\\n'"),
        (forged(sizes=(2, 0, 3)), "height: expected 1 to 65535, found 0"),
        (forged(sizes=(1, 2**12, 2**12), num_tokens=0, codebook_size=4096),
         "packed bytes: expected 1 to 67108864, found 2147483648"),
        (forged(payload=b""), "payload: expected 2 bytes for 3 x 5 bits, found 0"),
        (forged(payload=b"\xb2\x79"), "padding: expected 1 zero bits at the end, found 1"),
        (forged_clip(payload=bytes(5)), "payload: expected 6 bytes for 1 x 1 x 2 x 3, found 5"),
    ],
)  # fmt: skip
def test_a_malformed_packet_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        Packet.from_bytes(data)


@pytest.mark.parametrize("size", [(1, 65535, 65535), (65535, 65535, 65535)])
def test_a_packet_that_declares_gigabytes_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(WireError, match="positions: expected 1 to 4194304"):
        Packet.from_bytes(forged(sizes=size, codebook_size=4096))
    with pytest.raises(WireError, match="bytes of the clip: expected 3 to 67108864"):
        Packet.from_bytes(forged_clip(sizes=size))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": Kind.ANSWER}, "kind: expected Kind.CODE or Kind.CLIP, found <Kind.ANSWER: 3>"),
        ({"configuration": None}, "configuration: expected one such as '64-Enc-B8', found None"),
        ({"configuration": Configuration("B3", True, 4097)}, "codebook_size: expected 1 to 4096, found 4097"),
        ({"configuration": Configuration("B" * 33, True, 3)}, "name_bytes: expected 1 to 32, found 33"),
        ({"feature_size": (3, 3)}, r"feature_size: expected \(time, height, width\), found \(3, 3\)"),
        ({"feature_size": (65536, 1, 1)}, "time: expected 1 to 65535, found 65536"),
        ({"num_tokens": -1}, "num_tokens: expected 0 to 65535, found -1"),
        ({"fingerprint": 2**64}, "fingerprint: expected 0 to 18446744073709551615, found"),
        ({"sequence": 2**32}, "sequence: expected 0 to 4294967295, found 4294967296"),
        ({"kind": Kind.CLIP}, "configuration, num_tokens, coding and place: expected None, 0, 0 and None in"),
    ],
)  # fmt: skip
def test_a_packet_that_could_not_be_read_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        packet_of_code(**changes)


def test_fields_are_integers_and_bytes() -> None:
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        packet_of_code(sequence=1.0)
    with pytest.raises(TypeError, match="payload: expected bytes, found bytearray"):
        packet_of_code(payload=bytearray(b"\xb2\x78"))


def test_planes_must_fit_their_configuration() -> None:
    with pytest.raises(ValueError, match=r"planes: expected \(3, 4\) for 3-Enc-B3, found \(3, 5\)"):
        Packet.of_code(CONFIGURATION, SIZE, PLANES)
    with pytest.raises(ValueError, match="planes: expected only 0 and 1, found 2"):
        Packet.of_code(CONFIGURATION, SIZE, 2 * PLANES, num_tokens=1)


@pytest.mark.parametrize("clip", [CLIP.astype(np.float32), CLIP[..., :2], CLIP[0], CLIP[None], "clip"])
def test_a_clip_is_rgb_bytes(clip: Any) -> None:
    with pytest.raises(ValueError, match=r"clip: expected uint8 \[time, height, width, 3\], found"):
        Packet.of_clip(clip)


def test_a_code_is_no_clip_and_a_clip_no_code() -> None:
    with pytest.raises(ValueError, match=r"holds a clip: use clip\(\)"):
        Packet.of_clip(CLIP).planes()
    with pytest.raises(ValueError, match=r"holds a code: use planes\(\)"):
        packet_of_code().clip()


def test_a_payload_that_is_there_already_needs_no_planes() -> None:
    packet = Packet(Kind.CODE, CONFIGURATION, SIZE, pack(PLANES), num_tokens=1)
    assert packet == Packet.of_code(CONFIGURATION, SIZE, PLANES, num_tokens=1)
