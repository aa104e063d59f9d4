from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.configuration import Configuration
from approxbit.errors import FingerprintError, WireError
from approxbit.wire import (
    HEADER_BYTES,
    AnswerKind,
    CodeFormat,
    Coding,
    Kind,
    Packet,
    Request,
    Text,
    Tokens,
    Wanted,
    WindowPlace,
    pack,
)
from approxbit.wire.frame import write_frame

CONFIGURATION = Configuration.parse("3-Enc-B3")
SIZE = (2, 3, 3)
PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)
CLIP = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
FORMAT = CodeFormat(CONFIGURATION, SIZE, 1, 2**64 - 1)
VIDEO = Packet.of_video(b"\0\1\2", "mp4.h264", (16, 112, 96), fingerprint=5, sequence=2**32 - 1)
REQUESTS = [
    Request(),
    Request(Text("what moves?\n")),
    Request(Tokens((5, 70000)), Wanted(AnswerKind.TEXT, 0)),
    Request(wanted=Wanted(AnswerKind.LOGITS, 0)),
]


def packet_of_code(**changes: Any) -> Packet:
    return dataclasses.replace(FORMAT.packet(PLANES, sequence=7), **changes)


def forged(
    kind: int = 3,
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
    clip = {"kind": 4, "flags": 0, "name": b"", "sizes": (1, 1, 2), "num_tokens": 0, "codebook_size": 0}
    return forged(**{**clip, "payload": bytes(6), **changes})


def forged_video(**changes: Any) -> bytes:
    return forged_clip(**{"kind": 5, "name": b"x", "payload": b"?", **changes})


def test_a_code_comes_back() -> None:
    packet = packet_of_code()
    received = Packet.from_bytes(packet.to_bytes())
    assert received == packet
    assert (received.kind, received.configuration, received.feature_size) == (Kind.CODE, CONFIGURATION, SIZE)
    assert (received.num_tokens, received.fingerprint, received.sequence) == (1, 2**64 - 1, 7)
    assert (received.codebook_size, received.num_positions, received.coding) == (3, 5, 0)
    assert (received.binding, received.place, received.request) == (None, None, Request())
    np.testing.assert_array_equal(received.planes(), PLANES)


def test_a_clip_comes_back() -> None:
    packet = Packet.of_clip(CLIP[:, ::-1], fingerprint=5, sequence=2**32 - 1)
    received = Packet.from_bytes(packet.to_bytes())
    assert received == packet
    assert (received.kind, received.configuration, received.feature_size) == (Kind.CLIP, None, (2, 3, 4))
    assert (received.codebook_size, received.num_positions, received.num_tokens) == (0, 0, 0)
    np.testing.assert_array_equal(received.clip(), CLIP[:, ::-1])
    assert not received.clip().flags.writeable


def test_a_video_comes_back() -> None:
    received = Packet.from_bytes(VIDEO.to_bytes())
    assert received == VIDEO
    assert (received.kind, received.video_format, received.feature_size) == (
        Kind.VIDEO,
        "mp4.h264",
        (16, 112, 96),
    )
    assert (received.payload, received.header_bytes) == (b"\0\1\2", HEADER_BYTES + 8)


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(
    "packet", [packet_of_code(), packet_of_code(binding=258), Packet.of_clip(CLIP), VIDEO]
)
def test_a_request_rides_in_every_packet(packet: Packet, request_: Request) -> None:
    asking = dataclasses.replace(packet, request=request_)
    data = asking.to_bytes()
    assert Packet.from_bytes(data) == asking
    assert len(data) == len(packet.to_bytes()) + len(request_.to_bytes())


def test_a_code_may_say_its_session() -> None:
    packet = packet_of_code(binding=258)
    data = packet.to_bytes()
    assert (data[14], data[40:42], packet.header_bytes) == (3, b"\1\2", 42)
    assert Packet.from_bytes(data) == packet


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
    known = CodeFormat(configuration, size, num_tokens, fingerprint)
    shape = configuration.codebook_size, known.num_positions
    planes = np.frombuffer(source.randbytes(shape[0] * shape[1]), np.uint8).reshape(shape) & 1
    packet = known.packet(planes, sequence)
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
    packet = CodeFormat(Configuration("B8", True, 1), (1, 2**12, 2**12)).packet(
        np.zeros((1, 2**22), np.uint8)
    )
    assert Packet.from_bytes(packet.to_bytes()) == packet
    wide = CodeFormat(Configuration("B8", False, 4096), (1, 1, 1)).packet(np.ones((4096, 1), np.uint8))
    assert Packet.from_bytes(wide.to_bytes()) == wide


def test_numbers_of_numpy_make_equal_packets() -> None:
    packet = packet_of_code(
        feature_size=tuple(np.array(SIZE)), num_tokens=np.int64(1), sequence=np.int8(7), binding=np.uint16(3)
    )
    assert packet == packet_of_code(binding=3)
    assert hash(packet) == hash(packet_of_code(binding=3))
    assert {type(each) for each in (packet.sequence, packet.binding, *packet.feature_size)} == {int}


def test_the_fingerprint_must_be_the_receivers() -> None:
    packet = packet_of_code(fingerprint=0xABC)
    packet.check_fingerprint(0xABC)
    message = "fingerprint: expected 0xffffffffffffffff, found 0x0000000000000abc: load the same weights"
    with pytest.raises(FingerprintError, match=message):
        packet.check_fingerprint(2**64 - 1)


def test_forged_is_what_to_bytes_writes() -> None:
    assert forged() == packet_of_code(fingerprint=0).to_bytes()
    assert forged_clip() == Packet.of_clip(np.zeros((1, 1, 2, 3), np.uint8), sequence=7).to_bytes()
    assert forged_video() == Packet.of_video(b"?", "x", (1, 1, 2), sequence=7).to_bytes()


# In the order of the checks; each packet has its own fault and those of all that stand below it.
FAULTS_OF_A_CODE: list[tuple[str, dict[str, Any]]] = [
    ("kind: expected 3 (CODE) or 4 (CLIP) or 5 (VIDEO), found 7", {"kind": 7}),
    ("flags: expected 0 to 7, found 8", {"flags": 8}),
    ("name_bytes: expected 1 to 32, found 33", {"name_bytes": 33}),
    ("name: expected 9 bytes, found 8", {"name_bytes": 9}),
    ("codebook_size: expected 1 to 4096, found 4097", {"codebook_size": 4097}),
    ("name: expected letters, digits", {"name": b"B\xc3\xa4"}),
    ("time: expected 1 to 65535, found 0", {"sizes": (0, 60000, 60000)}),
    ("binding: expected 1 to 65535, found 0", {"flags": 3, "payload": b"\0\0\xb2\x78\xff"}),
    ("positions: expected 1 to 4194304, found 900065535", {"sizes": (1, 60000, 60000), "num_tokens": 65535}),
    ("coding: expected 0 to 2, found 9", {"coding": 9}),
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


# Each has the named fault and that of the next row.
@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("flags: expected 0 to 7, found 128", {"flags": 128, "name_bytes": 33}),
        ("name_bytes: expected 0 to 32, found 33", {"name_bytes": 33, "payload": bytes(99), "flags": 1}),
        ("flags, codebook_size and name_bytes: expected none of a code, found (1, 3, 2)",
         {"flags": 1, "name": b"B8", "codebook_size": 3, "sizes": (1, 1, 0)}),
        ("width: expected 1 to 65535, found 0", {"sizes": (1, 1, 0), "num_tokens": 1}),
        ("num_tokens, coding, binding and place: expected 0, 0, None and None without a code, found (1, 2,",
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
    ("message", "changes"),
    [
        ("name_bytes: expected 1 to 32, found 0", {"name": b""}),
        ("flags, codebook_size and name_bytes: expected none of a code, found (3, 0, 1)", {"flags": 3}),
        ("name: expected letters, digits, '_' and '.', the last not at the", {"name": b"/"}),
        ("num_tokens, coding, binding and place: expected 0, 0, None and None", {"coding": 1}),
        ("pixels of the video: expected 1 to 67108864, found 67173375", {"sizes": (1025, 65535, 1)}),
        ("bytes of the video: expected 1 to 67108864, found 0", {"payload": b""}),
    ],
)  # fmt: skip
def test_a_malformed_video_is_refused(message: str, changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as raised:
        Packet.from_bytes(forged_video(**changes))
    assert str(raised.value).startswith(message)


def test_a_video_of_the_most_pixels_is_read() -> None:
    assert Packet.from_bytes(forged_video(sizes=(1024, 256, 256))).feature_size == (1024, 256, 256)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (write_frame(Kind.CODE, bytes(3), 0, bytes(17)), "fields of the packet: expected 18 bytes, found 17"),
        (forged(codebook_size=0), "codebook_size: expected 1 to 4096, found 0"),
        (forged(name=b""), "name_bytes: expected 1 to 32, found 0"),
        (forged(name=b".3"), "name: .* found b'.3'"),
        (forged(name=b"B-3"), "name: .* found b'B-3'"),
        (forged(name=b"B3\n"), r"name: .* found b'B3\\n'"),
        (forged(sizes=(2, 0, 3)), "height: expected 1 to 65535, found 0"),
        (forged(sizes=(1, 2**12, 2**12), num_tokens=0, codebook_size=4096),
         "packed bytes: expected 1 to 67108864, found 2147483648"),
        (forged(payload=b""), "payload: expected 2 bytes for 3 x 5 bits, found 0"),
        (forged(payload=b"\xb2\x79"), "padding: expected 1 zero bits at the end, found 1"),
        (forged(flags=3, payload=b"\1"), "binding: expected 2 bytes, found 1"),
        (forged(flags=5, payload=b""), "request: expected 1 bytes, found 0"),
        (forged(coding=2, payload=b"\1\0\0"), "place of the window: expected 4 bytes, found 3"),
        (forged(coding=2, payload=b"\1\0\0\0"), "binding: expected that of the earlier code, found None"),
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
    with pytest.raises(WireError, match="pixels of the video: expected 1 to 67108864"):
        Packet.from_bytes(forged_video(sizes=size))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_format": "mp4"}, "video_format: expected none with a configuration, found mp4"),
        ({"configuration": Configuration("B3", True, 4097)}, "codebook_size: expected 1 to 4096, found 4097"),
        ({"configuration": Configuration("B" * 33, True, 3)}, "name_bytes: expected 1 to 32, found 33"),
        ({"feature_size": (3, 3)}, r"feature_size: expected \(time, height, width\), found \(3, 3\)"),
        ({"feature_size": (65536, 1, 1)}, "time: expected 1 to 65535, found 65536"),
        ({"num_tokens": -1}, "num_tokens: expected 0 to 65535, found -1"),
        ({"fingerprint": 2**64}, "fingerprint: expected 0 to 18446744073709551615, found"),
        ({"sequence": 2**32}, "sequence: expected 0 to 4294967295, found 4294967296"),
        ({"binding": 2**16}, "binding: expected 1 to 65535, found 65536"),
        ({"configuration": None}, "num_tokens, coding, binding and place: expected 0, 0, None and None"),
        ({"coding": Coding.UPDATE}, "place: expected that of an update with coding 2, found None"),
        ({"place": WindowPlace(1, 0, 0)}, "place: expected none with coding 0, found WindowPlace"),
        ({"coding": 2, "place": WindowPlace(1, 0, 0)}, "binding: expected that of the earlier code"),
    ],
)  # fmt: skip
def test_a_packet_that_could_not_be_read_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        packet_of_code(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_format": "x" * 33}, "name_bytes: expected 1 to 32, found 33"),
        ({"video_format": "mp4/h264"}, "name: expected letters, digits"),
        ({"video_format": "mp4.ä"}, "name: expected letters, digits"),
        (
            {"feature_size": (2, 65535, 65535)},
            "pixels of the video: expected 1 to 67108864, found 8589672450",
        ),
        ({"payload": b""}, "bytes of the video: expected 1 to 67108864, found 0"),
        (
            {"binding": 1},
            "num_tokens, coding, binding and place: expected 0, 0, None and None without a code",
        ),
    ],
)
def test_a_video_that_could_not_be_read_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(VIDEO, **changes)


