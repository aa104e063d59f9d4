"""Code formats with tables, and a session of them, for `wire_vectors.py` and `wire_fuzz.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from wire_reader import Fields

from approxbit.configuration import Configuration
from approxbit.wire import AnswerKind, CodeFormat, Hello, PriorTables, Wanted, Welcome
from approxbit.wire.entropy import GlobalUnits

FINGERPRINT = 0xF0E1D2C3B4A59687


def make_tables(
    configuration: Configuration,
    grid: tuple[int, int, int],
    num_tokens: int = 0,
    units: int = 2,
    num_global: int = 0,
    num_reference: int = 7,
) -> PriorTables:
    """Tables that use every weight, and find ones likely; with `num_reference`, also those of updates."""
    draw, bits = np.random.default_rng(5), configuration.codebook_size
    pairs, positions = bits * (bits - 1) // 2, int(np.prod(grid)) + num_tokens
    largest = 32767 // (23 + 7 * bits)

    def weights(*shape: int) -> np.ndarray:
        return draw.integers(-largest // 4, largest + 1, shape).astype(np.int16)

    def make(around: int, update: PriorTables | None = None) -> PriorTables:
        shape = bits, positions, num_global
        arrays = (draw.integers(-500, 600, each).astype(np.int16) for each in (shape, shape[2:], shape))
        return PriorTables(
            grid,
            num_tokens,
            before=weights(bits, 13, units),
            earlier=weights(pairs, 7, units),
            reference=weights(bits, around, units),
            bias=weights(bits, units, sum(grid)),
            output=np.full((bits, units), 1500, np.int16),
            token_weights=weights(pairs if num_tokens else 0),
            token_biases=weights(bits if num_tokens else 0),
            global_units=GlobalUnits(*arrays) if num_global else None,
            update=update,
        )

    return make(0, make(num_reference) if num_reference else None)


def make_format(name: str, size: tuple[int, int, int], num_tokens: int = 0, **options: int) -> CodeFormat:
    configuration = Configuration.parse(name)
    tables = make_tables(configuration, configuration.grid_size(size), num_tokens, **options)
    return CodeFormat(configuration, size, num_tokens, FINGERPRINT, tables)


FORMATS = {
    "small": make_format("4-Enc-B5", (4, 4, 4)),
    "tokens": make_format("3-NoEnc-B3", (2, 3, 5), 1, units=3),
    "global": make_format("5-Enc-B6", (3, 5, 4), 1, num_global=6, num_reference=0),
}
HELLO = Hello(tuple(FORMATS.values()), Wanted(AnswerKind.LOGITS, 0), 6, nonce=0xC0DEC0DE)
WELCOME = Welcome(6, 1021, (None, None, None))
BINDINGS = dict(zip(FORMATS, HELLO.bindings(WELCOME).values(), strict=True))


def draw_planes(name: str, share: float, seed: int) -> np.ndarray:
    known = FORMATS[name]
    shape = known.configuration.codebook_size, known.num_positions
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def vector(name: str, data: bytes, **more: Any) -> Fields:
    return {
        "name": name,
        "bytes": data.hex(),
        **{key: each for key, each in more.items() if each is not None},
    }
