"""`FORMAT.md` says what the code does: its tables and its worked examples are read and compared."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import approxbit.wire
from approxbit.configuration import Configuration
from approxbit.wire import (
    HEADER_BYTES,
    SHORT_HEADER_BYTES,
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Hello,
    Kind,
    LateQuestion,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Reply,
    Request,
    Sent,
    Status,
    TensorAnswer,
    Text,
    Tokens,
    TopK,
    Wanted,
    Welcome,
    WindowPlace,
    classes,
    frame,
    pack,
    read_reply,
    read_sent,
    refusal,
    session,
    sizes,
    tensor,
    text,
    window,
)
from approxbit.wire import packet as packet_module
from approxbit.wire import request as request_module
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import GlobalUnits, Reference

FORMAT = (Path(approxbit.wire.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")

PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)
FINGERPRINT = 0x0123456789ABCDEF
FIRST = CodeFormat(Configuration.parse("3-Enc-B3"), (2, 3, 3), 1, FINGERPRINT)
SECOND = CodeFormat(Configuration.parse("2-NoEnc-B3"), (2, 2, 3), 0, FINGERPRINT)
HELLO, WELCOME = Hello((FIRST, SECOND), sequence=6, nonce=0x5EED1234), Welcome(6, 257, (None, None))
BINDINGS = HELLO.bindings(WELCOME)
CLASSES = TopK.of_logits(np.array([1.5, -2, 0.25], np.float32), 2)


def example_tables() -> PriorTables:
    before, earlier = np.zeros((2, 13, 1), np.int16), np.full((1, 1, 1), -6000, np.int16)
    bias = np.zeros((2, 1, 7), np.int16)
    before[:, 12], bias[0, 0, 0] = 4000, 2000
    reference, output = np.zeros((2, 0, 1), np.int16), np.full((2, 1), 1000, np.int16)
    nothing = np.zeros(0, np.int16)
    return PriorTables((2, 2, 3), 0, before, earlier, reference, bias, output, nothing, nothing)


def example_updates() -> PriorTables:
    zeros, nothing = np.zeros((2, 13, 1), np.int16), np.zeros(0, np.int16)
    earlier, reference = np.zeros((1, 0, 1), np.int16), np.full((2, 1, 1), 4000, np.int16)
    bias, output = np.zeros((2, 1, 7), np.int16), np.full((2, 1), 1000, np.int16)
    return PriorTables((2, 2, 3), 0, zeros, earlier, reference, bias, output, nothing, nothing)


def example_global_tables() -> PriorTables:
    bare = PriorTables.of_zeros(2, (1, 2, 4))
    to_units, from_units = np.zeros((2, 8, 1), np.int16), np.full((2, 8, 1), 8192, np.int16)
    to_units[0, 0], from_units[1] = 8192, -8192
    units = GlobalUnits(to_units, np.zeros(1, np.int16), from_units)
    return replace(bare, earlier=bare.earlier[:, :0], global_units=units)


TABLES, UPDATES, GLOBAL = example_tables(), example_updates(), example_global_tables()
BOTH = replace(TABLES, update=UPDATES)
CODED = np.array([[1] * 12, [0] * 12], np.uint8)
FOLLOWING = np.array([[1] * 12, [0] * 6 + [1] + [0] * 5], np.uint8)
SEEN_BY_ALL = np.array([[1] * 8, [0] * 8], np.uint8)


def make_update() -> Packet:
    """It is no shorter than the key packet with its place, and made all the same."""
    coding, payload = encode_planes(FOLLOWING, BOTH, Reference(CODED, 1))
    place = WindowPlace.after(pack(CODED), back=1, steps=1)
    return Packet(SECOND.configuration, (2, 2, 3), payload, 0, FINGERPRINT, 8, coding, 258, place)


MESSAGES: dict[str, Sent | Reply] = {
    "code": FIRST.packet(PLANES, 7),
    "clip": Packet.of_clip(np.array([[[[0, 40, 80], [120, 160, 200]]]], np.uint8), fingerprint=5, sequence=8),
    "video": Packet.of_video(
        b"\0\1\2", "mp4.h264", (16, 64, 64), 5, 9, Request(Text("left?"), Wanted(AnswerKind.TEXT, 8))
    ),
    "hello": HELLO,
    "welcome": WELCOME,
    "question": LateQuestion(10, 2, Request(Text("why?")), 257),
    "answer": Answer(7, CLASSES, 1.5, 20.25),
    "tensor": Answer(7, TensorAnswer(np.array([[1], [-2]], np.float16)), 1.5, 20.25),
    "refusal": Refusal(7, "busy: 8 packets wait ≥ 1 s", Status.BUSY, 1500),
    "context": replace(SECOND, prior=TABLES).packet(CODED, 7),
    "global_context": replace(SECOND, feature_size=(1, 2, 4), prior=GLOBAL).packet(SEEN_BY_ALL, 7),
    "update": make_update(),
}
SHORT_MESSAGES: dict[str, Packet | LateQuestion | Answer | Refusal] = {
    "short_code": FIRST.packet(PLANES, 7, 257),
    "short_code_with_question": FIRST.packet(PLANES, 8, 257, request=Request(Tokens((70000,)))),
    "short_question": LateQuestion(10, 2, Request(Text("why?")), 257),
    "short_answer": Answer(7, CLASSES, 1.5, 20.25),
    "short_logits": Answer(7, Logits(np.array([1.5, -2, 0.25], np.float32)), 1.5, 20.25),
    "short_text": Answer(8, Text("left"), 1.5, 20.25),
    "short_tokens": Answer(8, Tokens((5, 70000)), 1.5, 20.25),
    "short_refusal": Refusal(7, "", Status.BUSY, 1500),
    "short_update": make_update(),
}

# Worked out by hand, apart from the checksums; the document must hold the same bytes.
GOLDEN = {
    "code": "41584201 46b36e0d 00000016 03000102 00000007 0123456789abcdef 000200030003000100034233b278",
    "clip": "41584201 474f3d96 00000018 04000000 00000008 0000000000000005 0001000100020000000000285078a0c8",
    "video": "41584201 b3198e4e 00000028 05000408 00000009 0000000000000005 0010004000400000"
    "00006d70342e6832 3634050200080005 6c6566743f000102",
    "hello": "41584201 8d64a5c8 00000033 01020000 00000006 5eed123401000501 020123456789abcd"
    "ef00020003000300 0100034233000201 23456789abcdef00 0200020003000000 024233",
    "welcome": "41584201 bc2facce 00000002 02000101 00000006 0000",
    "short_code": "80 0101 07 eb76 b278",
    "short_code_with_question": "84 0101 08 9f94 03000400011170b2 78",
    "question": "41584201 f2ae3310 00000008 06000101 0000000a 020100047768793f",
    "short_question": "a0 0101 0a 6113 020100047768793f",
    "answer": "41584201 c2da8c5d 0000000c 07010000 00000007 3e004d1000000002 b467be1a",
    "short_answer": "c4 0101 07 4a31 3e004d1000000002 b467be1a",
    "short_logits": "c0 0101 07 fa48 3e004d103fc00000 c00000003e800000",
    "short_text": "c8 0101 08 e432 3e004d106c656674",
    "short_tokens": "ce 0101 08 6f1c 3e004d1000000005 00011170",
    "tensor": "41584201 49927e2c 00000012 07040000 00000007 3e004d1003020000 0002000000013c00c000",
    "refusal": "41584201 2d561de1 0000001e 08040000 00000007 0096627573793a20 38207061636b6574"
    "73207761697420e2 89a520312073",
    "short_refusal": "e4 0101 07 d640 0096",
    "context": "41584201 40020ef2 00000015 03010002 00000007 0123456789abcdef 00020002000300000002423304",
    "global_context": "41584201 27830166 00000015 03010002 00000007 0123456789abcdef 0001000200040000"
    "0002423310",
    "short_update": "90 0102 08 3664 0101dca2015a",
    "update": "41584201 7af09774 0000001c 03020202 00000008 0123456789abcdef 0002000200030000"
    "0002423301020101 dca2015a",
}


def examples() -> dict[str, bytes]:
    blocks = re.findall(r"^```hex (\w+)\n(.*?)^```", FORMAT, re.MULTILINE | re.DOTALL)
    return {
        name: bytes.fromhex("".join(line.split(";")[0] for line in block.splitlines()))
        for name, block in blocks
    }


def section(title: str) -> str:
    start = FORMAT.index(f"\n## {title}")
    return FORMAT[start : FORMAT.index("\n## ", start + 1)]


def table(title: str) -> list[list[str]]:
    rows = re.findall(r"^\| (.*) \|$", section(title), re.MULTILINE)
    return [row.split(" | ") for row in rows if not row.startswith(("offset", "what |", "status"))]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_stands_in_the_document(name: str) -> None:
    golden, message = bytes.fromhex(GOLDEN[name]), MESSAGES[name]
    assert examples()[name].hex(" ") == golden.hex(" ")
    assert message.to_bytes().hex(" ") == golden.hex(" ")
    read = read_reply if isinstance(message, Welcome | Answer | Refusal) else read_sent
    assert read(golden) == message


@pytest.mark.parametrize("name", SHORT_MESSAGES)
def test_a_golden_short_message_stands_in_the_document(name: str) -> None:
    golden, message = bytes.fromhex(GOLDEN[name]), SHORT_MESSAGES[name]
    binding = BINDINGS[int.from_bytes(golden[1:3], "big")]
    assert examples()[name].hex(" ") == golden.hex(" ")
    assert binding.write(message).hex(" ") == golden.hex(" ")
    read = read_reply if isinstance(message, Answer | Refusal) else read_sent
    assert read(golden, BINDINGS) == message


def test_the_short_code_says_as_much_as_the_framed_one() -> None:
    short, framed = read_sent(examples()["short_code"], BINDINGS), read_sent(examples()["code"])
    assert isinstance(short, Packet)
    assert replace(short, binding=None) == framed
    assert len(examples()["code"]) - len(examples()["short_code"]) == 34


def test_the_document_has_no_other_examples() -> None:
    assert not set(GOLDEN) ^ {*MESSAGES, *SHORT_MESSAGES}
    assert set(examples()) == {*GOLDEN, "tables", "global_tables", "updates"}


def test_the_tables_in_the_document_read_the_code_beside_them() -> None:
    tables = PriorTables.from_bytes(examples()["tables"])
    assert tables == TABLES
    packet = Packet.from_bytes(examples()["context"])
    assert packet.coding == Coding.CONTEXT
    np.testing.assert_array_equal(packet.planes(tables), CODED)


def test_the_global_tables_in_the_document_read_the_code_beside_them() -> None:
    data = examples()["global_tables"]
    assert PriorTables.from_bytes(data) == GLOBAL
    assert GLOBAL.to_bytes().hex(" ") == data.hex(" ")
    packet = Packet.from_bytes(examples()["global_context"])
    np.testing.assert_array_equal(packet.planes(GLOBAL), SEEN_BY_ALL)


def test_the_tables_of_updates_in_the_document_read_the_update_beside_them() -> None:
    assert examples()["tables"] + examples()["updates"] == BOTH.to_bytes()
    packet = Packet.from_bytes(examples()["update"])
    assert (packet.coding, packet.earlier_sequence) == (Coding.UPDATE, 7)
    assert packet.header_bytes == 46
    before = Packet.from_bytes(examples()["context"]).planes(BOTH)
    np.testing.assert_array_equal(packet.planes(BOTH, before), FOLLOWING)


def test_the_place_of_a_window_has_the_fields_of_the_document() -> None:
    rows = [row for row in table("Updates") if row[0].isdigit()]
    assert [(row[0], row[1]) for row in rows] == [("1", "back"), ("1", "steps"), ("2", "earlier checksum")]
    assert sum(int(row[0]) for row in rows) == window.PLACE_BYTES
    assert re.search(r"lower by this.*; 1 to 255", section("Updates"))


def test_the_codings_are_those_of_the_code() -> None:
    codings = re.findall(r"^- \*\*Coding (\d+), (\w+)\.\*\*", section("Packet"), re.MULTILINE)
    assert codings == [(str(each.value), each.name.lower()) for each in Coding]


def test_the_fields_of_a_packet_follow_each_other_without_a_gap() -> None:
    rows = sorted((int(row[0]), int(row[1]), row[2]) for row in table("Frame") + table("Packet"))
    rows.remove((13, 3, "details"))
    assert [row[2] for row in rows] == [
        *("magic", "version", "checksum", "body_bytes", "kind", "coding", "flags", "name_bytes", "sequence"),
        *("fingerprint", "time", "height", "width", "num_tokens", "codebook_size"),
    ]
    ends = [offset + width for offset, width, _ in rows]
    assert [offset for offset, _, _ in rows] == [0, *ends[:-1]]
    assert ends[-1] == HEADER_BYTES


def test_a_short_header_has_the_fields_of_the_document() -> None:
    rows = [row for row in table("Session") if row[0].isdigit() and int(row[0]) < 20]
    assert [(int(row[0]), int(row[1]), row[2]) for row in rows] == [
        (0, 1, "tag"),
        (1, 2, "binding"),
        (3, 1, "sequence"),
        (4, 2, "checksum"),
    ]
    assert sum(int(row[1]) for row in rows) == SHORT_HEADER_BYTES


@pytest.mark.parametrize(
    ("field", "value"),
    [("fingerprint", FINGERPRINT), ("num_tokens", 1), ("codebook_size", 3), ("time", 2), ("sequence", 7)],
)
def test_a_field_stands_where_the_table_says(field: str, value: int) -> None:
    offset, width = next(
        (int(row[0]), int(row[1])) for row in table("Frame") + table("Packet") if row[2] == field
    )
    assert int.from_bytes(examples()["code"][offset : offset + width], "big") == value


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = {row[0]: (int(row[1]), int(row[2])) for row in table("Bounds")}
    assert bounds == {
        "time, height, width": (1, sizes.MAX_EXTENT),
        "num_tokens": (0, sizes.MAX_TOKENS),
        "name_bytes of a `CODE` or a `VIDEO`": (1, sizes.MAX_NAME_BYTES),
        "codebook_size": (1, sizes.MAX_CODEBOOK_SIZE),
        "positions": (1, sizes.MAX_POSITIONS),
        "packed bytes of a code, in any coding": (1, frame.MAX_PAYLOAD_BYTES),
        "bytes of a clip": (3, frame.MAX_PAYLOAD_BYTES),
        "bytes of a video": (1, frame.MAX_PAYLOAD_BYTES),
        "pixels of a video, of all frames": (1, packet_module.MAX_VIDEO_PIXELS),
        "body_bytes of any message": (0, frame.MAX_BODY_BYTES),
        "formats of a hello": (1, session.MAX_FORMATS),
        "question_bytes": (1, request_module.MAX_QUESTION_BYTES),
        "most of top-k": (1, classes.MAX_TOP),
        "most of text and tokens": (0, text.MAX_TOKEN_IDS),
        "number of logits": (1, classes.MAX_CLASSES),
        "classes of top-k": (1, classes.MAX_TOP),
        "bytes of a text": (0, text.MAX_TEXT_BYTES),
        "number of tokens": (0, text.MAX_TOKEN_IDS),
        "axes of a tensor": (0, tensor.MAX_AXES),
        "bytes of a tensor's numbers": (1, frame.MAX_PAYLOAD_BYTES),
        "bytes of a reason": (0, refusal.MAX_REASON_BYTES),
    }


def test_the_longest_payload_fits_into_the_longest_body() -> None:
    fields = HEADER_BYTES - frame.FRAME_BYTES + sizes.MAX_NAME_BYTES + 2 + window.PLACE_BYTES
    longest_request = Request(Text("a" * request_module.MAX_QUESTION_BYTES), Wanted())
    longest = fields + len(longest_request.to_bytes()) + frame.MAX_PAYLOAD_BYTES
    assert longest <= frame.MAX_BODY_BYTES
    shape_of_a_tensor = 4 + 2 + 4 * tensor.MAX_AXES
    assert shape_of_a_tensor + frame.MAX_PAYLOAD_BYTES <= frame.MAX_BODY_BYTES


def test_kinds_and_statuses_are_those_of_the_code() -> None:
    kinds = next(row[3] for row in table("Frame") if row[2] == "kind")
    assert re.findall(r"(\d+) `(\w+)`", kinds) == [(str(kind.value), kind.name) for kind in Kind]
    statuses = re.findall(r"^\| (\d+) `(\w+)` \|", section("`REFUSAL`"), re.MULTILINE)
    assert statuses == [(str(status.value), status.name) for status in Status]
    contents = re.findall(r"^\| (\d) ([\w-]+) \|", section("Answer: `ANSWER`"), re.MULTILINE)
    assert contents == [
        (str(kind.value), name)
        for kind, name in zip(AnswerKind, ("logits", "top-k", "text", "tokens", "tensor"), strict=True)
    ]


def test_the_types_of_a_tensor_are_those_of_the_code() -> None:
    numbers = re.search(r"dtype \(1 byte: (.*?)\)", section("Answer: `ANSWER`"))
    assert numbers is not None
    names = [str(np.dtype(each)) for each in tensor.DTYPES]
    assert numbers[1].replace("`", "") == ", ".join(f"{number} {name}" for number, name in enumerate(names))
