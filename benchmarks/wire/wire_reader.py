"""A second reader of the wire format, from `approxbit/wire/FORMAT.md` alone; approxbit is not imported.

Plain Python without packages, slow where that is shorter. `wire_fuzz.py`, `wire_vectors.py` and tests hold
the library to it: both must find the same fields in a message, or both refuse it.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

Fields = dict[str, Any]

FRAMED = ("HELLO", "WELCOME", "CODE", "CLIP", "VIDEO", "QUESTION", "ANSWER", "REFUSAL")
SHORT = ("CODE", "QUESTION", "ANSWER", "REFUSAL")
STATUSES = ("MALFORMED", "WRONG_WEIGHTS", "UNSUPPORTED", "BUSY", "FAILED", "NEEDS_KEY", "NO_SESSION")
CONTENTS = ("logits", "top-k", "text", "tokens", "tensor")
CODINGS = ("raw", "context", "update")
DTYPES = {0: ("uint8", "B"), 1: ("int32", "i"), 2: ("int64", "q"), 3: ("float16", "e"), 4: ("float32", "f")}
MIB_64 = 64 * 1024 * 1024


class RefusedError(Exception):
    """The bytes are not one message."""


def demand(holds: bool, field: str) -> None:
    if not holds:
        raise RefusedError(field)


def within(value: int, low: int, high: int, field: str) -> int:
    demand(low <= value <= high, field)
    return value


class Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    @property
    def left(self) -> int:
        """How many have not been taken."""
        return len(self.data) - self.place

    def take(self, count: int, field: str) -> bytes:
        """The next ones; refused if there are fewer."""
        demand(count <= self.left, field)
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, count: int, field: str) -> int:
        """The number in the next ones."""
        return int.from_bytes(self.take(count, field), "big")

    def rest(self) -> bytes:
        """All that are left."""
        return self.take(self.left, "rest")


def table_of(step: Callable[[int], int], first: Callable[[int], int]) -> list[int]:
    """What a byte does to a CRC: eight steps of one bit."""
    registers = [first(value) for value in range(256)]
    for _ in range(8):
        registers = [step(register) for register in registers]
    return registers


TABLE_16 = table_of(lambda crc: (crc << 1 ^ (crc >> 15) * 0x1021) & 0xFFFF, lambda value: value << 8)
TABLE_32 = table_of(lambda crc: crc >> 1 ^ (crc & 1) * 0xEDB88320, lambda value: value)


def crc_16(data: bytes) -> int:
    register = 0
    for byte in data:
        register = (register << 8 & 0xFFFF) ^ TABLE_16[register >> 8 ^ byte]
    return register


def crc_32(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ TABLE_32[(register ^ byte) & 255]
    return register ^ 0xFFFFFFFF


class Binding(NamedTuple):
    """What the number of a short message stands for: its fields, and the bytes that enter the checksum."""

    fields: Fields
    known: bytes


def open_session(hello: bytes, welcome: bytes) -> dict[int, Binding]:
    said, granted = read(hello), read(welcome)
    demand(
        said["sequence"] == granted["sequence"] and len(said["formats"]) == len(granted["refused"]), "welcome"
    )
    bindings, place = {}, 27
    for number, (code_format, refused) in enumerate(zip(said["formats"], granted["refused"], strict=True)):
        num_bytes = 20 + len(code_format["name"])
        if not refused:
            known = hello[20:27] + hello[place : place + num_bytes]
            bindings[granted["binding"] + number] = Binding(code_format, known)
        place += num_bytes
    return bindings


def read(data: bytes, bindings: dict[int, Binding] | None = None) -> Fields:
    """The fields of a message.

    Raises:
        RefusedError: The bytes are not one message.
    """
    if data[:1] >= b"\x80":
        return read_short(data, bindings or {})
    demand(len(data) >= 20, "message")
    demand(data[:3] == b"AXB", "magic")
    demand(data[3] == 1, "version")
    body_bytes = int.from_bytes(data[8:12], "big")
    demand(body_bytes <= MIB_64 + 8192 and body_bytes == len(data) - 20, "body_bytes")
    demand(int.from_bytes(data[4:8], "big") == crc_32(data[:4] + data[8:]), "checksum")
    kind = FRAMED[within(data[12], 1, 8, "kind") - 1]
    openings = {"HELLO": read_hello, "WELCOME": read_welcome}
    read_body = {**openings, "QUESTION": read_question_frame, "ANSWER": read_answer_frame}
    head = {"kind": kind, "sequence": int.from_bytes(data[16:20], "big")}
    if kind == "REFUSAL":
        demand(data[14:16] == b"\0\0", "reserved")
        return {**head, **read_refusal(data[13], Bytes(data[20:]))}
    if kind in read_body:
        return {**head, **read_body[kind](data[13:16], Bytes(data[20:]))}
    return {**head, **read_packet(kind, data[13:16], Bytes(data[20:]))}


def read_short(data: bytes, bindings: dict[int, Binding]) -> Fields:
    demand(len(data) >= 6, "short header")
    tag, number, sequence = data[0] & 0x7F, int.from_bytes(data[1:3], "big"), data[3]
    demand(number in bindings, "binding")
    demand(
        int.from_bytes(data[4:6], "big") == crc_16(bindings[number].known + data[:4] + data[6:]), "checksum"
    )
    kind, low, body = SHORT[tag >> 5], tag & 31, Bytes(data[6:])
    head = {"kind": kind, "sequence": sequence}
    if kind == "CODE":
        demand(not low & 3, "reserved bits of the tag")
        about = {"binding": number, "request": read_request(body) if low & 4 else None}
        return {
            **head,
            **bindings[number].fields,
            **about,
            **read_code_end(low >> 3, body, bindings[number].fields),
        }
    if kind == "QUESTION":
        demand(low == 0, "reserved bits of the tag")
        return {**head, "binding": number, **read_question(body)}
    if kind == "ANSWER":
        demand(not low & 1, "reserved bits of the tag")
        return {**head, **read_answer(low >> 2, bool(low & 2), body)}
    return {**head, **read_refusal(low, body)}


def read_sizes(body: Bytes) -> Fields:
    fields = {"fingerprint": body.take(8, "fields").hex()}
    for name in ("time", "height", "width", "num_tokens", "codebook_size"):
        fields[name] = body.number(2, "fields")
    return fields


def read_name(data: bytes) -> str:
    demand(re.fullmatch(rb"[A-Za-z0-9_][A-Za-z0-9_.]*", data) is not None, "name")
    return data.decode("ascii")


def check_extents(fields: Fields) -> None:
    for axis in ("time", "height", "width"):
        within(fields[axis], 1, 65535, axis)


def grid_of(fields: Fields) -> tuple[int, ...]:
    extents = fields["time"], fields["height"], fields["width"]
    return tuple((extent + 1) // 2 for extent in extents) if fields["spatial_encoder"] else extents


def num_positions(fields: Fields) -> int:
    return math.prod(grid_of(fields)) + fields["num_tokens"]


def num_bits(fields: Fields) -> int:
    return fields["codebook_size"] * num_positions(fields)


def check_code_sizes(fields: Fields) -> None:
    check_extents(fields)
    within(num_positions(fields), 1, 2**22, "positions")
    within((num_bits(fields) + 7) // 8, 1, MIB_64, "packed bytes")


def read_packet(kind: str, details: bytes, body: Bytes) -> Fields:
    coding, flags, name_bytes = details
    fields = read_sizes(body)
    demand(flags < 8, "flags")
    within(name_bytes, 0 if kind == "CLIP" else 1, 32, "name_bytes")
    name = body.take(name_bytes, "name")
    if kind == "CODE":
        within(fields["codebook_size"], 1, 4096, "codebook_size")
        fields |= {"spatial_encoder": bool(flags & 1), "name": read_name(name)}
    else:
        demand(not flags & 3 and fields.pop("codebook_size") == 0, "flags and codebook_size")
        demand(not (kind == "CLIP" and name), "name_bytes")
        if name:
            fields["name"] = read_name(name)
    binding = body.number(2, "binding") if flags & 2 else None
    fields["request"] = read_request(body) if flags & 4 else None
    if kind == "CODE":
        if binding is not None:
            within(binding, 1, 65535, "binding")
        check_code_sizes(fields)
        demand(coding != 2 or binding is not None, "binding")
        return {**fields, "binding": binding, **read_code_end(coding, body, fields)}
    check_extents(fields)
    demand(fields.pop("num_tokens") == 0 and coding == 0, "num_tokens and coding")
    pixels, payload = fields["time"] * fields["height"] * fields["width"], body.rest()
    if kind == "VIDEO":
        within(pixels, 1, 2**26, "pixels of the video")
        within(len(payload), 1, MIB_64, "bytes of the video")
    else:
        within(3 * pixels, 3, MIB_64, "bytes of the clip")
        demand(len(payload) == 3 * pixels, "payload")
    return {**fields, "payload": payload.hex()}


def read_code_end(coding: int, body: Bytes, fields: Fields) -> Fields:
    within(coding, 0, 2, "coding")
    place = None
    if coding == 2:
        back, steps = body.number(1, "place"), body.number(1, "place")
        place = {"back": back, "steps": steps, "earlier_checksum": body.number(2, "place")}
        demand(back > 0, "back")
        demand(steps < grid_of(fields)[0], "steps")
    payload, bits = body.rest(), num_bits(fields)
    if coding == 0:
        demand(len(payload) == (bits + 7) // 8, "payload")
        demand(int.from_bytes(payload, "big") % 2 ** (-bits % 8) == 0, "padding")
    else:
        demand(len(payload) < (bits + 7) // 8 and payload[-1:] != b"\0", "payload")
    return {"coding": CODINGS[coding], "place": place, "payload": payload.hex()}


def read_wanted(body: Bytes) -> Fields:
    kind, most = body.number(1, "wanted answer"), body.number(2, "wanted answer")
    bounds = {0: (0, 0), 1: (1, 255), 2: (0, 16384), 3: (0, 16384), 4: (0, 0)}
    demand(kind in bounds, "kind of the answer")
    return {"kind": CONTENTS[kind], "most": within(most, *bounds[kind], "most")}


def read_request(body: Bytes) -> Fields:
    what = within(body.number(1, "request"), 1, 7, "request")
    wanted = read_wanted(body) if what & 4 else None
    question = None
    if what & 3:
        count = within(body.number(2, "question"), 1, 4096, "bytes of the question")
        content = body.take(count, "question")
        question = (
            {"text": read_text(content)} if what & 3 == 1 else {"tokens": read_ids(content, what & 3 == 3)}
        )
    return {"question": question, "wanted": wanted}


def read_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("text") from error
    controls = {*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A}
    demand(not controls & set(map(ord, text)), "text")
    return text


def read_ids(data: bytes, is_wide: bool) -> list[int]:
    width = 4 if is_wide else 2
    demand(len(data) % width == 0, "ids")
    ids = [int.from_bytes(data[start : start + width], "big") for start in range(0, len(data), width)]
    demand(not is_wide or any(each > 0xFFFF for each in ids), "ids")
    return ids


def read_hello(details: bytes, body: Bytes) -> Fields:
    demand(details[1:] == b"\0\0", "reserved")
    fields: Fields = {"nonce": body.number(4, "nonce"), "wanted": read_wanted(body), "formats": []}
    for _ in range(details[0]):
        flags, name_bytes = body.number(1, "code format"), body.number(1, "code format")
        sizes = read_sizes(body)
        within(flags, 0, 1, "flags")
        name = body.take(within(name_bytes, 1, 32, "name_bytes"), "name")
        within(sizes["codebook_size"], 1, 4096, "codebook_size")
        code_format = {"spatial_encoder": bool(flags), "name": read_name(name), **sizes}
        check_code_sizes(code_format)
        fields["formats"].append(code_format)
    demand(body.left == 0, "last code format")
    demand(len(fields["formats"]) > 0, "number of formats")
    demand(all(each not in fields["formats"][:at] for at, each in enumerate(fields["formats"])), "formats")
    return fields


def read_welcome(details: bytes, body: Bytes) -> Fields:
    demand(details[0] == 0, "reserved")
    refused = list(body.rest())
    within(len(refused), 1, 255, "number of formats")
    demand(set(refused) <= {0, 2, 3}, "status of a format")
    binding = within(int.from_bytes(details[1:], "big"), 1, 65536 - len(refused), "binding")
    demand(0 in refused, "served formats")
    return {"binding": binding, "refused": refused}


def read_question_frame(details: bytes, body: Bytes) -> Fields:
    demand(details[0] == 0, "reserved")
    return {"binding": int.from_bytes(details[1:], "big") or None, **read_question(body)}


def read_question(body: Bytes) -> Fields:
    back, request = body.number(1, "back"), read_request(body)
    demand(body.left == 0 and back > 0 and request["question"] is not None, "question")
    return {"back": back, "request": request}


def read_answer_frame(details: bytes, body: Bytes) -> Fields:
    kind, is_wide, reserved = details
    demand(is_wide < 2 and reserved == 0, "reserved")
    return read_answer(kind, bool(is_wide), body)


def read_floats(data: bytes, code: str, field: str) -> list[float]:
    width = struct.calcsize(code)
    demand(len(data) % width == 0, field)
    values = list(struct.unpack(f">{len(data) // width}{code}", data))
    demand(all(map(math.isfinite, values)), field)
    return values


def is_minus_zero(value: float) -> bool:
    return value == 0 and math.copysign(1, value) < 0


def read_answer(kind: int, is_wide: bool, body: Bytes) -> Fields:
    times = read_floats(body.take(4, "times"), "e", "times")
    demand(all(each >= 0 and not is_minus_zero(each) for each in times), "times")
    name = CONTENTS[within(kind, 0, 4, "kind of the answer")]
    demand(not is_wide or name in ("top-k", "tokens"), "width of ids")
    data, content = body.rest(), {}
    if name == "logits":
        within(len(data), 4, 4 * 65536, "number of logits")
        content = {"values": read_floats(data, "f", "logits")}
    elif name == "top-k":
        count, more = divmod(len(data), 6 if is_wide else 4)
        demand(more == 0 and 1 <= count <= 255, "classes")
        classes = read_ids(data[: -2 * count], is_wide)
        scores = read_floats(data[-2 * count :], "e", "scores")
        demand(len(set(classes)) == count, "classes")
        demand(sorted(scores, reverse=True) == scores and scores[0] <= 0, "scores")
        demand(not any(map(is_minus_zero, scores)), "scores")
        content = {"classes": classes, "scores": scores}
    elif name == "text":
        within(len(data), 0, 65536, "bytes of the text")
        content = {"text": read_text(data)}
    elif name == "tokens":
        within(len(data), 0, (4 if is_wide else 2) * 16384, "number of tokens")
        content = {"tokens": read_ids(data, is_wide)}
    else:
        content = read_tensor(Bytes(data))
    return {"decode_ms": times[0], "server_ms": times[1], "content": {"kind": name, **content}}


def read_tensor(body: Bytes) -> Fields:
    number, num_axes = body.number(1, "dtype"), body.number(1, "axes")
    demand(number in DTYPES, "dtype")
    within(num_axes, 0, 8, "axes")
    shape = [body.number(4, "shape") for _ in range(num_axes)]
    dtype, code = DTYPES[number]
    num_bytes = struct.calcsize(">" + code) * math.prod(shape)
    within(num_bytes, 1, MIB_64, "bytes of the tensor")
    demand(num_bytes == body.left, "tensor")
    values = list(struct.unpack(f">{math.prod(shape)}{code}", body.rest()))
    demand("float" not in dtype or all(map(math.isfinite, values)), "tensor")
    return {"dtype": dtype, "shape": shape, "values": values}


def read_refusal(status: int, body: Bytes) -> Fields:
    retry_after, reason = body.number(2, "retry_after"), body.rest()
    within(len(reason), 0, 512, "bytes of the reason")
    text = read_text(reason)
    within(status, 1, 7, "status")
    demand("\t" not in text and "\n" not in text, "reason")
    return {"status": STATUSES[status - 1], "retry_after": retry_after, "reason": text}
