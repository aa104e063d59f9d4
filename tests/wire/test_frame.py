from __future__ import annotations

import pytest

from approxbit.errors import WireError
from approxbit.wire.frame import (
    FRAME_BYTES,
    MAX_BODY_BYTES,
    Cursor,
    Kind,
    parse,
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
    assert frame == (7, b"\x01\x02\x03", 0xFFFFFFFE, memoryview(b"body"))
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


def test_a_body_of_the_longest_length_is_read_and_one_more_byte_is_not() -> None:
    longest = write_frame(Kind.VIDEO, bytes(3), 0, bytes(MAX_BODY_BYTES))
    assert len(read_frame(longest).body) == MAX_BODY_BYTES
    too_long = write_frame(Kind.VIDEO, bytes(3), 0, bytes(MAX_BODY_BYTES + 1))
    with pytest.raises(
        WireError, match=f"body_bytes: expected at most {MAX_BODY_BYTES}, found {2**26 + 8193}"
    ):
        read_frame(too_long)


def test_the_reader_of_its_kind_reads_a_message() -> None:
    readers = {Kind.ANSWER: lambda frame: bytes(frame.body), Kind.CODE: lambda frame: b""}
    assert parse(MESSAGE, readers) == b"body"
    with pytest.raises(WireError, match=r"kind: expected 3 \(CODE\) or 4 \(CLIP\), found 7"):
        parse(MESSAGE, dict.fromkeys((Kind.CODE, Kind.CLIP), lambda frame: b""))


def test_what_a_reader_finds_out_of_bounds_is_malformed() -> None:
    def read(frame: object) -> None:
        raise ValueError("time: expected 1 to 65535, found 0")

    with pytest.raises(WireError, match="time: expected 1 to 65535, found 0"):
        parse(MESSAGE, {Kind.ANSWER: read})


def test_a_body_is_taken_from_its_front() -> None:
    cursor = Cursor(b"abcd")
    assert (cursor.take(1, "first"), cursor.num_left) == (b"a", 3)
    with pytest.raises(WireError, match="rest: expected 4 bytes, found 3"):
        cursor.take(4, "rest")
    with pytest.raises(WireError, match="last: expected the end of the message behind it, found 3 bytes"):
        cursor.expect_end("last")
    assert cursor.take_rest() == b"bcd"
    cursor.expect_end("last")


def test_only_bytes_are_read() -> None:
    with pytest.raises(TypeError, match="message: expected bytes, found str"):
        read_frame("AXB")  # type: ignore[arg-type]
