"""Malformed messages for `wire_vectors.py`: one fault each, and a right checksum if the fault is another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wire_formats import BINDINGS, FORMATS, HELLO, draw_planes, vector
from wire_reader import Fields

from approxbit.wire import Binding, Coding, Packet
from approxbit.wire.frame import write_frame


def malformed() -> Iterator[Fields]:
    """All of them, with the field that is wrong."""
    known, binding = FORMATS["small"], BINDINGS["small"]
    raw = known.packet(draw_planes("small", 0.5, 3), 7, binding.number)
    data, short = raw.to_bytes(), binding.write(raw)
    yield vector("no byte", b"", field="message")
    yield vector("19 bytes", data[:19], field="message")
    yield vector("another magic", b"AXC" + data[3:], field="magic")
    yield vector("version 2", data[:3] + b"\2" + data[4:], field="version")
    yield vector("an end that is missing", data[:-1], field="body_bytes")
    yield vector("a byte too many", data + b"\0", field="body_bytes")
    yield vector("a flipped bit", data[:-1] + bytes([data[-1] ^ 1]), field="checksum")
    for name, place, value, field in (
        ("kind 9", 12, 9, "kind"),
        ("coding 3", 13, 3, "coding"),
        ("the flag of a mask", 14, data[14] | 8, "flags"),
        ("no name", 15, 0, "name_bytes"),
        ("a name of 33 bytes", 15, 33, "name_bytes"),
        ("a time of 0", 29, 0, "time"),
        ("a width of 65284", 32, 255, "payload"),
        ("no bits", 37, 0, "codebook_size"),
        ("too many bits", 36, 255, "codebook_size"),
        ("a name with a space", 38, 32, "name"),
        ("binding 0", 41, 0, "binding"),
    ):
        body = bytearray(data)
        body[place] = value
        if field == "binding":
            body[40] = 0
        yield vector(name, reseal(bytes(body)), field=field)
    yield vector("a payload that is too short", reseal(data[:-1]), field="payload")
    padded = FORMATS["tokens"].packet(draw_planes("tokens", 0.5, 4), 7).to_bytes()
    yield vector("padding", reseal(padded[:-1] + bytes([padded[-1] | 1])), field="padding")
    yield vector(
        "a clip of gigabytes",
        reseal(frame(4, bytes(3), b"\0" * 8 + b"\xff" * 6 + bytes(4))),
        field="bytes of the clip",
    )
    yield vector(
        "a clip with tokens",
        reseal(frame(4, bytes(3), b"\0" * 8 + b"\0\1" * 4 + bytes(5))),
        field="num_tokens, coding, binding and place",
    )
    yield vector(
        "a video without a name",
        reseal(frame(5, bytes(3), b"\0" * 8 + b"\0\1" * 3 + bytes(5))),
        field="name_bytes",
    )
    yield vector(
        "a video of too many pixels",
        reseal(frame(5, b"\0\0\1", b"\0" * 8 + b"\xff" * 6 + bytes(4) + b"x.")),
        field="pixels of the video",
    )
    yield from malformed_requests(raw)
    yield from malformed_sessions()
    yield from malformed_replies()
    for name, bad, field in (
        ("a short header of 5 bytes", short[:5], "short header"),
        ("an unknown binding", b"\x80\0\1\7\0\0", "binding"),
        ("a flipped bit, short", short[:-1] + bytes([short[-1] ^ 1]), "checksum"),
        ("the binding of another format", short[:1] + b"\x03\xfe" + short[3:], "checksum"),
        ("the bit of a mask", seal(binding, b"\x82" + short[1:]), "reserved bits of the tag"),
        ("the last bit of the tag", seal(binding, b"\x81" + short[1:]), "reserved bits of the tag"),
        ("coding 3, short", seal(binding, b"\x98" + short[1:]), "coding"),
        ("a payload that is too long, short", seal(binding, short + b"\0"), "payload"),
        (
            "an update without its place",
            seal(binding, b"\x90" + short[1:6] + b"\1\0\0"),
            "place of the window",
        ),
        ("an update that goes back by 0", seal(binding, b"\x90" + short[1:6] + b"\0\0\0\0"), "back"),
        ("an update with too many steps", seal(binding, b"\x90" + short[1:6] + b"\1\2\0\0"), "steps"),
        ("a zero at the end", seal(binding, b"\x88" + short[1:6] + b"\1\0"), "payload"),
        ("a coded payload no shorter than raw", seal(binding, b"\x88" + short[1:6] + b"\1" * 4), "payload"),
    ):
        yield vector(name, bad, session="one", field=field)
    yield from undecodable()


def reseal(data: bytes) -> bytes:
    return write_frame(data[12], data[13:16], int.from_bytes(data[16:20], "big"), data[20:])  # type: ignore[arg-type]


def frame(kind: int, details: bytes, body: bytes) -> bytes:
    return write_frame(kind, details, 7, body)  # type: ignore[arg-type]


def seal(binding: Binding, short: bytes) -> bytes:
    return short[:4] + binding.checksum(short[:4], short[6:]) + short[6:]


def malformed_requests(raw: Packet) -> Iterator[Fields]:
    head = raw.to_bytes()[13:16]
    details = bytes([0, head[1] | 4, head[2]])
    fields, payload = raw.to_bytes()[20:42], raw.payload
    for name, request, field in (
        ("a request that says nothing", b"\0", "request"),
        ("an unknown bit of a request", b"\x09\0\1?", "request"),
        ("a question of 0 bytes", b"\1\0\0", "bytes of the question"),
        ("a question of 4097 bytes", b"\1\x10\1" + b"?" * 4097, "bytes of the question"),
        ("a question that ends early", b"\1\x01\0?", "question"),
        ("a question that is not UTF-8", b"\1\0\1\xff", "text"),
        ("a question with an escape", b"\1\0\1\x1b", "text"),
        ("half a token", b"\2\0\1\0", "tokens"),
        ("32 bits where 16 do", b"\3\0\4\0\0\xff\xff", "tokens"),
        ("kind 5 of an answer", b"\4\5\0\0", "kind of the answer"),
        ("top-k of 0", b"\4\1\0\0", "most"),
        ("most of logits", b"\4\0\0\1", "most"),
        ("16385 tokens wanted", b"\4\3\x40\1", "most"),
    ):
        yield vector(name, frame(3, details, fields + request + payload), field=field)
    for name, details, body, field in (
        ("a question without a question", b"\0\0\1", b"\1\4\1\0\5", "question"),
        ("a question back by 0", b"\0\0\1", b"\0\1\0\1?", "back"),
        ("something behind a question", b"\0\0\1", b"\1\1\0\1??", "question"),
        ("a reserved byte of a question", b"\1\0\1", b"\1\1\0\1?", "reserved"),
    ):
        yield vector(name, frame(6, details, body), field=field)


def malformed_sessions() -> Iterator[Fields]:
    hello = HELLO.to_bytes()[20:]
    head, small = hello[:7], FORMATS["small"].to_bytes()
    for name, details, body, field in (
        ("a hello without formats", bytes(3), head, "number of formats"),
        ("a hello with a format twice", b"\2\0\0", head + 2 * small, "formats"),
        ("a hello with fewer formats than it says", b"\2\0\0", head + small, "code format"),
        ("a hello with more formats than it says", b"\1\0\0", head + small + small, "last code format"),
        ("a reserved byte of a hello", b"\1\0\1", head + small, "reserved"),
        ("a hello with an unknown flag", b"\1\0\0", head + b"\3" + small[1:], "flags"),
        ("a hello with a time of 0", b"\1\0\0", head + small[:10] + b"\0\0" + small[12:], "time"),
    ):
        yield vector(name, frame(1, details, body), field=field)
    for name, details, body, field in (
        ("a welcome to nothing", b"\0\0\1", b"", "number of formats"),
        ("a welcome that serves nothing", b"\0\0\1", b"\2\3", "served formats"),
        ("a welcome with status 4", b"\0\0\1", b"\0\4", "status of a format"),
        ("a welcome with binding 0", bytes(3), b"\0", "binding"),
        ("a welcome whose bindings do not fit", b"\0\xff\xff", b"\0\0", "binding"),
        ("a reserved byte of a welcome", b"\1\0\1", b"\0", "reserved"),
    ):
        yield vector(name, frame(2, details, body), field=field)


def malformed_replies() -> Iterator[Fields]:
    times = b"\x3c\0\x3c\0"
    for name, details, body, field in (
        ("an answer of kind 5", b"\5\0\0", times, "kind of the answer"),
        ("a width of ids of 2", b"\1\2\0", times + b"\0\0\0\0", "width of numbers"),
        ("logits of 32-bit ids", b"\0\1\0", times + b"\0\0\0\0", "width of numbers"),
        ("a reserved byte of an answer", b"\0\0\1", times + b"\0\0\0\0", "reserved"),
        ("an answer that ends within its times", b"\2\0\0", times[:3], "times"),
        ("an infinite time", b"\2\0\0", b"\x7c\0" + times[2:], "decode_ms"),
        ("a time that is no number", b"\2\0\0", times[:2] + b"\x7e\0", "server_ms"),
        ("a time of minus zero", b"\2\0\0", b"\x80\0" + times[2:], "decode_ms"),
        ("a negative time", b"\2\0\0", b"\xbc\0" + times[2:], "decode_ms"),
        ("no logits", b"\0\0\0", times, "bytes of the logits"),
        ("half a logit", b"\0\0\0", times + b"\0\0", "bytes of the logits"),
        ("an infinite logit", b"\0\0\0", times + b"\xff\x80\0\0", "logits"),
        ("no classes", b"\1\0\0", times, "bytes of the classes"),
        ("a class twice", b"\1\0\0", times + b"\0\1\0\1" + b"\xbc\0\xbc\0", "classes"),
        ("scores that rise", b"\1\0\0", times + b"\0\1\0\2" + b"\xc0\0\xbc\0", "scores"),
        ("a score above 0", b"\1\0\0", times + b"\0\1\0\2" + b"\x3c\0\xbc\0", "scores"),
        ("a score of minus zero", b"\1\0\0", times + b"\0\1\x80\0", "scores"),
        ("32-bit classes where 16 do", b"\1\1\0", times + b"\0\0\0\1\xbc\0", "classes"),
        ("a text with a null", b"\2\0\0", times + b"\0", "text"),
        ("a text with half a character", b"\2\0\0", times + "ä".encode()[:1], "text"),
        ("half a token in an answer", b"\3\0\0", times + b"\0", "tokens"),
        ("a tensor of an unknown type", b"\4\0\0", times + b"\5\0\0", "dtype of the tensor"),
        (
            "a tensor of nine axes",
            b"\4\0\0",
            times + b"\0\x09" + b"\0\0\0\1" * 9 + b"\0",
            "axes of the tensor",
        ),
        ("an empty tensor", b"\4\0\0", times + b"\0\1\0\0\0\0", "bytes of the tensor"),
        ("a tensor of gigabytes", b"\4\0\0", times + b"\0\2" + b"\xff" * 8, "bytes of the tensor"),
        ("a tensor that ends early", b"\4\0\0", times + b"\0\1\0\0\0\2\0", "tensor"),
        ("a tensor that is no number", b"\4\0\0", times + b"\3\0\x7e\0", "tensor"),
    ):
        yield vector(name, frame(7, details, body), field=field)
    for name, details, body, field in (
        ("status 0", b"\0\0\0", b"\0\0?", "status"),
        ("status 8", b"\x08\0\0", b"\0\0?", "status"),
        ("a reserved byte of a refusal", b"\4\0\1", b"\0\0?", "reserved"),
        ("a refusal without retry_after", b"\4\0\0", b"\0", "retry_after"),
        ("a reason that is not UTF-8", b"\4\0\0", b"\0\0\xff", "reason"),
        ("a reason of two lines", b"\4\0\0", b"\0\0a\nb", "reason"),
        ("a reason of 513 bytes", b"\4\0\0", b"\0\0" + b"a" * 513, "bytes of the reason"),
    ):
        yield vector(name, frame(8, details, body), field=field)


def undecodable() -> Iterator[Fields]:
    """Coded payloads that no writer writes for the bits that they decode to."""
    known, binding = FORMATS["small"], BINDINGS["small"]
    good = known.packet(draw_planes("small", 0.97, 5), 7, binding.number)
    assert good.coding == Coding.CONTEXT
    payloads = {
        "a payload that goes on with 1": (good.payload + b"\1")[:3],
        "a payload that goes on with 255": (good.payload + b"\xff")[:3],
        "a payload at whose bits a writer stops": bytes.fromhex("b38ba5"),
    }
    for name, payload in payloads.items():
        bad = binding.write(replace(good, payload=payload))
        yield vector(name, bad, session="one", tables="small", field="payload")
