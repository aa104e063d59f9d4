"""Random messages of every kind, and what may happen to them on their way, for `wire_fuzz.py`."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from wire_formats import BINDINGS, FORMATS, HELLO, WELCOME

from approxbit.configuration import Configuration
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Hello,
    LateQuestion,
    Logits,
    Packet,
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
    pack,
)
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import Reference
from approxbit.wire.frame import write_frame

Message = Sent | Reply
Mutation = Callable[[random.Random, bytes, bytes], bytes]

NAMES = ("B3", "B5", "B8", "B16", "L8", "x", "blocks.11", "a" * 32)
EDGES = (0, 1, 2, 3, 7, 8, 255, 256, 4095, 4096, 4097, 2**15, 2**16 - 1)
HUGE = (2**16 - 1, 2**16 - 2, 2**15, 4096)
LETTERS = "abc:,. 0129äß≥漢😀"
BY_NUMBER = HELLO.bindings(WELCOME)
EARLIER = {
    name: np.ones((known.configuration.codebook_size, known.num_positions), np.uint8)
    for name, known in FORMATS.items()
}
"""Of each format, the only earlier code that the receiver has kept."""


def random_bits(source: random.Random, *shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    bits = np.unpackbits(np.frombuffer(source.randbytes(count // 8 + 1), np.uint8), count=count)
    return bits.reshape(shape)


def random_text(source: random.Random, most: int) -> str:
    return "".join(source.choice(LETTERS) for _ in range(source.randint(1, most)))


def random_ids(source: random.Random) -> tuple[int, ...]:
    high = source.choice((255, 2**16 - 1, 2**16, 2**32 - 1))
    return tuple(source.randint(0, high) for _ in range(source.randint(1, 12)))


def random_wanted(source: random.Random) -> Wanted:
    kind = source.choice(list(AnswerKind))
    most = {AnswerKind.TOP_K: source.randint(1, 255), AnswerKind.TEXT: 0, AnswerKind.TOKENS: 16384}
    return Wanted(kind, most.get(kind, 0))


def random_request(source: random.Random, must_ask: bool = False) -> Request:
    question: Text | Tokens | None = None
    if must_ask or source.random() < 0.2:
        question = Text(random_text(source, 30)) if source.random() < 0.5 else Tokens(random_ids(source))
    return Request(question, random_wanted(source) if source.random() < 0.2 else None)


def random_known_code(source: random.Random) -> Packet:
    """A code that the receiver has tables for."""
    name, share = source.choice(list(FORMATS)), source.choice((0.5, 0.9, 0.97, 1.0))
    known, binding, request = FORMATS[name], BINDINGS[name].number, random_request(source)
    draw = np.random.default_rng(source.getrandbits(32))
    planes = (draw.random(EARLIER[name].shape) < share).astype(np.uint8)
    sequence = source.getrandbits(8)
    if known.prior is not None and known.prior.update is not None and source.random() < 0.4:
        steps = source.randrange(known.prior.grid_size[0])
        coding, payload = encode_planes(planes, known.prior, Reference(EARLIER[name], steps))
        if coding == Coding.UPDATE:
            place = WindowPlace.after(pack(EARLIER[name]), source.randint(1, 255), steps)
            sizes = known.configuration, known.feature_size, payload, known.num_tokens, known.fingerprint
            return Packet(*sizes, sequence, coding, binding, place, request)
    return known.packet(planes, sequence, binding, request=request)


def random_packet(source: random.Random) -> Packet:
    if source.random() < 0.5:
        return random_known_code(source)
    sequence, fingerprint = source.getrandbits(32), source.getrandbits(64)
    size = (source.randint(1, 6), source.randint(1, 6), source.randint(1, 6))
    chance = source.random()
    if chance < 0.2:
        clip = np.frombuffer(source.randbytes(3 * size[0] * size[1] * size[2]), np.uint8).reshape(*size, 3)
        return Packet.of_clip(clip, fingerprint, sequence, random_request(source))
    if chance < 0.4:
        video, name = source.randbytes(source.randint(1, 60)), source.choice(("mp4.h264", "x"))
        return Packet.of_video(video, name, size, fingerprint, sequence, random_request(source))
    known = random_format(source)
    planes = random_bits(source, known.configuration.codebook_size, known.num_positions)
    binding = source.choice((None, None, source.randint(1, 65535)))
    return known.packet(planes, sequence, binding, request=random_request(source))


def random_format(source: random.Random) -> CodeFormat:
    configuration = Configuration(source.choice(NAMES), source.random() < 0.5, source.randint(1, 40))
    size = (source.randint(1, 6), source.randint(1, 6), source.randint(1, 6))
    return CodeFormat(configuration, size, source.choice((0, 0, 1, 3)), source.getrandbits(64))


def random_content(source: random.Random) -> Any:
    kind = source.choice(list(AnswerKind))
    if kind == AnswerKind.LOGITS:
        return Logits(np.array([source.gauss(0, 10) for _ in range(source.randint(1, 12))], np.float32))
    if kind == AnswerKind.TOP_K:
        classes = tuple(dict.fromkeys(random_ids(source)))
        return TopK(classes, tuple(sorted((-source.expovariate(0.2) for _ in classes), reverse=True)))
    if kind == AnswerKind.TEXT:
        return Text(random_text(source, 60))
    if kind == AnswerKind.TOKENS:
        return Tokens(random_ids(source))
    dtype = source.choice((np.uint8, np.int32, np.int64, np.float16, np.float32))
    shape = [source.randint(1, 3) for _ in range(source.randint(0, 4))]
    return TensorAnswer(np.random.default_rng(source.getrandbits(32)).integers(0, 99, shape).astype(dtype))


def random_message(source: random.Random) -> Message:
    """Three of four are packets."""
    if source.random() < 0.75:
        return random_packet(source)
    sequence = source.getrandbits(8)
    kind = source.randrange(6)
    if kind == 0:
        drawn = (random_format(source) for _ in range(source.randint(1, 4)))
        formats = tuple(dict.fromkeys(drawn))
        return Hello(formats, random_wanted(source), source.getrandbits(32), source.getrandbits(32))
    if kind == 1:
        refused = [source.choice((None, Status.WRONG_WEIGHTS, Status.UNSUPPORTED)) for _ in range(3)]
        return Welcome(source.getrandbits(32), source.randint(1, 65532), (None, *refused))
    if kind == 2:
        binding = source.choice((None, *BY_NUMBER))
        return LateQuestion(sequence, source.randint(1, 255), random_request(source, True), binding)
    if kind == 3:
        status, retry_after_ms = source.choice(list(Status)), source.choice((0, 5, 655350))
        return Refusal(
            sequence, random_text(source, 40) if source.random() < 0.7 else "", status, retry_after_ms
        )
    return Answer(sequence, random_content(source), source.expovariate(0.1), source.expovariate(0.1))


def random_bytes_of(source: random.Random, message: Message) -> bytes:
    """The message as it is sent: short where it can be, most times."""
    if isinstance(message, Hello | Welcome) or source.random() < 0.35:
        return message.to_bytes()
    if isinstance(message, Packet | LateQuestion):
        binding = BY_NUMBER.get(message.binding or 0)
        fits = binding is not None and (
            isinstance(message, LateQuestion) or binding.code_format.is_of(message)
        )
        return binding.write(message) if binding is not None and fits else message.to_bytes()
    return source.choice(list(BY_NUMBER.values())).write(message)


def is_short(data: bytes) -> bool:
    return data[:1] >= b"\x80"


def reseal(data: bytes, body_bytes: int | None = None) -> bytes:
    """The message with lengths and checksum that fit, or with the given body_bytes."""
    if is_short(data):
        data = data.ljust(6, b"\0")
        binding = BY_NUMBER.get(int.from_bytes(data[1:3], "big"), next(iter(BY_NUMBER.values())))
        head = data[:1] + binding.number.to_bytes(2, "big") + data[3:4]
        return head + binding.checksum(head, data[6:]) + data[6:]
    data = data.ljust(20, b"\0")
    sealed = write_frame(data[12], data[13:16], int.from_bytes(data[16:20], "big"), data[20:])  # type: ignore[arg-type]
    if body_bytes is None:
        return data[:4] + sealed[4:]
    rest = struct.pack(">I", body_bytes) + sealed[12:]
    return sealed[:4] + struct.pack(">I", zlib.crc32(sealed[:4] + rest)) + rest


def flip_bits(source: random.Random, data: bytes, other: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 3, 8))):
        damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
    return bytes(damaged)


def truncate(source: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: source.randrange(len(data))]


def extend(source: random.Random, data: bytes, other: bytes) -> bytes:
    return data + source.choice((b"\0", source.randbytes(source.randint(1, 9)), other))


def splice(source: random.Random, data: bytes, other: bytes) -> bytes:
    place = source.randrange(min(len(data), len(other)))
    return data[:place] + other[place if source.random() < 0.5 else source.randrange(len(other)) :]


def rewrite_field(source: random.Random, data: bytes, other: bytes) -> bytes:
    """A byte or a 16-bit number behind the checksum gets a value at the edge of something."""
    first = 6 if is_short(data) else 12
    place, value = source.randrange(first, max(first + 1, min(len(data), 50))), source.choice(EDGES)
    written = struct.pack(">H", value) if source.random() < 0.6 else bytes([value & 255])
    return reseal(data[:place] + written + data[place + len(written) :])


def rewrite_tag(source: random.Random, data: bytes, other: bytes) -> bytes:
    """The kind of the message, or what the tag of a short one says, becomes another."""
    if is_short(data):
        return reseal(bytes([0x80 | source.getrandbits(7)]) + data[1:])
    return reseal(data[:12] + bytes([source.randint(0, 9)]) + data[13:])


def random_header(source: random.Random, data: bytes, other: bytes) -> bytes:
    """A packet whose fields are drawn one by one, small so that they often nearly fit together."""
    name = source.choice(NAMES).encode() if source.random() < 0.9 else source.randbytes(2)
    kind, coding = (
        source.choice((3, 3, 3, 3, 4, 5, source.getrandbits(8))),
        source.choice((0,) * 9 + (1, 2, 3)),
    )
    flags, name_bytes = source.choice((0, 1, 1, 2, 3, 5, 8)), source.choice((len(name),) * 9 + (0, 33, 255))
    sizes = [source.choice((1, 1, 2, 3, 1, 1, 2, 3, 1, 0)) for _ in range(3)]
    num_tokens, codebook_size = source.choice((0, 0, 1, 2)), source.randint(0, 9)
    grid = [(extent + 1) // 2 if flags & 1 else extent for extent in sizes]
    count = codebook_size * (grid[0] * grid[1] * grid[2] + num_tokens)
    payload = source.choice((bytes, source.randbytes))((count + 7) // 8 + source.choice((0, 0, 0, 1)))
    head = b"AXB\x01" + bytes(8) + bytes([kind, coding, flags, name_bytes]) + source.randbytes(4)
    fields = struct.pack(">Q5H", source.getrandbits(64), *sizes, num_tokens, codebook_size)
    more = source.randbytes(2) if flags & 2 else b""
    if flags & 4:
        more += source.choice((b"\0", b"\1\0\1?", b"\4\1\0\5", b"\5\2\0\0\0\1\xff", b"\3\0\4\0\1\0\0"))
    if coding == 2:
        more += bytes([source.randrange(3), source.randrange(3)]) + source.randbytes(2)
    return reseal(head + fields + name + more + payload)


def huge_sizes(source: random.Random, data: bytes, other: bytes) -> bytes:
    """A message that declares far more than it brings, in its fields, in body_bytes or in both."""
    tail, large = source.randbytes(source.randint(0, 40)), (None, 2**32 - 1, 2**26, 2**26 + 8192, 2**31)
    kind = source.choice((1, 3, 3, 3, 4, 5, 6, 7))
    if kind == 1:
        message = bytes([kind, 255, 0, 0]) + bytes(4) + source.randbytes(4) + b"\1\0\5" + tail
    elif kind == 6:
        message = bytes([kind, 0, 0, 1]) + bytes(4) + b"\1\1\x10\0" + tail
    elif kind == 7:
        axes = source.randint(1, 8)
        message = bytes([kind, 4, 0, 0]) + bytes(8) + bytes([source.randint(0, 4), axes]) + b"\xff" * 4 * axes
    else:
        name = b"" if kind == 4 else b"B8"
        sizes = [source.choice(HUGE) if source.random() < 0.7 else 1 for _ in range(5)]
        sizes[3:] = sizes[3:] if kind == 3 else (0, 0)
        details = [kind, source.choice((0, 0, 1)) if kind == 3 else 0, 0, len(name)]
        message = bytes(details) + bytes(4) + struct.pack(">Q5H", 0, *sizes) + name + tail
    return reseal(b"AXB\x01" + bytes(8) + message, source.choice((None, *large)))


def resealed(mutate: Mutation) -> Mutation:
    """The same mutation by somebody who knows the format: lengths and checksum fit again."""
    return lambda source, data, other: reseal(mutate(source, data, other))


DAMAGES: dict[str, Mutation] = {
    "bits flipped": flip_bits,
    "truncated": truncate,
    "extended": extend,
    "spliced": splice,
    "random bytes": lambda source, data, other: source.randbytes(source.randint(0, 80)),
    "random bytes after magic": lambda source, data, other: (
        b"AXB\x01" + source.randbytes(source.randint(0, 80))
    ),
    "random bytes after a short head": lambda source, data, other: (
        bytes([0x80 | source.getrandbits(7), 3, 0xFD]) + source.randbytes(source.randint(0, 60))
    ),
}
FORGERIES: dict[str, Mutation] = {
    "bits flipped, resealed": resealed(flip_bits),
    "truncated, resealed": resealed(truncate),
    "extended, resealed": resealed(extend),
    "spliced, resealed": resealed(splice),
    "field rewritten, resealed": rewrite_field,
    "tag rewritten, resealed": rewrite_tag,
    "random header, sealed": random_header,
    "huge sizes, sealed": huge_sizes,
}
MUTATIONS: dict[str, Mutation] = {"untouched": lambda source, data, other: data, **DAMAGES, **FORGERIES}
