"""How the bits of a code become a payload: raw, or coded under the tables of the codec.

A packet names its coding by a number. Whoever reads any but raw needs the codec's prior, its `PriorTables`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from approxbit.errors import WireError
from approxbit.wire import entropy
from approxbit.wire.entropy import PriorTables, Reference
from approxbit.wire.frame import check_range, problem
from approxbit.wire.packing import check_packed, pack, packed_bytes, unpack


class Coding(IntEnum):
    """How a payload is coded."""

    RAW = 0
    """One bit for each bit."""
    CONTEXT = 1
    """Entropy coded under the codec's tables."""
    UPDATE = 2
    """The same with an earlier code of the session for a reference."""


def codings_of(prior: PriorTables | None) -> frozenset[Coding]:
    """The codings that can be read with a prior."""
    if prior is None:
        return frozenset({Coding.RAW})
    own = {Coding.RAW, Coding.CONTEXT}
    return frozenset(own if prior.update is None else own | {Coding.UPDATE})


def encode_planes(
    planes: np.ndarray, prior: PriorTables | None = None, reference: Reference | None = None
) -> tuple[Coding, bytes]:
    """The coding of a code, and its payload: never longer than packed.

    Args:
        planes: 0 and 1, uint8 or bool `[bit, position]`.
        prior: The codec's tables; without them, the code is packed raw.
        reference: What an earlier code says of this one, for an update; without it, or where it helps too
            little for the update to be shorter than packed, the code needs no other to be read.

    Raises:
        ValueError: The planes do not fit the prior, or the reference the planes; or there is a reference and
            no prior.
    """
    if reference is not None:
        if prior is None:
            raise ValueError(problem("reference", "none without tables", "one"))
        update = entropy.encode(planes, prior, reference)
        if update is not None:
            return Coding.UPDATE, update
    coded = None if prior is None else entropy.encode(planes, prior)
    return (Coding.RAW, pack(planes)) if coded is None else (Coding.CONTEXT, coded)


def decode_payload(
    coding: Coding,
    payload: bytes,
    codebook_size: int,
    num_positions: int,
    prior: PriorTables | None = None,
    reference: Reference | None = None,
) -> np.ndarray:
    """The bit planes of a payload that `check_payload` let pass; the inverse of `encode_planes`.

    Returns:
        uint8 `[bit, position]`.

    Raises:
        ValueError: The coding needs a prior or a reference that is not there, or one of another size.
        WireError: The payload is not what `encode_planes` writes.
    """
    if coding == Coding.RAW:
        return unpack(payload, codebook_size, num_positions)
    if prior is None:
        raise ValueError(problem("prior", f"the codec's tables, as coding {coding:d} needs", None))
    if prior.num_positions != num_positions:
        found = f"some for {prior.num_positions}"
        raise ValueError(problem("prior", f"tables for {num_positions} positions", found))
    if (coding == Coding.UPDATE) != (reference is not None):
        expected = "the code that the packet names" if reference is None else "none"
        raise ValueError(problem("reference", f"{expected} with coding {coding:d}", type(reference).__name__))
    return entropy.decode(payload, prior, codebook_size, reference)


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
    if payload.endswith(b"\0"):
        raise WireError(problem("payload", f"no zero at its end in coding {coding:d}", "one"))


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
