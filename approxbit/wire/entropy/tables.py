"""The integer tables of a codec's prior: what both sides of the link must share to read coded bits."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import index
from typing import Any

import numpy as np

from approxbit.configuration import Configuration, Shape3
from approxbit.errors import WireError
from approxbit.wire.entropy.context import AROUND_COUNTS, BEFORE
from approxbit.wire.entropy.global_units import GlobalUnits, check_num_units, copy_weights
from approxbit.wire.frame import BytesLike, check_range, problem
from approxbit.wire.sizes import check_prior_fits, check_prior_sizes

MAGIC = b"AXP\x01"
MAGIC_WITH_GLOBAL_UNITS = b"AXP\x02"
MAX_HIDDEN = 64
INT16_MAX = 2**15 - 1

_HEADS = {MAGIC: struct.Struct(">4s3HHHBBB"), MAGIC_WITH_GLOBAL_UNITS: struct.Struct(">4s3HHHBBBB")}


@dataclass(frozen=True, eq=False)
class PriorTables:
    """Weights of the probabilities of one codec's bits. Tables that exist are well formed.

    A codec's tables may have a second set beside them, `update`, for codes whose first time steps an earlier
    code of the session has seen.

    All arrays are int16, read-only copies; no sum of theirs can overflow. The first unit is linear, the
    others are rectified.

    Attributes:
        grid_size: Time, height and width of the code's grid.
        num_tokens: Class tokens beside the grid.
        before: `[bit, 13, unit]`, of the neighbours that come before a position.
        earlier: `[pair, around, unit]`; its pairs of bits are (1, 0), (2, 0), (2, 1), (3, 0) ...
        reference: `[bit, around, unit]`, of the reference; only in `update` there are `around`.
        bias: `[bit, unit, time + height + width]`.
        output: `[bit, unit]`, in 1/256 nat of 2^13.
        token_weights: `[pair]`, in 1/1024 nat; empty without class tokens.
        token_biases: `[bit]`, the same.
        global_units: Further units, which see all bits before, not only those around; None if there are none.
        update: The tables of codes with a reference, of the same sizes; None if the codec has none.

    Raises:
        ValueError: An array has another type or shape, or its sums could leave int16; the global units are
            for codes of another size; or `update` does not fit, looks at no reference, or is not the only
            set that does.
    """

    grid_size: Shape3
    num_tokens: int
    before: np.ndarray
    earlier: np.ndarray
    reference: np.ndarray
    bias: np.ndarray
    output: np.ndarray
    token_weights: np.ndarray
    token_biases: np.ndarray
    global_units: GlobalUnits | None = None
    update: PriorTables | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid_size", tuple(index(length) for length in self.grid_size))
        _check_sizes(*self.sizes)
        shapes = _shapes(*self.sizes)
        for name, shape in shapes.items():
            object.__setattr__(self, name, copy_weights(name, getattr(self, name), shape))
        _check_sums(self)
        if self.global_units is not None:
            expected, found = (self.codebook_size, self.num_positions), self.global_units.shape[:2]
            if found != expected:
                raise ValueError(problem("bits and positions of the global units", expected, found))
        if self.update is not None:
            _check_update(self, self.update)

    @classmethod
    def of_zeros(cls, codebook_size: int, grid_size: Shape3, num_tokens: int = 0) -> PriorTables:
        """Tables under which every bit is 1 with one half."""
        shapes = _shapes(grid_size, num_tokens, codebook_size, 1, 0, 1)
        arrays: dict[str, Any] = {name: np.zeros(each, np.int16) for name, each in shapes.items()}
        return cls(grid_size, num_tokens, **arrays)

    @property
    def sizes(self) -> tuple[Shape3, int, int, int, int, int]:
        """Grid size, tokens, bits, positions around in earlier bits and in the reference, units."""
        bits, units = np.shape(self.output) if np.ndim(self.output) == 2 else (0, 0)
        around = [
            np.shape(array)[1] if np.ndim(array) == 3 else -1 for array in (self.earlier, self.reference)
        ]
        return self.grid_size, self.num_tokens, bits, around[0], around[1], units

    @property
    def codebook_size(self) -> int:
        """Bits per position, K."""
        return len(self.output)

    @property
    def num_positions(self) -> int:
        """Positions of the grid, and one for each class token."""
        return math.prod(self.grid_size) + self.num_tokens

    @property
    def is_update(self) -> bool:
        """Whether these are tables of updates alone, which code nothing without those that they belong to."""
        return bool(self.reference.shape[1])

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays but those of the global units, in the order in which `to_bytes` writes them."""
        return tuple(getattr(self, name) for name in _ARRAYS)

    def check_fit(self, configuration: Configuration, feature_size: Shape3, num_tokens: int = 0) -> None:
        """Make sure that codes of a configuration, or of its leading bits, can be coded under the tables.

        Raises:
            ValueError: They cannot.
        """
        if self.is_update:
            raise ValueError(problem("prior", "the tables of a codec", "those of its updates alone"))
        found = self.grid_size, self.num_tokens, self.codebook_size
        check_prior_fits(found, configuration, feature_size, num_tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PriorTables):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The tables in a file; the inverse of `from_bytes`. `FORMAT.md` specifies every byte."""
        (time, height, width), num_tokens, bits, num_earlier, num_reference, units = self.sizes
        sizes = [time, height, width, num_tokens, bits, num_earlier, num_reference, units]
        magic, arrays = MAGIC, self.arrays
        if self.global_units is not None:
            magic, arrays = MAGIC_WITH_GLOBAL_UNITS, (*arrays, *self.global_units.arrays)
            sizes.append(self.global_units.shape[2])
        own = _HEADS[magic].pack(magic, *sizes) + b"".join(array.astype(">i2").tobytes() for array in arrays)
        return own if self.update is None else own + self.update.to_bytes()

    @classmethod
    def from_bytes(cls, data: BytesLike) -> PriorTables:
        """Read tables; the inverse of `to_bytes`.

        Raises:
            WireError: `data` is anything but the bytes of tables.
        """
        try:
            tables, num_bytes = _read_tables(data)
            if len(data) == num_bytes:
                return tables
            update, num_more = _read_tables(memoryview(data)[num_bytes:])
            if len(data) != num_bytes + num_more:
                raise ValueError(
                    problem("tables", f"{num_bytes + num_more} bytes for their sizes", len(data))
                )
            return replace(tables, update=update)
        except ValueError as error:
            raise WireError(str(error)) from error


_ARRAYS = [field.name for field in fields(PriorTables)][2:-2]


def _read_tables(data: BytesLike) -> tuple[PriorTables, int]:
    """One set of tables that some bytes begin with, and its length."""
    magic = bytes(data[: len(MAGIC)])
    head = _HEADS.get(magic, _HEADS[MAGIC])
    if len(data) < head.size:
        raise ValueError(problem("tables", f"at least {head.size} bytes", len(data)))
    if magic not in _HEADS:
        expected = " or ".join(each.hex() for each in _HEADS)
        raise ValueError(problem("magic of the tables", expected, magic.hex()))
    _, time, height, width, num_tokens, bits, num_earlier, num_reference, units, *num_global = (
        head.unpack_from(data)
    )
    sizes = (time, height, width), num_tokens, bits, num_earlier, num_reference, units
    _check_sizes(*sizes)
    shapes = list(_shapes(*sizes).values())
    if num_global:
        shape = bits, time * height * width + num_tokens, num_global[0]
        check_num_units(*shape)
        shapes += [shape, shape[2:], shape]
    num_bytes = head.size + 2 * sum(math.prod(shape) for shape in shapes)
    if len(data) < num_bytes:
        raise ValueError(problem("tables", f"{num_bytes} bytes for their sizes", len(data)))
    arrays = _read(data, head.size, shapes)
    of_global = arrays[len(_ARRAYS) :]
    arrays[len(_ARRAYS) :] = [GlobalUnits(*of_global)] if of_global else []
    return PriorTables(sizes[0], num_tokens, *arrays), num_bytes


def _read(data: BytesLike, start: int, shapes: list[tuple[int, ...]]) -> list[Any]:
    arrays = []
    for shape in shapes:
        count = math.prod(shape)
        flat = np.frombuffer(data, ">i2", count, start) if count else np.zeros(0, np.int16)
        arrays.append(flat.astype(np.int16).reshape(shape))
        start += 2 * count
    return arrays


def _shapes(
    grid_size: Shape3, num_tokens: int, bits: int, num_earlier: int, num_reference: int, units: int
) -> dict[str, tuple[int, ...]]:
    pairs = bits * (bits - 1) // 2
    return {
        "before": (bits, len(BEFORE), units),
        "earlier": (pairs, num_earlier, units),
        "reference": (bits, num_reference, units),
        "bias": (bits, units, sum(grid_size)),
        "output": (bits, units),
        "token_weights": (pairs if num_tokens else 0,),
        "token_biases": (bits if num_tokens else 0,),
    }


def _check_sizes(
    grid_size: Shape3, num_tokens: int, bits: int, num_earlier: int, num_reference: int, units: int
) -> None:
    check_prior_sizes(grid_size, num_tokens, bits)
    check_range("units of the tables", units, 1, 1 + MAX_HIDDEN)
    for name, value in (("earlier", num_earlier), ("reference", num_reference)):
        if value not in AROUND_COUNTS:
            raise ValueError(problem(f"positions around, {name}", f"one of {AROUND_COUNTS}", value))


def _check_sums(tables: PriorTables) -> None:
    """Let only weights pass whose sums stay in int16 whatever the bits are, and whatever is summed first."""
    bits = tables.codebook_size
    wide = [np.abs(array.astype(np.int64)) for array in (tables.before, tables.reference, tables.earlier)]
    largest = wide[0].sum(axis=1) + wide[1].sum(axis=1)
    of_pair = wide[2].sum(axis=1)
    for bit in range(bits):
        largest[bit] += of_pair[bit * (bit - 1) // 2 : bit * (bit + 1) // 2].sum(axis=0)
    start = 0
    for length in tables.grid_size:
        axis = np.abs(tables.bias[:, :, start : start + length].astype(np.int64))
        largest += axis.max(axis=2)
        start += length
    if largest.max() > INT16_MAX:
        raise ValueError(problem("sum of the weights of a unit", f"at most {INT16_MAX}", largest.max()))


def _check_update(tables: PriorTables, update: PriorTables) -> None:
    expected, found = tables.sizes[:3], update.sizes[:3]
    if found != expected:
        raise ValueError(problem("grid, class tokens and bits of the tables of updates", expected, found))
    around = tables.reference.shape[1], update.reference.shape[1]
    if tables.is_update or not update.is_update:
        raise ValueError(
            problem("positions around, reference", "some in the tables of updates alone", around)
        )
