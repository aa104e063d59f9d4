"""The sizes of a code: their bounds, and the fields in which messages carry them."""

from __future__ import annotations

import struct

from approxbit.configuration import Configuration, Shape3
from approxbit.wire.frame import MAX_PAYLOAD_BYTES, check_integer, check_range, problem
from approxbit.wire.packing import packed_bytes

MAX_EXTENT = 2**16 - 1
MAX_CODEBOOK_SIZE = 4096
MAX_TOKENS = 2**16 - 1
MAX_POSITIONS = 2**22
MAX_NAME_BYTES = 32
MAX_FINGERPRINT = 2**64 - 1

FIELDS = struct.Struct(">Q3HHH")
"""Fingerprint, time, height, width, num_tokens, codebook_size."""

SPATIAL_ENCODER = 0x01
"""The flag of a configuration with a spatial encoder."""


def check_size(size: Shape3) -> Shape3:
    """Time, height and width as Python's own integers.

    Raises:
        TypeError: One is not an integer.
        ValueError: One is out of bounds, or there are not three.
    """
    if len(size) != 3:
        raise ValueError(problem("feature_size", "(time, height, width)", size))
    time, height, width = size
    return (
        check_integer("time", time, 1, MAX_EXTENT),
        check_integer("height", height, 1, MAX_EXTENT),
        check_integer("width", width, 1, MAX_EXTENT),
    )


def check_code(configuration: Configuration, feature_size: Shape3, num_tokens: int) -> None:
    """Let only codes pass that a message may hold.

    Raises:
        ValueError: The codebook, the name of the offload point or the number of positions is out of bounds.
    """
    check_range("codebook_size", configuration.codebook_size, 1, MAX_CODEBOOK_SIZE)
    check_range("name_bytes", len(configuration.offload_point), 1, MAX_NAME_BYTES)
    num_positions = configuration.num_positions(feature_size, num_tokens)
    check_range("positions", num_positions, 1, MAX_POSITIONS)
    raw_bytes = packed_bytes(configuration.codebook_size, num_positions)
    check_range("packed bytes", raw_bytes, 1, MAX_PAYLOAD_BYTES)


def check_name(name: bytes) -> str:
    """The text of a name of letters, digits, `_` and `.`, the last not at its beginning.

    Raises:
        ValueError: It is none.
    """
    try:
        return Configuration(name.decode("ascii"), False, 1).offload_point
    except ValueError as error:
        expected = "letters, digits, '_' and '.', the last not at the beginning"
        raise ValueError(problem("name", expected, name)) from error


def read_configuration(name: bytes, has_spatial_encoder: bool, codebook_size: int) -> Configuration:
    """The configuration that the fields of a message say.

    Raises:
        ValueError: They say none.
    """
    check_range("codebook_size", codebook_size, 1, MAX_CODEBOOK_SIZE)
    return Configuration(check_name(name), has_spatial_encoder, codebook_size)


def check_prior_sizes(grid_size: Shape3, num_tokens: int, codebook_size: int) -> None:
    """Let only tables pass whose sizes a code may have.

    Raises:
        ValueError: One is out of bounds.
    """
    for axis, length in zip(("time", "height", "width"), grid_size):
        check_range(f"{axis} of the tables", length, 1, MAX_EXTENT)
    check_range("num_tokens of the tables", num_tokens, 0, MAX_TOKENS)
    check_range("codebook_size of the tables", codebook_size, 1, MAX_CODEBOOK_SIZE)


def check_prior_fits(
    found: tuple[Shape3, int, int], configuration: Configuration, feature_size: Shape3, num_tokens: int
) -> None:
    """Make sure that a prior serves the codes of a configuration, whose bits may be the leading ones alone.

    Args:
        found: The prior's grid size, class tokens and codebook size.
        configuration: Of the codes.
        feature_size: Time, height and width of the feature.
        num_tokens: Class tokens of the codes.

    Raises:
        ValueError: It does not.
    """
    expected = configuration.grid_size(feature_size), num_tokens
    if found[:2] != expected or found[2] < configuration.codebook_size:
        raise ValueError(
            f"a prior for {configuration} must have the grid and class tokens {expected} and at least "
            f"{configuration.codebook_size} bits, found {found[:2]} and {found[2]} bits"
        )
