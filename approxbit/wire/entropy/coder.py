"""Bit planes <-> bytes, under the tables of a codec."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from approxbit.configuration import Shape3
from approxbit.errors import WireError
from approxbit.wire.entropy import kernels
from approxbit.wire.entropy.compiled import load_kernels
from approxbit.wire.entropy.context import AROUND, BEFORE
from approxbit.wire.entropy.reference import Reference
from approxbit.wire.entropy.tables import PriorTables
from approxbit.wire.frame import BytesLike, problem
from approxbit.wire.packing import check_planes, packed_bytes

_WINDOW_BYTES = kernels.TOP_BITS // 8


def encode(planes: np.ndarray, tables: PriorTables, reference: Reference | None = None) -> bytes | None:
    """The payload of a code, or None where the code is not shorter this way than packed.

    Args:
        planes: 0 and 1, uint8 or bool `[bit, position]`: all bits of the codec, or its first ones.
        tables: Of the codec.
        reference: An earlier code that the decoder has as well, for tables that look at one.

    Raises:
        ValueError: The planes or the reference do not fit the tables.
    """
    check_planes(planes)
    _check_fit(planes.shape, tables, reference)
    work = _Work(tables, len(planes), reference)
    work.fill(planes)
    # The coder gives up when the buffer is full, even if the bytes behind it would all be zeros.
    limit = packed_bytes(*planes.shape)
    state, buffer = _new_state(), np.empty(limit, np.uint8)
    if not load_kernels().encode_planes(*work.arguments, state, buffer):
        return None
    payload = _finish(state, buffer)
    return payload if len(payload) < limit else None


def decode(
    payload: BytesLike, tables: PriorTables, num_bits: int, reference: Reference | None = None
) -> np.ndarray:
    """The bit planes of a payload; the inverse of `encode`.

    Memory and time depend on the tables and the number of bits alone, whatever the payload holds.

    Args:
        payload: What `encode` returned.
        tables: The same.
        num_bits: How many bits of the codec were coded.
        reference: The same; of the bits that are decoded, or of more.

    Returns:
        uint8 `[bit, position]`, 0 and 1.

    Raises:
        ValueError: The number of bits or the reference does not fit the tables.
        WireError: The payload is not what `encode` writes for any bits.
    """
    _check_fit((num_bits, tables.num_positions), tables, reference)
    work, coded = _Work(tables, num_bits, reference), np.frombuffer(payload, np.uint8)
    state = _new_state(coded)
    load_kernels().decode_planes(*work.arguments, state, coded)
    _check_end(state, bytes(payload), packed_bytes(num_bits, tables.num_positions))
    return work.planes()


def warm_up() -> None:
    """Load and translate the kernels now, so that no packet waits for it: seconds once, then parts of one."""
    tables = PriorTables.of_zeros(1, (1, 1, 1))
    planes = np.zeros((1, 1), np.uint8)
    encode(planes, tables)
    work = _Work(tables, 1, None)
    payload = np.frombuffer(b"", np.uint8)
    load_kernels().decode_planes(*work.arguments, _new_state(payload), payload)


class _Layout(NamedTuple):
    """Where the values of a grid lie in their row; see `kernels.py`.

    Attributes:
        size: Time, height, width, and the place of the first value.
        shifts: Distances of the neighbours: those before, then those around.
        row_length: Values of a row.
        places: Place of each position of the grid, in their order.
    """

    size: tuple[int, int, int, int]
    shifts: np.ndarray
    row_length: int
    places: np.ndarray


@functools.lru_cache(maxsize=64)
def _layout(grid_size: Shape3) -> _Layout:
    times, height, width = grid_size
    line, step = width + 1, (width + 1) * (height + 1)
    margin = step + line + 1
    shifts = [time * step + row * line + column for time, row, column in (*BEFORE, *AROUND)]
    places = margin + np.arange(times * step).reshape(times, height + 1, width + 1)[:, :height, :width]
    row_length = 2 * margin + times * step
    return _Layout((*grid_size, margin), np.array(shifts, np.int64), row_length, places.ravel())


class _Work:
    """What the kernels take, for one code."""

    def __init__(self, tables: PriorTables, num_bits: int, reference: Reference | None):
        self.layout = _layout(tables.grid_size)
        self.values = np.zeros((num_bits, self.layout.row_length), np.int16)
        self.tokens = np.zeros((num_bits, tables.num_tokens), np.int16)
        guess = self.values[:0]
        if reference is not None and tables.update is not None:
            tables = tables.update
            known = _signed(reference.guess(tables.grid_size)[:num_bits])
            guess = np.zeros_like(self.values)
            guess[:, self.layout.places[: known.shape[1]]] = known
        to_units, self.hidden, from_units = _global_weights(tables)
        arrays = (*tables.arrays, to_units, from_units, guess)
        values = self.values, self.tokens, self.hidden
        self.arguments = (*values, self.layout.size, self.layout.shifts, arrays, _table())

    @property
    def num_grid(self) -> int:
        return len(self.layout.places)

    def fill(self, planes: np.ndarray) -> None:
        self.values[:, self.layout.places] = _signed(planes[:, : self.num_grid])
        self.tokens[...] = _signed(planes[:, self.num_grid :])

    def planes(self) -> np.ndarray:
        signed = np.concatenate([self.values[:, self.layout.places], self.tokens], axis=1)
        return (signed > 0).astype(np.uint8)


def _global_weights(tables: PriorTables) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, sums before the first bit, and output of the global units, of which there may be none."""
    if tables.global_units is None:
        nothing = np.zeros((0, 0, 0), np.int16)
        nothing.flags.writeable = False
        return nothing, np.zeros(0, np.int64), nothing
    to_units, bias, from_units = tables.global_units.arrays
    return to_units, bias.astype(np.int64), from_units


