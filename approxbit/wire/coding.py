"""How the bits of a code become a payload: raw, or coded under the prior of the codec.

A packet names its coding by a number. Whoever reads any but raw needs the codec's prior: its `PriorTables`,
or the `ZstdDictionary` that stands in their place.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Sequence, Union

import numpy as np

from approxbit.errors import WireError
from approxbit.wire import entropy
from approxbit.wire.dictionary import MAGIC as DICTIONARY_MAGIC
from approxbit.wire.dictionary import ZstdDictionary, check_frame
from approxbit.wire.entropy import PriorTables, Reference
from approxbit.wire.frame import BytesLike, check_range, problem
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
    UPDATE = 3
    """Entropy coded in one piece, with an earlier code of the stream for a reference."""
    DICTIONARY = 4
    """Packed, and compressed by zstandard under the codec's dictionary."""


Prior = Union[PriorTables, ZstdDictionary]
"""What both sides of the link must share to read codes in any coding but raw."""


def read_prior(data: BytesLike) -> Prior:
    """The prior whose `to_bytes` wrote some bytes.

    Raises:
        WireError: `data` is anything but the bytes of a prior.
        ImportError: It is a dictionary, and the package `zstandard` is not installed.
    """
    kind = ZstdDictionary if bytes(data[: len(DICTIONARY_MAGIC)]) == DICTIONARY_MAGIC else PriorTables
    return kind.from_bytes(data)


def codings_of(prior: Prior | None) -> frozenset[Coding]:
    """The codings that can be read with a prior."""
    if prior is None:
        return frozenset({Coding.RAW})
    if isinstance(prior, ZstdDictionary):
        return frozenset({Coding.RAW, Coding.DICTIONARY})
    own = {Coding.RAW, Coding.CONTEXT, Coding.LAYERED}
    return frozenset(own if prior.update is None else own | {Coding.UPDATE})


def encode_planes(
    planes: np.ndarray,
    prior: Prior | None = None,
    cuts: Sequence[int] = (),
    reference: Reference | None = None,
) -> tuple[Coding, bytes]:
    """The coding of a code, and its payload: never longer than packed.

    Args:
        planes: 0 and 1, uint8 or bool `[bit, position]`.
        prior: The codec's tables or dictionary; without one, the code is packed raw.
        cuts: After how many bits each layer ends, the last at all bits; by default, one piece without layers.
        reference: What an earlier code says of this one, for an update; without it, or where it helps too
            little for the update to be shorter than packed, the code needs no other to be read.

    Raises:
        ValueError: The planes do not fit the prior, or the cuts or the reference the planes; or there are
            cuts and a reference, or one of them and no tables.
    """
    if isinstance(prior, ZstdDictionary):
        return _encode_by_dictionary(planes, prior, cuts, reference)
    if reference is not None:
        update = _encode_update(planes, prior, cuts, reference)
        if update is not None:
            return Coding.UPDATE, update
    layers = None if prior is None else entropy.encode(planes, prior, cuts)
    if layers is None:
        return Coding.RAW, pack(planes)
    if not cuts:
        return Coding.CONTEXT, layers[0]
    payload = Layers(tuple(cuts), tuple(layers)).to_bytes()
    if len(payload) >= packed_bytes(*planes.shape):
        return Coding.RAW, pack(planes)
    return Coding.LAYERED, payload


def _encode_by_dictionary(
    planes: np.ndarray, prior: ZstdDictionary, cuts: Sequence[int], reference: Reference | None
) -> tuple[Coding, bytes]:
    if cuts or reference is not None:
        raise ValueError(problem("prior", "tables, for layers or an update", "a dictionary"))
    if planes.shape[1] != prior.num_positions:
        found = f"a dictionary for {prior.num_positions}"
        raise ValueError(problem("prior", f"one for {planes.shape[1]} positions", found))
    packed = pack(planes)
    payload = prior.compress(packed)
    return (Coding.DICTIONARY, payload) if len(payload) < len(packed) else (Coding.RAW, packed)


def _encode_update(
    planes: np.ndarray, prior: PriorTables | None, cuts: Sequence[int], reference: Reference
) -> bytes | None:
    if prior is None or cuts:
        raise ValueError(problem("reference", "none without tables or with layers", "one"))
    layers = entropy.encode(planes, prior, reference=reference)
    return None if layers is None else layers[0]


def decode_payload(
    coding: Coding,
    payload: bytes,
    codebook_size: int,
    num_positions: int,
    prior: Prior | None = None,
    reference: Reference | None = None,
) -> np.ndarray:
    """The bit planes of a payload that `check_payload` let pass; the inverse of `encode_planes`.

    Returns:
        uint8 `[bit, position]`: all bits, or those of the layers that are there.

    Raises:
        ValueError: The coding needs another prior or a reference that is not there, or one of another size.
        WireError: The payload is not what `encode_planes` writes.
    """
    if coding == Coding.RAW:
        return unpack(payload, codebook_size, num_positions)
    wanted = "dictionary" if coding == Coding.DICTIONARY else "tables"
    if prior is None or isinstance(prior, ZstdDictionary) != (coding == Coding.DICTIONARY):
        found = None if prior is None else type(prior).__name__
        raise ValueError(problem("prior", f"the codec's {wanted}, as coding {coding:d} needs", found))
    if prior.num_positions != num_positions:
        found = f"one for {prior.num_positions}"
        raise ValueError(problem("prior", f"{wanted} for {num_positions} positions", found))
    if (coding == Coding.UPDATE) != (reference is not None):
        expected = "the code that the packet names" if reference is None else "none"
        raise ValueError(problem("reference", f"{expected} with coding {coding:d}", type(reference).__name__))
    if isinstance(prior, ZstdDictionary):
        packed = prior.decompress(payload, packed_bytes(codebook_size, num_positions))
        return unpack(packed, codebook_size, num_positions)
    if coding in (Coding.CONTEXT, Coding.UPDATE):
        return entropy.decode([payload], prior, [codebook_size], reference)
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
    if coding in (Coding.CONTEXT, Coding.UPDATE) and payload.endswith(b"\0"):
        raise WireError(problem("payload", f"no zero at its end in coding {coding:d}", "one"))
    if coding == Coding.LAYERED:
        Layers.from_bytes(payload, codebook_size)
    if coding == Coding.DICTIONARY:
        check_frame(payload)


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