def test_fields_are_integers_and_bytes() -> None:
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        packet_of_code(sequence=1.0)
    with pytest.raises(TypeError, match="payload: expected bytes, found bytearray"):
        packet_of_code(payload=bytearray(b"\xb2\x78"))


@pytest.mark.parametrize("clip", [CLIP.astype(np.float32), CLIP[..., :2], CLIP[0], CLIP[None], "clip"])
def test_a_clip_is_rgb_bytes(clip: Any) -> None:
    with pytest.raises(ValueError, match=r"clip: expected uint8 \[time, height, width, 3\], found"):
        Packet.of_clip(clip)


def test_what_a_packet_does_not_hold_is_not_to_be_had() -> None:
    with pytest.raises(ValueError, match=r"holds a clip: use clip\(\)"):
        Packet.of_clip(CLIP).planes()
    for packet, kind in ((packet_of_code(), "CODE"), (VIDEO, "VIDEO")):
        with pytest.raises(ValueError, match=f"kind: expected a packet that holds a clip, found {kind}"):
            packet.clip()


def test_a_payload_that_is_there_already_needs_no_planes() -> None:
    packet = Packet(CONFIGURATION, SIZE, pack(PLANES), num_tokens=1)
    assert packet == CodeFormat(CONFIGURATION, SIZE, 1).packet(PLANES)
