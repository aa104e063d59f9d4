"""The sizes of the codes that a prior is for: their bounds, and whether a configuration has them."""

from __future__ import annotations

from approxbit.configuration import Configuration, Shape3
from approxbit.wire.frame import check_range

MAX_CODEBOOK_SIZE = 4096
MAX_TOKENS = 2**16 - 1


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


def check_sizes(owner: str, grid_size: Shape3, num_tokens: int, codebook_size: int) -> None:
    """Let only sizes pass that a code may have.

    Args:
        owner: Whose they are, for the message.
        grid_size: Time, height and width.
        num_tokens: Class tokens.
        codebook_size: Bits per position, K.

    Raises:
        ValueError: One is out of bounds.
    """
    for axis, length in zip(("time", "height", "width"), grid_size):
        check_range(f"{axis} of the {owner}", length, 1, 2**16 - 1)
    check_range(f"num_tokens of the {owner}", num_tokens, 0, MAX_TOKENS)
    check_range(f"codebook_size of the {owner}", codebook_size, 1, MAX_CODEBOOK_SIZE)