def _signed(planes: np.ndarray) -> np.ndarray:
    return 2 * planes.astype(np.int16) - 1


@functools.lru_cache(maxsize=None)
def _table() -> np.ndarray:
    return kernels.make_probabilities()


def _check_fit(shape: tuple[int, ...], tables: PriorTables, reference: Reference | None) -> None:
    num_bits, num_positions = shape
    if tables.is_update:
        raise ValueError(problem("tables", "those of a codec", "those of its updates alone"))
    if not 1 <= num_bits <= tables.codebook_size or num_positions != tables.num_positions:
        expected = f"(1 to {tables.codebook_size}, {tables.num_positions})"
        raise ValueError(problem("planes", f"{expected} for these tables", shape))
    if reference is not None:
        _check_reference(reference, num_bits, tables)


def _check_reference(reference: Reference, num_bits: int, tables: PriorTables) -> None:
    if tables.update is None:
        raise ValueError(problem("reference", "none with these tables", "one"))
    if reference.steps < 0:
        raise ValueError(problem("steps of the reference", "0 or more", reference.steps))
    check_planes(reference.planes)
    found = reference.planes.shape
    if not num_bits <= found[0] <= tables.codebook_size or found[1] != tables.num_positions:
        expected = f"({num_bits} to {tables.codebook_size}, {tables.num_positions})"
        raise ValueError(problem("planes of the reference", expected, found))


def _new_state(payload: np.ndarray | None = None) -> np.ndarray:
    state = np.zeros(4, np.int64)
    state[kernels.RANGE] = 1 << kernels.TOP_BITS
    if payload is not None:
        state[kernels.OFFSET] = _window(payload.tobytes(), _WINDOW_BYTES)
        state[kernels.POSITION] = _WINDOW_BYTES
    return state


def _window(payload: bytes, end: int) -> int:
    """The last 40 bits before byte `end` of a payload that goes on with zeros."""
    return int.from_bytes(payload[end - _WINDOW_BYTES : end].ljust(_WINDOW_BYTES, b"\0"), "big")


def _shortest(low: int, span: int) -> int:
    """The first number in [low, low + span) of the fewest bytes, as 40 bits; 2^40 is a carry."""
    for num_bits in range(kernels.TOP_BITS, -1, -8):
        number = -(-low >> num_bits) << num_bits
        if number < low + span:
            return number
    raise AssertionError("an interval has at least one number")


def _finish(state: np.ndarray, buffer: np.ndarray) -> bytes:
    position = int(state[kernels.POSITION])
    number = _shortest(int(state[kernels.LOW]), int(state[kernels.RANGE]))
    if number >> kernels.TOP_BITS:
        kernels.carry(buffer, position)
        number = 0
    # The decoder goes on with zeros.
    return (buffer[:position].tobytes() + number.to_bytes(_WINDOW_BYTES, "big")).rstrip(b"\0")


def _check_end(state: np.ndarray, payload: bytes, limit: int) -> None:
    """Let only the payload pass that `encode` writes for the bits that were just decoded.

    The payload lies `offset` above the `low` that the encoder had at its end. It wrote the shortest number in
    the interval, so that must be where the payload lies, without a byte behind it and without trailing zeros.
    And its buffer of `limit` bytes was long enough.
    """
    position, offset = int(state[kernels.POSITION]), int(state[kernels.OFFSET])
    low = (_window(payload, position) - offset) % (1 << kernels.TOP_BITS)
    distance = _shortest(low, int(state[kernels.RANGE])) - low
    has_room = position - _WINDOW_BYTES <= limit
    if payload.endswith(b"\0") or len(payload) > position or offset != distance or not has_room:
        raise WireError(
            problem("payload", "what the encoder writes for its bits", f"{len(payload)} other bytes")
        )
