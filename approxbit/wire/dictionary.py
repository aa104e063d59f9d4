"""zstandard with a trained dictionary: what a codec may have in the place of its tables.

It saves far less than the context model of `approxbit.wire.entropy`, but needs no compiler on the device:
where numba cannot be installed, coding a long code under tables takes seconds, and this microseconds.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from typing import Any, Sequence

from approxbit.configuration import Configuration, Shape3
from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_range, problem
from approxbit.wire.prior_sizes import check_prior_fits, check_sizes

MAGIC = b"AXZ\x01"
MAX_DICTIONARY_BYTES = 2**20
LEVEL = 19

_HEAD = struct.Struct(">4s3HHH")
_FRAME_DESCRIPTOR = 0  # neither size of the content nor checksum nor number of the dictionary
_MAX_WINDOW_BYTES = 2**27


@dataclass(frozen=True)
class ZstdDictionary:
    """The dictionary under which the packed codes of one codec are compressed by zstandard.

    Attributes:
        grid_size: Time, height and width of the code's grid.
        num_tokens: Class tokens beside the grid.
        codebook_size: Bits per position, K.
        content: A dictionary of zstandard, or any bytes that codes often hold; at most 1 MiB.

    Raises:
        ValueError: A number is out of bounds, or the content is too long, empty, or begins as a dictionary of
            zstandard and is none.
        ImportError: The package `zstandard` is not installed (`pip install approxbit[zstd]`).
    """

    grid_size: Shape3
    num_tokens: int
    codebook_size: int
    content: bytes

    update = None
    """There is no coding against an earlier code."""

    def __post_init__(self):
        object.__setattr__(self, "grid_size", tuple(index(length) for length in self.grid_size))
        check_sizes("dictionary", self.grid_size, self.num_tokens, self.codebook_size)
        check_range("bytes of the dictionary", len(self.content), 1, MAX_DICTIONARY_BYTES)
        _load(self.content)

    @classmethod
    def train(
        cls,
        grid_size: Shape3,
        num_tokens: int,
        codebook_size: int,
        samples: Sequence[bytes],
        num_bytes: int = 32 * 1024,
    ) -> ZstdDictionary:
        """A dictionary for codes like some packed ones; where they are too short or few, some of themselves.

        Raises:
            ValueError: There are no samples.
        """
        zstandard = _zstandard()
        try:
            content = zstandard.train_dictionary(num_bytes, list(samples)).as_bytes()
        except zstandard.ZstdError:
            content = b"".join(samples)[:num_bytes]
        return cls(grid_size, num_tokens, codebook_size, content)

    @property
    def num_positions(self) -> int:
        """Positions of the grid, and one for each class token."""
        return math.prod(self.grid_size) + self.num_tokens

    def check_fit(self, configuration: Configuration, feature_size: Shape3, num_tokens: int = 0) -> None:
        """Make sure that the dictionary is for codes of a configuration, or of more bits of the same.

        Raises:
            ValueError: It is not.
        """
        found = self.grid_size, self.num_tokens, self.codebook_size
        check_prior_fits(found, configuration, feature_size, num_tokens)

    def to_bytes(self) -> bytes:
        """The dictionary in a file; the inverse of `from_bytes`. `FORMAT.md` specifies every byte."""
        return _HEAD.pack(MAGIC, *self.grid_size, self.num_tokens, self.codebook_size) + self.content

    @classmethod
    def from_bytes(cls, data: BytesLike) -> ZstdDictionary:
        """Read a dictionary; the inverse of `to_bytes`.

        Raises:
            WireError: `data` is anything but the bytes of a dictionary.
            ImportError: The package `zstandard` is not installed.
        """
        if len(data) < _HEAD.size:
            raise WireError(problem("dictionary", f"at least {_HEAD.size} bytes", len(data)))
        magic, time, height, width, num_tokens, codebook_size = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise WireError(problem("magic of the dictionary", MAGIC.hex(), magic.hex()))
        try:
            return cls((time, height, width), num_tokens, codebook_size, bytes(data[_HEAD.size :]))
        except ValueError as error:
            raise WireError(str(error)) from error

    def compress(self, packed: bytes) -> bytes:
        """One frame of zstandard, without its magic and all that need not be there."""
        zstandard = _zstandard()
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            write_content_size=False,
            write_checksum=False,
            write_dict_id=False,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        )
        compressor = zstandard.ZstdCompressor(dict_data=_load(self.content), compression_params=parameters)
        return compressor.compress(packed)

    def decompress(self, payload: bytes, num_bytes: int) -> bytes:
        """What a frame holds, which must be just so many bytes; no more than these are allocated.

        Raises:
            WireError: The payload is no such frame.
        """
        check_frame(payload)
        zstandard = _zstandard()
        decompressor = zstandard.ZstdDecompressor(
            dict_data=_load(self.content),
            max_window_size=_MAX_WINDOW_BYTES,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        )
        try:
            packed = decompressor.decompress(payload, max_output_size=num_bytes, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise WireError(problem("payload", f"a frame of {num_bytes} bytes", error)) from error
        if len(packed) != num_bytes:
            raise WireError(problem("payload", f"a frame of {num_bytes} bytes", len(packed)))
        return packed


def check_frame(payload: bytes) -> None:
    """Refuse a frame that declares a size of its own, which a reader would allocate, or another dictionary.

    Raises:
        WireError: It does, or is empty.
    """
    found = payload[0] if payload else None
    if found != _FRAME_DESCRIPTOR:
        raise WireError(problem("descriptor of the frame", _FRAME_DESCRIPTOR, found))


@lru_cache(maxsize=64)
def _load(content: bytes) -> Any:
    zstandard = _zstandard()
    loaded = zstandard.ZstdCompressionDict(content)
    try:
        loaded.precompute_compress(level=LEVEL)
    except zstandard.ZstdError as error:
        raise ValueError(problem("content of the dictionary", "one of zstandard, or none", error)) from error
    return loaded


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError(
            "codes under a dictionary need the package zstandard: pip install approxbit[zstd]"
        ) from error
    return zstandard
