"""Throw random and mutated messages at the wire format, and measure how fast codes are packed.

    python benchmarks/wire/wire_fuzz.py [--messages 200000] [--seed 0]

Messages of all kinds, framed and short; half of the codes are of three formats whose tables the receiver has.
Every message must come out exactly as it was sent or raise `WireError`; the second implementation
(`wire_reader.py`) must find the same fields in it or refuse it as well, and, in every 4th message, the same
bits (`wire_decoder.py`); what was damaged and not resealed must be refused; and reading must never need more
memory than the bytes that arrived allow (measured on every 8th message, and on every one that declares huge
sizes). A short message has a checksum of 16 bits, which misses one damage of 65536: those that it missed are
counted, and may not have 3 wrong bits or fewer. The exit status is 1 if anything else happened.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import track
from wire_decoder import decode, read_tables
from wire_fields import fields_of
from wire_formats import FORMATS, HELLO, WELCOME
from wire_random import (
    BY_NUMBER,
    DAMAGES,
    EARLIER,
    MUTATIONS,
    Message,
    is_short,
    random_bits,
    random_bytes_of,
    random_message,
)
from wire_reader import RefusedError, open_session, read

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import (
    HEADER_BYTES,
    SHORT_HEADER_BYTES,
    Binding,
    CodeFormat,
    Coding,
    Kind,
    Packet,
    entropy,
    pack,
    read_reply,
    read_sent,
    unpack,
)

SPEED_FORMAT = CodeFormat(Configuration.parse("128-NoEnc-B8"), (16, 14, 14))
SECOND_BINDINGS = open_session(HELLO.to_bytes(), WELCOME.to_bytes())
SECOND_TABLES = {name: read_tables(known.prior.to_bytes()) for name, known in FORMATS.items() if known.prior}
OF_SERVER = (Kind.WELCOME, Kind.ANSWER, Kind.REFUSAL)


@dataclass
class Report:
    """What happened to the messages of a run."""

    decoded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    num_measured: int = 0
    largest_peak_bytes: int = 0
    num_decoded_twice: int = 0
    num_damaged_short: int = 0
    num_missed: int = 0
    failures: list[str] = field(default_factory=list)


def receive(data: bytes) -> Message:
    if is_short(data):
        return (read_reply if data[0] & 0x40 else read_sent)(data, BY_NUMBER)
    return (read_reply if len(data) > 12 and data[12] in OF_SERVER else read_sent)(data)


def second_opinion(data: bytes) -> dict | None:
    """The fields that the second implementation finds; None if it refuses the message."""
    try:
        return read(data, SECOND_BINDINGS)
    except RefusedError:
        return None


def format_name(packet: Packet) -> str | None:
    """Which of the known formats a code is of."""
    own = packet.configuration, packet.feature_size, packet.num_tokens
    for name, known in FORMATS.items():
        if own == (known.configuration, known.feature_size, known.num_tokens):
            return name
    return None


def content_bytes(packet: Packet) -> bytes:
    """The payload again, by way of the bits or the clip that it holds; as it is if nobody knows its codec.

    Raises:
        WireError: It is none that the encoder writes.
    """
    if packet.kind == Kind.CLIP:
        return packet.clip().tobytes()
    if packet.kind == Kind.VIDEO:
        return packet.payload
    if packet.coding == Coding.RAW:
        return pack(packet.planes())
    name = format_name(packet)
    prior = None if name is None else FORMATS[name].prior
    if name is None or prior is None:
        return packet.payload
    if packet.place is None:
        return entropy.encode(packet.planes(prior), prior) or b""
    if prior.update is None or not packet.place.means(pack(EARLIER[name])):
        return packet.payload  # a server refuses it
    planes = packet.planes(prior, EARLIER[name])
    return entropy.encode(planes, prior, entropy.Reference(EARLIER[name], packet.place.steps)) or b""


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
    report.kinds[type(message).__name__ + (", short" if is_short(data) else "")] += 1
    again = (
        BY_NUMBER[int.from_bytes(data[1:3], "big")].write(message) if is_short(data) else message.to_bytes()
    )  # type: ignore[arg-type]
    if again != data or (name == "untouched" and message != original):
        report.failures.append(f"{name}: decoded to something else than was sent: {data.hex()}")
    elif isinstance(message, Packet) and content != message.payload:
        report.failures.append(f"{name}: the payload does not come back: {data.hex()}")
    elif name in DAMAGES and data not in known:
        report.num_missed += 1
        if not is_short(data) or num_wrong_bits(data, known) <= 3:
            report.failures.append(f"{name}: the damage was not seen: {data.hex()}")


def num_wrong_bits(data: bytes, known: set[bytes]) -> int:
    """By how many bits a message differs from the nearest of the same length that was sent."""
    number = int.from_bytes(data, "big")
    others = [int.from_bytes(each, "big") for each in known if len(each) == len(data)]
    return min((bin(number ^ each).count("1") for each in others), default=8 * len(data))


def compare(report: Report, name: str, data: bytes, decodes: bool) -> None:
    """Hold the library's fields, and the bits, to what the second implementation finds."""
    fields = second_opinion(data)
    try:
        message = receive(data)
    except Exception:
        message = None
    if fields != (None if message is None else fields_of(message)):
        report.failures.append(f"{name}: the second implementation finds {fields}: {data.hex()}")
    known = format_name(message) if isinstance(message, Packet) and message.kind == Kind.CODE else None
    if fields is None or not isinstance(message, Packet) or known is None or not decodes:
        return
    report.num_decoded_twice += 1
    earlier = None if message.place is None else EARLIER[known]
    try:
        bits = decode(fields, SECOND_TABLES[known], "" if earlier is None else "1" * earlier.size)
    except (RefusedError, AssertionError):
        bits = ""
    try:
        if message.place is not None and not message.place.means(pack(EARLIER[known])):
            raise WireError("earlier code: expected another")
        planes = message.planes(FORMATS[known].prior, earlier)
        expected = "".join(map(str, planes.ravel().tolist()))
    except (WireError, ValueError):
        expected = ""
    if bits != expected:
        report.failures.append(f"{name}: the second implementation decodes other bits: {data.hex()}")


