"""The nested codes of one runner: it computes all bits, and the first ones are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from approxbit.configuration import Configuration
from approxbit.engines.runner import EdgeResult, EdgeRunner
from approxbit.wire import CodeFormat


class FirstBitsRunner:
    """An edge runner of a nested codec that gives the first bits of every position.

    Runners of several numbers of bits share the one that computes, so that a change of the codebook's size
    loads nothing.

    Args:
        runner: Of the codec that holds the nested one.
        codebook_size: How many bits to keep.

    Raises:
        ValueError: The runner's codes do not have so many bits.
    """

    def __init__(self, runner: EdgeRunner, codebook_size: int):
        whole = runner.code_format
        if not 1 <= codebook_size <= whole.configuration.codebook_size:
            raise ValueError(
                f"expected 1 to {whole.configuration.codebook_size} bits of {whole.configuration}, "
                f"found {codebook_size}"
            )
        self.runner = runner
        self.code_format = first_bits_of(whole, codebook_size)

    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed first bits of a prepared clip, float32 `[3, time, height, width]`."""
        result = self.runner.run(clip)
        return replace(result, payload=keep_first_bits(result.payload, self.code_format))


def first_bits_of(whole: CodeFormat, codebook_size: int) -> CodeFormat:
    """The format of the first bits of codes of another format."""
    configuration = whole.configuration
    first = Configuration(configuration.offload_point, configuration.spatial_encoder, codebook_size)
    return replace(whole, configuration=first)


def keep_first_bits(payload: bytes, first: CodeFormat) -> bytes:
    """The packed first bits of a packed code: its first bytes, for bits are ordered by the codebook.

    Args:
        payload: The packed code.
        first: What shall be left.
    """
    num_bits = first.configuration.codebook_size * first.num_positions
    kept = bytearray(payload[: first.payload_bytes])
    kept[-1] &= 0xFF << (-num_bits % 8) & 0xFF
    return bytes(kept)
