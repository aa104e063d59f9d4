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
    Answer,
    Coding,
    Kind,
    Packet,
    PriorTables,
    Refusal,
    Status,
    StreamPlace,
    ZstdDictionary,
    pack,
    read_prior,
    read_reply,
)
from approxbit.wire import answer as answer_module
from approxbit.wire import frame as frame_module
from approxbit.wire import packet as packet_module
from approxbit.wire.entropy import GlobalUnits

FORMAT = (Path(approxbit.wire.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")

PLANES = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]], np.uint8)
CODE = Packet.of_code(Configuration.parse("3-Enc-B3"), (2, 3, 3), PLANES, 1, 0x0123456789ABCDEF, 7)
CLIP = Packet.of_clip(np.array([[[[0, 40, 80], [120, 160, 200]]]], np.uint8), fingerprint=5, sequence=8)
ANSWER = Answer(7, np.array([1.5, -2, 0.25], np.float32), decode_ms=1.5, server_ms=20.25)
REFUSAL = Refusal(7, "busy: 8 packets wait ≥ 1 s", Status.BUSY)


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


TABLES, UPDATES = example_tables(), example_updates()
BOTH = replace(TABLES, update=UPDATES)
CODED = np.array([[1] * 12, [0] * 12], np.uint8)
CONTEXT = Packet.of_code(
    Configuration.parse("2-NoEnc-B3"), (2, 2, 3), CODED, 0, 0x0123456789ABCDEF, 7, TABLES
)

GLOBAL = example_global_tables()
SEEN_BY_ALL = Packet.of_code(
    *(Configuration.parse("2-NoEnc-B3"), (1, 2, 4), np.array([[1] * 8, [0] * 8], np.uint8)),
    *(0, 0x0123456789ABCDEF, 7, GLOBAL),
)

FOLLOWING = np.array([[1] * 12, [0] * 6 + [1] + [0] * 5], np.uint8)
UPDATE = Packet.of_code(
    *(Configuration.parse("2-NoEnc-B3"), (2, 2, 3), FOLLOWING, 0, 0x0123456789ABCDEF, 8, BOTH),
    place=StreamPlace.after(42, pack(CODED), back=1, steps=1),
    earlier=CODED,
)

