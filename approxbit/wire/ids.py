"""Lists of token ids and class indices: 16 bits each, or 32 where one of them needs it."""

from __future__ import annotations

from operator import index
from typing import Sequence

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_range, problem

MAX_ID = 2**32 - 1
_LARGEST_NARROW = 2**16 - 1


def check_ids(field: str, ids: Sequence[int]) -> tuple[int, ...]:
    """The ids as Python's own integers.

    Raises:
        TypeError: One is not an integer.
        ValueError: One is negative or needs more than 32 bits.
    """
    checked = tuple(index(each) for each in ids)
    for each in checked:
        check_range(field, each, 0, MAX_ID)
    return checked


def are_wide(ids: Sequence[int]) -> bool:
    """Whether the ids need 32 bits each."""
    return max(ids, default=0) > _LARGEST_NARROW


def write_ids(ids: Sequence[int]) -> bytes:
    """The inverse of `read_ids`.

    Example:
        >>> write_ids((1, 258)).hex(), write_ids((65536,)).hex()
        ('00010102', '00010000')
    """
    return np.array(ids, ">u4" if are_wide(ids) else ">u2").tobytes()


def read_ids(field: str, data: BytesLike, is_wide: bool) -> tuple[int, ...]:
    """The ids of some bytes.

    Raises:
        WireError: The bytes are no whole number of ids, or none of them needs the 32 bits that all have.
    """
    width = 4 if is_wide else 2
    if len(data) % width:
        raise WireError(problem(field, f"{width} bytes each", f"{len(data)} bytes"))
    ids = tuple(np.frombuffer(data, f">u{width}").tolist()) if len(data) else ()
    if is_wide and not are_wide(ids):
        raise WireError(problem(field, "16 bits each where all fit", "32 bits"))
    return ids
