"""The seam for entropy coding: how the bit planes of a code become a payload.

A packet names its coding by a number. 0 is raw packing and always there; a further coding implements
`Coding` and is made known with `register_coding`, on both sides of the link.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_range, problem
from approxbit.wire.packing import check_packed, pack, unpack


class Coding(Protocol):
    """Bit planes <-> payload.

    `decode` is exact on every platform, and refuses every payload that `encode` would not have written, so
    that a packet has one byte string only. Both sizes are within the bounds of `FORMAT.md` when a packet
    calls `check` or `decode`; memory beyond the planes themselves must not depend on anything that the
    payload declares.
    """

    @property
    def number(self) -> int:
        """The coding's number in a packet, 1 to 255; 0 is raw."""

    def encode(self, planes: np.ndarray) -> bytes:
        """The payload of bit planes that `pack` would take, `[bit, position]`."""

    def check(self, payload: BytesLike, codebook_size: int, num_positions: int) -> None:
        """Raise `WireError` if the payload is malformed, as far as can be told without decoding it."""

    def decode(self, payload: BytesLike, codebook_size: int, num_positions: int) -> np.ndarray:
        """The bit planes, uint8 `[bit, position]`; `WireError` if the payload is malformed."""


class RawCoding:
    """One bit for each bit: `pack` and `unpack`."""

    number = 0

    def encode(self, planes: np.ndarray) -> bytes:
        """The packed bits."""
        return pack(planes)

    def check(self, payload: BytesLike, codebook_size: int, num_positions: int) -> None:
        """Verify length and padding."""
        check_packed(payload, codebook_size, num_positions)

    def decode(self, payload: BytesLike, codebook_size: int, num_positions: int) -> np.ndarray:
        """The bits, uint8 `[bit, position]`."""
        return unpack(payload, codebook_size, num_positions)


RAW = RawCoding()

_CODINGS: dict[int, Coding] = {RAW.number: RAW}


def register_coding(coding: Coding) -> None:
    """Make a coding known to every packet that is read or written from now on.

    Raises:
        ValueError: Its number is out of range, or another coding has it.
    """
    check_range("coding number", coding.number, 1, 255)
    if _CODINGS.setdefault(coding.number, coding) is not coding:
        raise ValueError(problem("coding number", "one that is free", coding.number))


def coding_of(number: int) -> Coding:
    """The coding that a packet names.

    Raises:
        WireError: Nobody has registered it here.
    """
    if number not in _CODINGS:
        known = ", ".join(str(each) for each in sorted(_CODINGS))
        raise WireError(problem("coding", f"one of {known}", number))
    return _CODINGS[number]