def allowed_bytes(data: bytes) -> int:
    """What reading may need at its peak: planes of 8 times the payload, copies, and Python's own objects.

    An entropy coded packet of a known codec needs what the codec's grid does, whatever the packet says; ids
    and the formats of a hello become objects, of some tens of bytes for each of theirs.
    """
    is_packet = not is_short(data) and len(data) >= 20 and data[12] in (Kind.CODE, Kind.CLIP, Kind.VIDEO)
    has_objects = not is_packet or data[14] & 4
    is_coded = data[0] & 0x38 if is_short(data) else is_packet and data[13] != Coding.RAW
    return (80 if has_objects else 12) * len(data) + 16 * 1024 + (64 * 1024 if is_coded else 0)


def judge_with_memory(report: Report, name: str, original: Message, data: bytes, known: set[bytes]) -> None:
    tracemalloc.start()
    try:
        judge(report, name, original, data, known)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    report.num_measured += 1
    report.largest_peak_bytes = max(report.largest_peak_bytes, peak_bytes)
    if data and peak_bytes > allowed_bytes(data):
        report.failures.append(f"{name}: {peak_bytes} bytes allocated for {len(data)}: {data.hex()}")


def fuzz(num_messages: int, seed: int, shows_progress: bool = False) -> Report:
    """Judge so many messages."""
    source, report, other = random.Random(seed), Report(), b"AXB\x01" + bytes(40)
    entropy.warm_up()
    numbers = range(num_messages)
    for number in track(numbers, "fuzzing", console=Console(stderr=True), disable=not shows_progress):
        original = random_message(source)
        sent = random_bytes_of(source, original)
        name = source.choice(list(MUTATIONS))
        data = MUTATIONS[name](source, sent, other)
        measures = number % 8 == 0 or name.startswith("huge")
        (judge_with_memory if measures else judge)(report, name, original, data, {sent, other})
        report.num_damaged_short += name in DAMAGES and is_short(data)
        compare(report, name, data, decodes=number % 4 == 0)
        other = sent
    if report.num_missed > 5 + report.num_damaged_short / 8192:
        report.failures.append(f"{report.num_missed} damages of {report.num_damaged_short} were missed")
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
    bits, positions = SPEED_FORMAT.configuration.codebook_size, SPEED_FORMAT.num_positions
    planes, binding = random_bits(random.Random(0), bits, positions), Binding(1, SPEED_FORMAT)
    packet = SPEED_FORMAT.packet(planes, binding=1)
    data, short = packet.to_bytes(), binding.write(packet)
    yield "pack", median_us(lambda: pack(planes))
    yield "unpack", median_us(lambda: unpack(packet.payload, bits, positions))
    yield "packet + to_bytes", median_us(lambda: SPEED_FORMAT.packet(planes).to_bytes())
    yield "read_sent + planes", median_us(lambda: read_sent(data).planes())  # type: ignore[union-attr]
    yield "packet + short", median_us(lambda: binding.write(SPEED_FORMAT.packet(planes, binding=1)))
    yield "the same, read", median_us(lambda: read_sent(short, {1: binding}).planes())  # type: ignore[union-attr]


def print_report(report: Report) -> None:
    print(f"| {'message':<31} | {'decoded':>8} | {'refused':>8} |")
    print(f"|{'-' * 33}|{'-' * 9}:|{'-' * 9}:|")
    for name in MUTATIONS:
        print(f"| {name:<31} | {report.decoded[name]:>8} | {report.refused[name]:>8} |")
    print(f"| {'all':<31} | {report.decoded.total():>8} | {report.refused.total():>8} |")
    print("\ndecoded: " + ", ".join(f"{kind} {count}" for kind, count in report.kinds.most_common()))
    print("refused for: " + ", ".join(f"{reason} {count}" for reason, count in report.reasons.most_common()))
    print(f"largest peak while reading: {report.largest_peak_bytes} bytes, of {report.num_measured} measured")
    print(f"bits decoded by the second implementation too: {report.num_decoded_twice} codes")
    print(f"damages of short messages: {report.num_damaged_short}, missed by 16 bits: {report.num_missed}")
    print(f"failures: {len(report.failures)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the wire format and time it.")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    report = fuzz(arguments.messages, arguments.seed, shows_progress=True)
    print_report(report)
    print(f"seed {arguments.seed}, {time.perf_counter() - start:.1f} s\n")
    for name, microseconds in speeds():
        print(f"{name:<20} {microseconds:7.1f} us")
    sizes = f"{HEADER_BYTES + 2} bytes framed, {SHORT_HEADER_BYTES} short"
    print(f"({SPEED_FORMAT.configuration}, 50176 bytes; header {sizes})")
    for failure in report.failures[:10]:
        print(failure, file=sys.stderr)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
