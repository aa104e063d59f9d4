"""Throw random and mutated messages at the wire format, and measure how fast codes are packed.

    python benchmarks/wire_fuzz.py [--packets 200000] [--seed 0]

A third of the codes are entropy coded under the tables of a few codecs, some of them in layers; the receiver
knows these codecs and decodes theirs. Beside the packets, a quarter as many answers and refusals. Every
message must come out exactly as it was sent or raise `WireError`; what was damaged and not resealed must be
refused; and reading must never need more memory than the bytes that arrived allow (measured on every 8th
message, and on every one that declares huge sizes). The exit status is 1 if anything else happened.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from approxbit.wire.layers import Layers
from rich.console import Console
from rich.progress import track

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import (
    HEADER_BYTES,
    Answer,
    Coding,
    Kind,
    Packet,
    Prior,
    PriorTables,
    Refusal,
    Status,
    StreamPlace,
    ZstdDictionary,
    codings_of,
    entropy,
    pack,
    read_reply,
    unpack,
)
from approxbit.wire.entropy import GlobalUnits

Message = Packet | Answer | Refusal
NAMES = ("B3", "B5", "B8", "B16", "L8", "x", "blocks.11", "a" * 32)
EDGES = (0, 1, 2, 3, 7, 8, 255, 256, 4095, 4096, 4097, 2**15, 2**16 - 1)
HUGE = (2**16 - 1, 2**16 - 2, 2**15, 4096)
SPEED_CONFIGURATION, SPEED_SIZE = Configuration.parse("128-NoEnc-B8"), (16, 14, 14)


def random_bits(source: random.Random, *shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    return np.unpackbits(np.frombuffer(source.randbytes(count // 8 + 1), np.uint8), count=count).reshape(
        shape
    )


@dataclass(frozen=True)
class KnownCodec:
    """What a receiver of entropy coded packets knows of a codec."""

    configuration: Configuration
    size: tuple[int, int, int]
    num_tokens: int
    prior: Prior
    earlier: np.ndarray

    def fits(self, packet: Packet) -> bool:
        """Whether a server would read the packet with these tables."""
        found = packet.configuration, packet.feature_size, packet.num_tokens
        return found == (self.configuration, self.size, self.num_tokens)


def random_codec(
    name: str, size: tuple[int, int, int], num_tokens: int, hidden: int, num_global: int = 0
) -> KnownCodec:
    """A codec whose tables find constant codes likely."""
    configuration, draw = Configuration.parse(name), np.random.default_rng(0)
    bits, grid = configuration.codebook_size, configuration.grid_size(size)
    pairs, largest = bits * (bits - 1) // 2, 32767 // (23 + 7 * bits)

    def weights(*shape: int) -> np.ndarray:
        return draw.integers(-largest // 4, largest + 1, shape).astype(np.int16)

    def global_units() -> GlobalUnits | None:
        shape = bits, configuration.num_positions(size, num_tokens), num_global
        if not num_global:
            return None
        return GlobalUnits(
            *(draw.integers(-500, 600, each).astype(np.int16) for each in (shape, shape[2:], shape))
        )

    def tables(around: int, update: PriorTables | None = None) -> PriorTables:
        return PriorTables(
            grid,
            num_tokens,
            before=weights(bits, 13, 1 + hidden),
            earlier=weights(pairs, 7, 1 + hidden),
            reference=weights(bits, around, 1 + hidden),
            bias=weights(bits, 1 + hidden, sum(grid)),
            output=np.full((bits, 1 + hidden), 1500, np.int16),
            token_weights=weights(pairs if num_tokens else 0),
            token_biases=weights(bits if num_tokens else 0),
            global_units=global_units(),
            update=update,
        )

    earlier = (draw.random((bits, configuration.num_positions(size, num_tokens))) < 0.9).astype(np.uint8)
    return KnownCodec(configuration, size, num_tokens, tables(0, tables(7)), earlier)


def dictionary_codec(name: str, size: tuple[int, int, int]) -> KnownCodec:
    """A codec with a dictionary in the place of tables."""
    configuration, draw = Configuration.parse(name), np.random.default_rng(0)
    bits, grid = configuration.codebook_size, configuration.grid_size(size)
    codes = (draw.random((200, bits, configuration.num_positions(size))) < 0.97).astype(np.uint8)
    dictionary = ZstdDictionary.train(grid, 0, bits, [pack(each) for each in codes], 1024)
    return KnownCodec(configuration, size, 0, dictionary, codes[0])


CODECS = (
    random_codec("4-Enc-B5", (4, 4, 4), 0, 0),
    random_codec("3-NoEnc-B3", (2, 3, 5), 1, 2),
    random_codec("16-Enc-B16", (3, 5, 4), 0, 0),
    random_codec("5-Enc-B6", (3, 5, 4), 1, 0, 6),
    dictionary_codec("8-NoEnc-B7", (2, 5, 5)),
)


def random_coded_packet(source: random.Random) -> Packet:
    codec, share = source.choice(CODECS), source.choice((0.5, 0.9, 0.97, 1.0))
    bits = codec.configuration.codebook_size
    draw = np.random.default_rng(source.getrandbits(32))
    planes = (draw.random((bits, codec.prior.num_positions)) < share).astype(np.uint8)
    cuts = source.choice(((), (), (1, bits), (bits,)))
    rest = codec.num_tokens, source.getrandbits(64), source.getrandbits(32), codec.prior
    if isinstance(codec.prior, ZstdDictionary):
        return Packet.of_code(codec.configuration, codec.size, planes, *rest)
    if source.random() < 0.3:
        steps = source.randrange(codec.prior.grid_size[0])
        place = StreamPlace.after(source.getrandbits(32), pack(codec.earlier), source.randint(1, 255), steps)
        return Packet.of_code(
            *(codec.configuration, codec.size, planes, *rest), place=place, earlier=codec.earlier
        )
    place = StreamPlace(source.getrandbits(32)) if source.random() < 0.3 else None
    packet = Packet.of_code(codec.configuration, codec.size, planes, *rest, cuts, place)
    cut = packet.coding == Coding.LAYERED and source.random() < 0.3
    return packet.keep_layers(1) if cut else packet


def random_packet(source: random.Random) -> Packet:
    if source.random() < 0.3:
        return random_coded_packet(source)
    sequence, fingerprint = source.getrandbits(32), source.getrandbits(64)
    size = (source.randint(1, 6), source.randint(1, 6), source.randint(1, 6))
    if source.random() < 0.2:
        clip = np.frombuffer(source.randbytes(3 * size[0] * size[1] * size[2]), np.uint8).reshape(*size, 3)
        return Packet.of_clip(clip, fingerprint, sequence)
    configuration = Configuration(source.choice(NAMES), source.random() < 0.5, source.randint(1, 40))
    num_tokens = source.choice((0, 0, 1, 3))
    planes = random_bits(source, configuration.codebook_size, configuration.num_positions(size, num_tokens))
    return Packet.of_code(configuration, size, planes, num_tokens, fingerprint, sequence)


def random_reply(source: random.Random) -> Answer | Refusal:
    sequence = source.getrandbits(32)
    if source.random() < 0.5:
        logits = np.array([source.gauss(0, 10) for _ in range(source.randint(1, 12))], np.float32)
        return Answer(sequence, logits, source.expovariate(0.1), source.expovariate(0.1))
    reason = "".join(source.choice("abc:,. 0129äß≥漢😀") for _ in range(source.randint(1, 40)))
    return Refusal(sequence, reason, source.choice(list(Status)))


def reseal(data: bytes, body_bytes: int | None = None) -> bytes:
    """The message with a body_bytes and a checksum that fit, or with the given body_bytes."""
    count = max(0, len(data) - 20) if body_bytes is None else body_bytes
    rest = struct.pack(">I", count) + data[12:]
    return data[:4] + struct.pack(">I", zlib.crc32(rest, zlib.crc32(data[:4]))) + rest


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
    place, value = source.randrange(12, min(len(data), 44)), source.choice(EDGES)
    written = struct.pack(">H", value) if source.random() < 0.6 else bytes([value & 255])
    return reseal(data[:place] + written + data[place + len(written) :])


def random_header(source: random.Random, data: bytes, other: bytes) -> bytes:
    """A packet whose fields are drawn one by one, small so that they often nearly fit together."""
    name = source.choice(NAMES).encode() if source.random() < 0.9 else source.randbytes(2)
    kind, coding = (
        source.choice((1, 1, 1, 1, 2, source.getrandbits(8))),
        source.choice((0,) * 9 + (1, 2, 3, 3, 4)),
    )
    flags, name_bytes = source.choice((0, 1, 1, 2, 3, 128)), source.choice((len(name),) * 9 + (0, 33, 255))
    sizes = [source.choice((1, 1, 2, 3, 1, 1, 2, 3, 1, 0)) for _ in range(3)]
    num_tokens, codebook_size = source.choice((0, 0, 1, 2)), source.randint(0, 9)
    grid = [(extent + 1) // 2 if flags & 1 else extent for extent in sizes]
    count = codebook_size * (grid[0] * grid[1] * grid[2] + num_tokens)
    payload = source.choice((bytes, source.randbytes))((count + 7) // 8 + source.choice((0, 0, 0, 1)))
    head = data[:12] + bytes([kind, coding, flags, name_bytes]) + source.randbytes(4)
    fields = struct.pack(">Q5H", source.getrandbits(64), *sizes, num_tokens, codebook_size)
    place = source.randbytes(4) if flags & 2 else b""
    if coding == 3:
        place += bytes([source.randrange(3), source.randrange(3)]) + source.randbytes(2)
    return reseal(head + fields + name + place + payload)


def huge_sizes(source: random.Random, data: bytes, other: bytes) -> bytes:
    """A packet that declares far more than it brings, in its fields, in body_bytes or in both."""
    kind, coding, name = source.choice((1, 1, 2)), source.choice((0, 0, 1, 2, 4)), source.choice((b"B8", b""))
    sizes = [source.choice(HUGE) if source.random() < 0.7 else 1 for _ in range(5)]
    head = data[:12] + bytes([kind, coding, source.randint(0, 1), len(name)]) + bytes(4)
    message = head + struct.pack(">Q5H", 0, *sizes) + name + source.randbytes(source.randint(0, 40))
    return reseal(message, source.choice((None, None, 2**32 - 1, 2**26, 2**26 + 1024, 2**31)))


def resealed(mutate: Mutation) -> Mutation:
    """The same mutation by somebody who knows the format: body_bytes and checksum fit again."""
    return lambda source, data, other: reseal(mutate(source, data, other).ljust(20, b"\0"))


Mutation = Callable[[random.Random, bytes, bytes], bytes]
DAMAGES: dict[str, Mutation] = {
    "bits flipped": flip_bits,
    "truncated": truncate,
    "extended": extend,
    "spliced": splice,
    "random bytes": lambda source, data, other: source.randbytes(source.randint(0, 80)),
    "random bytes after magic": lambda source, data, other: (
        data[:4] + source.randbytes(source.randint(0, 80))
    ),
}
FORGERIES: dict[str, Mutation] = {
    "bits flipped, resealed": resealed(flip_bits),
    "truncated, resealed": resealed(truncate),
    "extended, resealed": resealed(extend),
    "spliced, resealed": resealed(splice),
    "field rewritten, resealed": rewrite_field,
    "random header, sealed": random_header,
    "huge sizes, sealed": huge_sizes,
}
MUTATIONS: dict[str, Mutation] = {"untouched": lambda source, data, other: data, **DAMAGES, **FORGERIES}


@dataclass
class Report:
    """What happened to the messages of a run."""

    decoded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    num_measured: int = 0
    largest_peak_bytes: int = 0
    failures: list[str] = field(default_factory=list)


def receive(data: bytes) -> Message:
    is_reply = len(data) > 12 and data[12] in (Kind.ANSWER, Kind.REFUSAL)
    return read_reply(data) if is_reply else Packet.from_bytes(data)


def content_bytes(packet: Packet) -> bytes:
    """The payload again, by way of the bits or the clip that it holds; as it is if nobody knows its codec.

    Raises:
        WireError: It is none that the encoder writes.
    """
    if packet.kind == Kind.CLIP:
        return packet.clip().tobytes()
    if packet.coding == Coding.RAW:
        return pack(packet.planes())
    codec = next((each for each in CODECS if each.fits(packet)), None)
    if codec is None or packet.coding not in codings_of(codec.prior):
        return packet.payload
    if isinstance(codec.prior, ZstdDictionary):
        packet.planes(codec.prior)
        return packet.payload  # zstandard has several ways to say the same
    if packet.place is not None and packet.coding == Coding.UPDATE:
        if not packet.place.means(pack(codec.earlier)):
            return packet.payload  # a server refuses it
        planes = packet.planes(codec.prior, codec.earlier)
        reference = entropy.Reference(codec.earlier, packet.place.steps)
        layers = entropy.encode(planes, codec.prior, reference=reference)
        return layers[0] if layers else b""
    planes = packet.planes(codec.prior)
    if packet.coding == Coding.CONTEXT:
        layers = entropy.encode(planes, codec.prior)
        return layers[0] if layers else b""
    cuts = Layers.from_bytes(packet.payload, packet.codebook_size).cuts
    layers = entropy.encode(planes, codec.prior, cuts)
    # What was cut may be longer than raw, and has no second way back.
    return Layers(cuts, tuple(layers)).to_bytes() if layers else packet.payload


def judge(report: Report, name: str, original: Message, data: bytes, known: set[bytes]) -> None:
    """Receive one message and note what happened; a sentence in `failures` if that must not be."""
    try:
        message = receive(data)
        content = content_bytes(message) if isinstance(message, Packet) else b""
    except WireError as error:
        report.refused[name] += 1
        report.reasons[str(error).split(":")[0]] += 1
        if data in known:
            report.failures.append(f"{name}: refused as it was sent: {error}: {data.hex()}")
        return
    except Exception as error:
        report.failures.append(f"{name}: {type(error).__name__}: {error}: {data.hex()}")
        return
    report.decoded[name] += 1
    if message.to_bytes() != data or (name == "untouched" and message != original):
        report.failures.append(f"{name}: decoded to something else than was sent: {data.hex()}")
    elif isinstance(message, Packet) and content != message.payload:
        report.failures.append(f"{name}: the payload does not come back: {data.hex()}")
    elif name in DAMAGES and data not in known:
        report.failures.append(f"{name}: the damage was not seen: {data.hex()}")


def allowed_bytes(data: bytes) -> int:
    """What reading may need at its peak: planes of 8 times the payload, copies, and Python's own objects.

    An entropy coded packet of a known codec needs what the codec's grid does, whatever the packet says.
    """
    of_codec = 64 * 1024 if len(data) > 13 and data[13] != Coding.RAW else 0
    return 12 * len(data) + 16 * 1024 + of_codec


def judge_with_memory(report: Report, name: str, original: Message, data: bytes, known: set[bytes]) -> None:
    tracemalloc.start()
    try:
        judge(report, name, original, data, known)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    report.num_measured += 1
    report.largest_peak_bytes = max(report.largest_peak_bytes, peak_bytes)
    if peak_bytes > allowed_bytes(data):
        report.failures.append(f"{name}: {peak_bytes} bytes allocated for {len(data)}: {data.hex()}")


def fuzz(num_packets: int, seed: int, shows_progress: bool = False) -> Report:
    """Judge `num_packets` packets and a quarter as many answers and refusals."""
    source, report, other = random.Random(seed), Report(), b"AXB\x01" + bytes(40)
    entropy.warm_up()
    numbers = range(num_packets + num_packets // 4)
    for number in track(numbers, "fuzzing", console=Console(stderr=True), disable=not shows_progress):
        original = random_reply(source) if number % 5 == 4 else random_packet(source)
        sent = original.to_bytes()
        name = source.choice(list(MUTATIONS))
        data = MUTATIONS[name](source, sent, other)
        measures = number % 8 == 0 or name.startswith("huge")
        (judge_with_memory if measures else judge)(report, name, original, data, {sent, other})
        other = sent
    return report


def median_us(call: Callable[[], object], repeats: int = 200) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1e6 * statistics.median(seconds)


def speeds() -> Iterator[tuple[str, float]]:
    """Microseconds of the steps that one code of 50,176 bytes goes through."""
    bits, positions = SPEED_CONFIGURATION.codebook_size, SPEED_CONFIGURATION.num_positions(SPEED_SIZE)
    planes = random_bits(random.Random(0), bits, positions)
    packet = Packet.of_code(SPEED_CONFIGURATION, SPEED_SIZE, planes)
    data = packet.to_bytes()
    yield "pack", median_us(lambda: pack(planes))
    yield "unpack", median_us(lambda: unpack(packet.payload, bits, positions))
    yield (
        "of_code + to_bytes",
        median_us(lambda: Packet.of_code(SPEED_CONFIGURATION, SPEED_SIZE, planes).to_bytes()),
    )
    yield "from_bytes + planes", median_us(lambda: Packet.from_bytes(data).planes())


def print_report(report: Report) -> None:
    print(f"| {'message':<26} | {'decoded':>8} | {'refused':>8} |")
    print(f"|{'-' * 28}|{'-' * 9}:|{'-' * 9}:|")
    for name in MUTATIONS:
        print(f"| {name:<26} | {report.decoded[name]:>8} | {report.refused[name]:>8} |")
    print(f"| {'all':<26} | {report.decoded.total():>8} | {report.refused.total():>8} |")
    print(
        "\nrefused for: " + ", ".join(f"{reason} {count}" for reason, count in report.reasons.most_common())
    )
    print(f"largest peak while reading: {report.largest_peak_bytes} bytes, of {report.num_measured} measured")
    print(f"failures: {len(report.failures)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the wire format and time it.")
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    report = fuzz(arguments.packets, arguments.seed, shows_progress=True)
    print_report(report)
    print(f"seed {arguments.seed}, {time.perf_counter() - start:.1f} s\n")
    for name, microseconds in speeds():
        print(f"{name:<20} {microseconds:7.1f} us  ({SPEED_CONFIGURATION}, 50176 + {HEADER_BYTES + 2} bytes)")
    for failure in report.failures[:10]:
        print(failure, file=sys.stderr)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
