"""How the bits of a code become a payload: raw, or coded under the tables of the codec.

A packet names its coding by a number. Whoever reads any but raw needs the codec's `PriorTables`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Sequence

import numpy as np

from approxbit.errors import WireError
from approxbit.wire import entropy
from approxbit.wire.entropy import PriorTables
from approxbit.wire.frame import check_range, problem
from approxbit.wire.layers import Layers
from approxbit.wire.packing import check_packed, pack, packed_bytes, unpack


class Coding(IntEnum):
    """How a payload is coded."""

    RAW = 0
    """One bit for each bit."""
    CONTEXT = 1
    """Entropy coded under the codec's tables, in one piece."""
    LAYERED = 2
    """The same in layers, of which the first ones can be read without the others."""


def encode_planes(
    planes: np.ndarray, prior: PriorTables | None = None, cuts: Sequence[int] = ()
) -> tuple[Coding, bytes]:
    """The shortest coding of a code, and its payload: never longer than packed.

    Args:
        planes: 0 and 1, uint8 or bool `[bit, position]`.
        prior: The codec's tables; without them, the code is packed raw.
        cuts: After how many bits each layer ends, the last at all bits; by default, one piece without layers.

    Raises:
        ValueError: The planes do not fit the tables, or the cuts the planes.
    """
    layers = None if prior is None else entropy.encode(planes, prior, cuts)
    if layers is None:
        return Coding.RAW, pack(planes)
    if not cuts:
        return Coding.CONTEXT, layers[0]
    payload = Layers(tuple(cuts), tuple(layers)).to_bytes()
    if len(payload) >= packed_bytes(*planes.shape):
        return Coding.RAW, pack(planes)
    return Coding.LAYERED, payload


def decode_payload(
    coding: Coding, payload: bytes, codebook_size: int, num_positions: int, prior: PriorTables | None = None
) -> np.ndarray:
    """The bit planes of a payload that `check_payload` let pass; the inverse of `encode_planes`.

    Returns:
        uint8 `[bit, position]`: all bits, or those of the layers that are there.

    Raises:
        ValueError: The coding needs tables and there are none, or they are of another size.
        WireError: The payload is not what `encode_planes` writes.
    """
    if coding == Coding.RAW:
        return unpack(payload, codebook_size, num_positions)
    if prior is None:
        raise ValueError(problem("prior", f"the codec's tables, as coding {coding:d} needs them", None))
    if prior.num_positions != num_positions:
        found = f"tables for {prior.num_positions}"
        raise ValueError(problem("prior", f"tables for {num_positions} positions", found))
    if coding == Coding.CONTEXT:
        return entropy.decode([payload], prior, [codebook_size])
    layers = Layers.from_bytes(payload, codebook_size)
    return entropy.decode(layers.parts, prior, layers.cuts)


def check_payload(coding: Coding, payload: bytes, codebook_size: int, num_positions: int) -> None:
    """Refuse a malformed payload, as far as can be told without decoding it.

    Raises:
        WireError: It is malformed.
    """
    if coding == Coding.RAW:
        check_packed(payload, codebook_size, num_positions)
        return
    most = packed_bytes(codebook_size, num_positions) - 1
    if len(payload) > most:
        found = f"{len(payload)} bytes in coding {coding:d}"
        raise WireError(problem("payload", f"at most {most} bytes", found))
    if coding == Coding.CONTEXT and payload.endswith(b"\0"):
        raise WireError(problem("payload", "no zero at its end in coding 1", "one"))
    if coding == Coding.LAYERED:
        Layers.from_bytes(payload, codebook_size)


def coding_of(number: int) -> Coding:
    """The coding of a number.

    Raises:
        WireError: There is none.
    """
    try:
        check_range("coding", number, min(Coding), max(Coding))
    except ValueError as error:
        raise WireError(str(error)) from error
    return Coding(number)
