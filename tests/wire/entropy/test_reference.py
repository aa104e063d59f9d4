"""The coder against a second one, written down from `FORMAT.md` alone: exact fractions and plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from approxbit.wire import PriorTables
from approxbit.wire.entropy import Reference, encode

MakePrior = Callable[..., PriorTables]
OFFSETS = list(itertools.product((-1, 0, 1), repeat=3))
BEFORE = [each for each in OFFSETS if each < (0, 0, 0)]
AROUND = sorted(OFFSETS, key=lambda offset: (sum(step * step for step in offset), offset))


def probability(logit: int) -> int:
    size, power = min(abs(logit), 2816), 2**62
    for _ in range(size):
        power = (power * 4593706758521714574) >> 62
    small = max(1, ((power << 16) + ((2**62 + power) >> 1)) // (2**62 + power))
    return small if logit <= 0 else 65536 - small


def probabilities(
    planes: np.ndarray, key: PriorTables, earlier: np.ndarray | None, steps: int
) -> Iterator[tuple[int, int]]:
    """Each bit of a code and its probability, in the order of coding."""
    prior = key if earlier is None else key.update
    assert prior is not None
    shape, tokens = prior.grid_size, planes[:, planes.shape[1] - prior.num_tokens :]
    grid = planes[:, : planes.shape[1] - prior.num_tokens].reshape(len(planes), *shape)

    def value(bit: int, position: tuple[int, ...], offset: tuple[int, ...]) -> int:
        place = tuple(a + b for a, b in zip(position, offset, strict=True))
        inside = all(0 <= each < length for each, length in zip(place, shape, strict=True))
        return 2 * int(grid[(bit, *place)]) - 1 if inside else 0

    def guess(bit: int, position: tuple[int, ...], offset: tuple[int, ...]) -> int:
        assert earlier is not None
        seen = earlier[:, : len(earlier[0]) - key.num_tokens].reshape(len(planes), *shape)
        place = tuple(a + b for a, b in zip(position, offset, strict=True))
        if not all(0 <= each < length for each, length in zip(place, shape, strict=True)):
            return 0
        return 2 * int(seen[bit, place[0] + steps, place[1], place[2]]) - 1 if is_known(place[0]) else 0

    def from_global(bit: int, position: int) -> int:
        """What the global units add to a logit; `order` is of the bits before, each with its value."""
        units, total = prior.global_units, 0
        if units is None:
            return 0
        for unit in range(len(units.bias)):
            seen = int(units.bias[unit])
            for (other, place), value in order:
                seen += int(units.input[other, place, unit]) * value
            total += int(units.output[bit, position, unit]) * max(0, seen)
        return total >> 16

    def is_known(time: int) -> bool:
        return earlier is not None and time + steps < shape[0]

    order: list[tuple[tuple[int, int], int]] = []
    for bit in range(len(planes)):
        pairs = [bit * (bit - 1) // 2 + other for other in range(bit)]
        for number_of_position, position in enumerate(itertools.product(*map(range, shape))):
            logit = 0
            for unit in range(prior.output.shape[1]):
                starts = (0, shape[0], shape[0] + shape[1])
                total = sum(
                    int(prior.bias[bit, unit, start + place])
                    for start, place in zip(starts, position, strict=True)
                )
                for number, offset in enumerate(BEFORE):
                    total += int(prior.before[bit, number, unit]) * value(bit, position, offset)
                for other, pair in enumerate(pairs):
                    for number in range(prior.earlier.shape[1]):
                        weight = int(prior.earlier[pair, number, unit])
                        total += weight * value(other, position, AROUND[number])
                for number in range(prior.reference.shape[1]):
                    total += int(prior.reference[bit, number, unit]) * guess(bit, position, AROUND[number])
                logit += int(prior.output[bit, unit]) * (total if unit == 0 else max(0, total))
            added = from_global(bit, number_of_position)
            yield int(grid[(bit, *position)]), probability((logit >> 13) + added)
            order.append(((bit, number_of_position), 2 * int(grid[(bit, *position)]) - 1))
        for token in range(prior.num_tokens):
            logit = int(prior.token_biases[bit])
            for other, pair in enumerate(pairs):
                logit += int(prior.token_weights[pair]) * (2 * int(tokens[other, token]) - 1)
            place = grid[bit].size + token
            yield int(tokens[bit, token]), probability((logit >> 2) + from_global(bit, place))
            order.append(((bit, place), 2 * int(tokens[bit, token]) - 1))


def encode_by_fractions(
    planes: np.ndarray, prior: PriorTables, earlier: np.ndarray | None = None, steps: int = 0
) -> bytes:
    """The payload without carries, bytes or loops over them: `low` is one exact fraction of 1."""
    low, span, written = Fraction(0), 1 << 40, 0  # span counts units of 2^-(40 + 8 written)
    for bit, chance in probabilities(planes, prior, earlier, steps):
        unit = Fraction(1, 1 << (40 + 8 * written))
        bound = (span >> 16) * chance
        if not bit:
            low += bound * unit
        span = bound if bit else span - bound
        while span < 1 << 32:
            span <<= 8
            written += 1
    end = low + Fraction(span, 1 << (40 + 8 * written))
    for num_bytes in itertools.count():
        number = -(-low.numerator * 256**num_bytes // low.denominator)
        if Fraction(number, 256**num_bytes) < end:
            return number.to_bytes(num_bytes, "big").rstrip(b"\0")
    raise AssertionError


SIZES: list[dict[str, Any]] = [
    {"codebook_size": 3, "grid_size": (2, 3, 2)},
    {"codebook_size": 2, "grid_size": (1, 4, 3), "num_tokens": 2, "units": 4},
    {"codebook_size": 4, "grid_size": (3, 2, 2), "num_tokens": 1, "num_earlier": 27, "units": 2},
    {"codebook_size": 3, "grid_size": (2, 2, 2), "num_tokens": 1, "num_global": 3},
]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_document_alone_gives_the_same_bytes(sizes: dict[str, Any], make_prior: MakePrior) -> None:
    num_coded = 0
    for seed in range(12):
        prior = make_prior(**sizes, seed=seed)
        source = np.random.default_rng(seed)
        share = (1.0, 0.95, 0.8)[seed % 3]
        planes = (source.random((prior.codebook_size, prior.num_positions)) < share).astype(np.uint8)
        payload = encode(planes, prior)
        if payload is not None:
            num_coded += 1
            assert payload == encode_by_fractions(planes, prior)
    assert num_coded > 3


@pytest.mark.parametrize("sizes", SIZES)
def test_the_document_alone_gives_the_same_bytes_of_an_update(
    sizes: dict[str, Any], make_prior: MakePrior
) -> None:
    num_coded = 0
    for seed in range(12):
        prior = make_prior(**sizes, num_reference=(1, 7, 27)[seed % 3], seed=seed)
        source = np.random.default_rng(seed)
        planes, earlier = (
            (source.random((prior.codebook_size, prior.num_positions)) < 0.95).astype(np.uint8)
            for _ in range(2)
        )
        steps = seed % prior.grid_size[0]
        payload = encode(planes, prior, Reference(earlier, steps))
        if payload is not None:
            num_coded += 1
            assert payload == encode_by_fractions(planes, prior, earlier, steps)
    assert num_coded > 3
