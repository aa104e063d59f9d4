from __future__ import annotations

import pytest

from approxbit.errors import WireError
from approxbit.wire.frame import (
    FRAME_BYTES,
    MAX_BODY_BYTES,
    Kind,
    expect_kind,
    read_frame,
    write_frame,
)

MESSAGE = write_frame(Kind.ANSWER, b"\x01\x02\x03", 0xFFFFFFFE, b"body")


def crc32_bit_by_bit(data: bytes) -> int:
    """CRC-32 as its polynomial defines it, to check zlib's against."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def changed(place: int, new: bytes) -> bytes:
    return MESSAGE[:place] + new + MESSAGE[place + len(new) :]


def test_a_frame_comes_back() -> None:
    frame = read_frame(MESSAGE)
    assert frame == (3, b"\x01\x02\x03", 0xFFFFFFFE, memoryview(b"body"))
    assert read_frame(bytearray(MESSAGE)) == frame
    assert read_frame(memoryview(b"." + MESSAGE)[1:]) == frame


def test_the_body_may_be_empty() -> None:
    assert read_frame(write_frame(Kind.CODE, bytes(3), 0, b"")).body == b""


def test_the_checksum_is_the_crc_32_of_all_other_bytes() -> None:
    assert int.from_bytes(MESSAGE[4:8], "big") == crc32_bit_by_bit(MESSAGE[:4] + MESSAGE[8:])
    assert crc32_bit_by_bit(b"123456789") == 0xCBF43926


def test_every_flipped_bit_is_noticed() -> None:
    for bit in range(8 * len(MESSAGE)):
        damaged = bytearray(MESSAGE)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(WireError, match=r"^(magic|version|body_bytes|checksum): "):
            read_frame(damaged)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "message: expected at least 20 bytes, found 0"),
        (MESSAGE[:19], "message: expected at least 20 bytes, found 19"),
        (changed(0, b"PNG"), "magic: expected 415842, found 504e47"),
        (changed(3, b"\x02"), "version: expected 1, found 2"),
        (changed(8, b"\xff" * 4), f"body_bytes: expected at most {MAX_BODY_BYTES}, found 4294967295"),
        (MESSAGE[:-1], "body_bytes: expected the declared 4, found 3 bytes after the frame"),
        (MESSAGE + b"\0", "body_bytes: expected the declared 4, found 5 bytes after the frame"),
        (MESSAGE * 2, "body_bytes: expected the declared 4, found 28 bytes after the frame"),
        (changed(FRAME_BYTES, b"B"), f"checksum: expected [0-9a-f]{{8}}, found {MESSAGE[4:8].hex()}"),
    ],
)
def test_a_message_that_is_not_intact_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        read_frame(data)


def test_an_unexpected_kind_is_refused() -> None:
    frame = read_frame(MESSAGE)
    assert expect_kind(frame, Kind.ANSWER) is Kind.ANSWER
    with pytest.raises(WireError, match=r"kind: expected 1 \(CODE\) or 2 \(CLIP\), found 3"):
        expect_kind(frame, Kind.CODE, Kind.CLIP)


def test_only_bytes_are_read() -> None:
    with pytest.raises(TypeError, match="message: expected bytes, found str"):
        read_frame("AXB")  # type: ignore[arg-type]