# Worked out by hand, apart from the checksums; the document must hold the same bytes.
GOLDEN = {
    "code": "41584201 3e72a81d 00000016 01000102 00000007 0123456789abcdef 000200030003 0001 0003 4233 b278",
    "clip": "41584201 0e002aa9 00000018 02000000 00000008 0000000000000005 000100010002 0000 0000"
    "002850 78a0c8",
    "answer": "41584201 45a8d497 0000001c 03000000 00000007 3ff8000000000000 4034400000000000"
    "3fc00000 c0000000 3e800000",
    "refusal": "41584201 c97cc85a 0000001c 04040000 00000007 62757379 3a203820 7061636b 65747320 77616974"
    "20e289a5 20312073",
    "context": "41584201 860dbcba 00000015 01010002 00000007 0123456789abcdef 000200020003 0000 0002 4233 04",
    "global_context": "41584201 e18cb32e 00000015 01010002 00000007 0123456789abcdef 000100020004 0000 0002"
    "4233 10",
    "update": "41584201 1d2c21a2 0000001e 01030202 00000008 0123456789abcdef 000200020003 0000 0002 4233"
    "0000002a 01 01 dca2 015a",
}
MESSAGES: dict[str, Packet | Answer | Refusal] = {
    "code": CODE,
    "clip": CLIP,
    "answer": ANSWER,
    "refusal": REFUSAL,
    "context": CONTEXT,
    "global_context": SEEN_BY_ALL,
    "update": UPDATE,
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
    return [row.split(" | ") for row in rows if not row.startswith(("offset", "what", "status"))]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_stands_in_the_document(name: str) -> None:
    golden = bytes.fromhex(GOLDEN[name])
    assert examples()[name].hex(" ") == golden.hex(" ")
    assert MESSAGES[name].to_bytes().hex(" ") == golden.hex(" ")
    read = Packet.from_bytes if isinstance(MESSAGES[name], Packet) else read_reply
    assert read(golden) == MESSAGES[name]


def test_the_document_has_no_other_examples() -> None:
    assert set(examples()) == {*GOLDEN, "tables", "global_tables", "updates", "dictionary", "by_dictionary"}


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
    np.testing.assert_array_equal(SEEN_BY_ALL.planes(GLOBAL), [[1] * 8, [0] * 8])


def test_the_dictionary_in_the_document_reads_the_code_beside_it() -> None:
    dictionary = read_prior(examples()["dictionary"])
    assert dictionary == ZstdDictionary((2, 4, 4), 0, 8, bytes(range(0x40, 0x60)))
    assert dictionary.to_bytes() == examples()["dictionary"]
    packet = Packet.from_bytes(examples()["by_dictionary"])
    assert (packet.coding, packet.to_bytes()) == (Coding.DICTIONARY, examples()["by_dictionary"])
    assert pack(packet.planes(dictionary)) == dictionary.content


def test_the_tables_of_updates_in_the_document_read_the_update_beside_them() -> None:
    assert examples()["tables"] + examples()["updates"] == BOTH.to_bytes()
    packet = Packet.from_bytes(examples()["update"])
    assert (packet.coding, packet.earlier_sequence, packet.place) == (Coding.UPDATE, 7, UPDATE.place)
    assert packet.header_bytes == 48
    before = Packet.from_bytes(examples()["context"]).planes(BOTH)
    np.testing.assert_array_equal(packet.planes(BOTH, before), FOLLOWING)


def test_the_place_in_a_stream_has_the_fields_of_the_document() -> None:
    rows = [row for row in table("Streams") if row[0].isdigit()]
    assert [(row[0], row[1]) for row in rows] == [
        ("4", "stream"),
        ("1", "back"),
        ("1", "steps"),
        ("2", "earlier checksum"),
    ]
    assert UPDATE.place is not None
    assert len(UPDATE.place.to_bytes()) == sum(int(row[0]) for row in rows)
    assert re.search(r"lower by this.*; 1 to 255", section("Streams"))


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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", 0x0123456789ABCDEF),
        ("num_tokens", 1),
        ("codebook_size", 3),
        ("time", 2),
        ("sequence", 7),
    ],
)
def test_a_field_stands_where_the_table_says(field: str, value: int) -> None:
    offset, width = next(
        (int(row[0]), int(row[1])) for row in table("Frame") + table("Packet") if row[2] == field
    )
    assert int.from_bytes(CODE.to_bytes()[offset : offset + width], "big") == value


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = {row[0]: (int(row[1]), int(row[2])) for row in table("Bounds")}
    assert bounds == {
        "time, height, width": (1, 65535),
        "num_tokens": (0, 65535),
        "name_bytes": (1, packet_module.MAX_NAME_BYTES),
        "codebook_size": (1, packet_module.MAX_CODEBOOK_SIZE),
        "positions": (1, packet_module.MAX_POSITIONS),
        "packed bytes of a code, in any coding": (1, frame_module.MAX_PAYLOAD_BYTES),
        "bytes of a clip": (3, frame_module.MAX_PAYLOAD_BYTES),
        "body_bytes of any message": (0, frame_module.MAX_BODY_BYTES),
        "number of logits": (1, answer_module.MAX_CLASSES),
        "bytes of a reason": (1, answer_module.MAX_REASON_BYTES),
    }


def test_the_longest_payload_fits_into_the_longest_body() -> None:
    fields = HEADER_BYTES - frame_module.FRAME_BYTES + packet_module.MAX_NAME_BYTES
    assert fields + frame_module.MAX_PAYLOAD_BYTES <= frame_module.MAX_BODY_BYTES


def test_kinds_and_statuses_are_those_of_the_code() -> None:
    kinds = next(row[3] for row in table("Frame") if row[2] == "kind")
    assert re.findall(r"(\d+) `(\w+)`", kinds) == [(str(kind.value), kind.name) for kind in Kind]
    statuses = re.findall(r"^\| (\d+) `(\w+)` \|", section("`REFUSAL`"), re.MULTILINE)
    assert statuses == [(str(status.value), status.name) for status in Status]
