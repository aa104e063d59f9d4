"""A second decoder of entropy coded payloads, from `approxbit/wire/FORMAT.md` alone: integers and loops.

`wire_fuzz.py`, `wire_vectors.py` and the tests hold the library to it. It shares nothing with approxbit.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from wire_reader import Bytes, Fields, crc_16, demand, num_bits, within

OFFSETS = list(itertools.product((-1, 0, 1), repeat=3))
BEFORE = [each for each in OFFSETS if each < (0, 0, 0)]
AROUND = sorted(OFFSETS, key=lambda offset: (sum(step * step for step in offset), offset))
COUNTS = (0, 1, 7, 19, 27)


@dataclass
class Tables:
    """One set of tables; arrays are flat, with their shapes."""

    grid: tuple[int, ...]
    num_tokens: int
    bits: int
    num_earlier: int
    num_reference: int
    units: int
    num_global: int
    arrays: dict[str, tuple[tuple[int, ...], list[int]]]
    update: Tables | None = None

    def weight(self, name: str, *place: int) -> int:
        """One number of an array."""
        shape, values = self.arrays[name]
        index = 0
        for length, number in zip(shape, place, strict=True):
            index = index * length + number
        return values[index]


def read_tables(data: bytes) -> Tables:
    body = Bytes(data)
    tables = read_set(body)
    demand(tables.num_reference == 0, "reference")
    if body.left:
        update = read_set(body)
        same = (update.grid, update.num_tokens, update.bits) == (tables.grid, tables.num_tokens, tables.bits)
        demand(same and update.num_reference > 0 and body.left == 0, "tables of updates")
        tables.update = update
    return tables


def read_set(body: Bytes) -> Tables:
    magic = body.take(4, "magic")
    demand(magic in (b"AXP\x01", b"AXP\x02"), "magic")
    grid = tuple(within(body.number(2, "grid"), 1, 65535, "grid") for _ in range(3))
    num_tokens, bits = body.number(2, "num_tokens"), within(body.number(2, "K"), 1, 4096, "K")
    earlier, reference, units = (body.number(1, "counts") for _ in range(3))
    demand(earlier in COUNTS and reference in COUNTS and 1 <= units <= 65, "counts")
    num_global = within(body.number(1, "G"), 1, 255, "G") if magic[3] == 2 else 0
    positions, pairs = math.prod(grid) + num_tokens, bits * (bits - 1) // 2
    demand(bits * positions * num_global <= 2**18, "G")
    shapes: dict[str, tuple[int, ...]] = {
        "before": (bits, 13, units),
        "earlier": (pairs, earlier, units),
        "reference": (bits, reference, units),
        "bias": (bits, units, sum(grid)),
        "output": (bits, units),
        "token_weights": (pairs if num_tokens else 0,),
        "token_biases": (bits if num_tokens else 0,),
        "global_input": (bits, positions, num_global),
        "global_bias": (num_global,),
        "global_output": (bits, positions, num_global),
    }
    arrays = {}
    for name, shape in shapes.items():
        data = body.take(2 * math.prod(shape), name)
        pairs_of_bytes = range(0, len(data), 2)
        arrays[name] = shape, [int.from_bytes(data[at : at + 2], "big", signed=True) for at in pairs_of_bytes]
    tables = Tables(grid, num_tokens, bits, earlier, reference, units, num_global, arrays)
    check_sums(tables)
    return tables


def check_sums(tables: Tables) -> None:
    starts = (0, tables.grid[0], tables.grid[0] + tables.grid[1])
    for bit, unit in itertools.product(range(tables.bits), range(tables.units)):
        total = sum(abs(tables.weight("before", bit, number, unit)) for number in range(13))
        total += sum(abs(tables.weight("reference", bit, at, unit)) for at in range(tables.num_reference))
        for pair in range(bit * (bit - 1) // 2, bit * (bit + 1) // 2):
            total += sum(abs(tables.weight("earlier", pair, at, unit)) for at in range(tables.num_earlier))
        for start, length in zip(starts, tables.grid, strict=True):
            total += max(abs(tables.weight("bias", bit, unit, start + at)) for at in range(length))
        demand(total <= 32767, "sum of the weights")


def probability(logit: int) -> int:
    power = 2**62
    for _ in range(min(abs(logit), 2816)):
        power = (power * 4593706758521714574) >> 62
    small = max(1, ((power << 16) + ((2**62 + power) >> 1)) // (2**62 + power))
    return small if logit <= 0 else 65536 - small


class Model:
    """Says of each bit in turn how likely it is, and is told what it was."""

    def __init__(self, tables: Tables, earlier: str, steps: int):
        self.tables, self.steps = tables, steps
        self.positions = list(itertools.product(*map(range, tables.grid)))
        self.earlier = earlier
        self.values: dict[tuple[int, Any], int] = {}
        self.hidden = [tables.weight("global_bias", unit) for unit in range(tables.num_global)]

    def guess(self, bit: int, place: tuple[int, ...]) -> int:
        """What the earlier code knows of a place, +1, -1, or 0 for nothing."""
        times, height, width = self.tables.grid
        time, row, column = place
        if not (0 <= time < times - self.steps and 0 <= row < height and 0 <= column < width):
            return 0
        index = ((time + self.steps) * height + row) * width + column
        return 1 if self.earlier[bit * (len(self.positions) + self.tables.num_tokens) + index] == "1" else -1

    def logit_of_position(self, bit: int, position: tuple[int, ...]) -> int:
        """The logit of a bit at a position of the grid, without the global units."""
        tables, logit = self.tables, 0

        def shifted(offset: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(a + b for a, b in zip(position, offset, strict=True))

        for unit in range(tables.units):
            starts = (0, tables.grid[0], tables.grid[0] + tables.grid[1])
            total = sum(
                tables.weight("bias", bit, unit, start + at)
                for start, at in zip(starts, position, strict=True)
            )
            for number, offset in enumerate(BEFORE):
                value = self.values.get((bit, shifted(offset)), 0)
                total += tables.weight("before", bit, number, unit) * value
            for other in range(bit):
                pair = bit * (bit - 1) // 2 + other
                for number in range(tables.num_earlier):
                    value = self.values.get((other, shifted(AROUND[number])), 0)
                    total += tables.weight("earlier", pair, number, unit) * value
            for number in range(tables.num_reference):
                value = self.guess(bit, shifted(AROUND[number]))
                total += tables.weight("reference", bit, number, unit) * value
            logit += tables.weight("output", bit, unit) * (total if unit == 0 else max(0, total))
        return logit >> 13

    def logit_of_token(self, bit: int, token: int) -> int:
        """The logit of a bit of a class token, without the global units."""
        logit = self.tables.weight("token_biases", bit)
        for other in range(bit):
            weight = self.tables.weight("token_weights", bit * (bit - 1) // 2 + other)
            logit += weight * self.values[other, token]
        return logit >> 2

    def likelihood(self, bit: int, place: Any, index: int) -> int:
        """How likely a 1 is, of 65536."""
        is_token = isinstance(place, int)
        logit = self.logit_of_token(bit, place) if is_token else self.logit_of_position(bit, place)
        added = sum(
            self.tables.weight("global_output", bit, index, unit) * max(0, seen)
            for unit, seen in enumerate(self.hidden)
        )
        return probability(logit + (added >> 16))

    def see(self, bit: int, place: Any, index: int, value: int) -> None:
        """Learn what a bit was."""
        self.values[bit, place] = value
        for unit in range(self.tables.num_global):
            self.hidden[unit] += self.tables.weight("global_input", bit, index, unit) * value


def decode(fields: Fields, tables: Tables | None = None, earlier: str = "") -> str:
    """The bits of a code as a string of 0 and 1, in the order of coding 0.

    Args:
        fields: Of the message, as `wire_reader.read` gives them.
        tables: Of the codec; none for coding 0.
        earlier: The bits of the earlier code of an update.

    Raises:
        RefusedError: The payload is none that a writer writes, or the earlier code is another.
    """
    payload = bytes.fromhex(fields["payload"])
    if fields["coding"] == "raw":
        bits = "".join(f"{byte:08b}" for byte in payload)
        return bits[: num_bits(fields)]
    assert tables is not None
    steps = 0
    if fields["coding"] == "update":
        demand(crc_16(pack(earlier)) == fields["place"]["earlier_checksum"], "earlier code")
        assert tables.update is not None
        tables, steps = tables.update, fields["place"]["steps"]
    model = Model(tables, earlier, steps)
    places = [*model.positions, *range(tables.num_tokens)]
    # The payload is one number; low and span count units that become 256 times finer with each byte.
    low, span, width = 0, 1 << 40, 40
    number, num_read, bits = int.from_bytes(payload[:5].ljust(5, b"\0"), "big"), 5, []
    for bit in range(fields["codebook_size"]):
        for index, place in enumerate(places):
            bound = (span >> 16) * model.likelihood(bit, place, index)
            value = 1 if number < low + bound else -1
            low, span = (low, bound) if value > 0 else (low + bound, span - bound)
            while span < 1 << 32:
                low, span, width = low << 8, span << 8, width + 8
                number = number << 8 | (payload[num_read] if num_read < len(payload) else 0)
                num_read += 1
            model.see(bit, place, index, value)
            bits.append("1" if value > 0 else "0")
    demand(shortest(low, span, width) == payload, "payload")
    demand(width // 8 - 5 <= (num_bits(fields) + 7) // 8, "payload")
    return "".join(bits)


def shortest(low: int, span: int, width: int) -> bytes:
    """The number in [low, low + span) with the most zero bytes at its end, without them."""
    for zeros in range(width, -1, -8):
        number = -(-low >> zeros) << zeros
        if number < low + span and number < 1 << width:
            return number.to_bytes(width // 8, "big").rstrip(b"\0")
    raise AssertionError("an interval has a number")


def pack(bits: str) -> bytes:
    """The payload of coding 0."""
    return b"".join(
        int(bits[at : at + 8].ljust(8, "0"), 2).to_bytes(1, "big") for at in range(0, len(bits), 8)
    )
