"""What is coded comes back, with and without the compiler."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from approxbit.errors import WireError
from approxbit.wire import PriorTables, packed_bytes
from approxbit.wire.entropy import Reference, coder, compiled, decode, encode
from approxbit.wire.entropy.compiled import compile_kernels, plain_kernels

MakePrior = Callable[..., PriorTables]
SIZES: list[dict[str, Any]] = [
    {"codebook_size": 1, "grid_size": (1, 1, 1)},
    {"codebook_size": 3, "grid_size": (1, 1, 7), "units": 3},
    {"codebook_size": 2, "grid_size": (5, 1, 1), "num_tokens": 2, "num_earlier": 0},
    {"codebook_size": 5, "grid_size": (3, 4, 2), "num_tokens": 1, "num_earlier": 27},
    {"codebook_size": 4, "grid_size": (2, 3, 3), "num_earlier": 19, "units": 9},
    {"codebook_size": 3, "grid_size": (2, 2, 3), "num_reference": 7, "num_earlier": 1},
    {"codebook_size": 3, "grid_size": (3, 2, 3), "num_tokens": 2, "units": 2, "num_global": 5},
]


def draw(prior: PriorTables, share: float, seed: int) -> np.ndarray:
    source = np.random.default_rng(seed)
    return (source.random((prior.codebook_size, prior.num_positions)) < share).astype(np.uint8)


def force(monkeypatch: pytest.MonkeyPatch, kernels: Callable[[], compiled.Kernels]) -> None:
    monkeypatch.setattr(coder, "load_kernels", kernels)


def encode_at_any_length(planes: np.ndarray, prior: PriorTables, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The payload, however long: most random codes are no shorter this way."""
    monkeypatch.setattr(coder, "packed_bytes", lambda *shape: 10_000)
    payload = encode(planes, prior)
    assert payload is not None
    return payload


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_code_comes_back_and_both_kernels_write_the_same_bytes(
    sizes: dict[str, Any], share: float, make_prior: MakePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        prior = make_prior(**sizes, seed=seed)
        planes = draw(prior, share, seed)
        payloads = []
        for kernels in (plain_kernels, compile_kernels):
            force(monkeypatch, kernels)
            payloads.append(encode_at_any_length(planes, prior, monkeypatch))
        assert payloads[0] == payloads[1]
        for kernels in (plain_kernels, compile_kernels):
            force(monkeypatch, kernels)
            np.testing.assert_array_equal(decode(payloads[0], prior, len(planes)), planes)


def test_two_thousand_codes_come_back(make_prior: MakePrior) -> None:
    num_coded = 0
    for seed in range(2000):
        prior = make_prior(codebook_size=4, grid_size=(2, 3, 3), num_tokens=seed % 2, seed=seed // 100)
        planes = draw(prior, (seed % 21) / 20, seed)
        payload = encode(planes, prior)
        if payload is not None:
            num_coded += 1
            assert len(payload) < packed_bytes(*planes.shape)
            np.testing.assert_array_equal(decode(payload, prior, 4), planes)
    assert 200 < num_coded < 1800


def test_the_number_of_bytes_is_that_of_the_probabilities(
    make_prior: MakePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit that is 1 with 11 nats costs next to nothing, one that is 0 costs 16 bits."""
    prior = make_prior(codebook_size=1, grid_size=(1, 1, 100), num_earlier=0)
    certain = PriorTables(
        prior.grid_size,
        0,
        before=np.zeros_like(prior.before),
        earlier=prior.earlier,
        reference=prior.reference,
        bias=np.concatenate([np.full((1, 1, 2), 16000), np.zeros((1, 1, 100))], axis=2).astype(np.int16),
        output=np.full((1, 1), 32000, np.int16),
        token_weights=prior.token_weights,
        token_biases=prior.token_biases,
    )
    assert encode_at_any_length(np.ones((1, 100), np.uint8), certain, monkeypatch) == b""
    zeros = encode_at_any_length(np.zeros((1, 100), np.uint8), certain, monkeypatch)
    assert len(zeros) in (199, 200, 201)


def test_a_code_that_would_be_longer_is_not_coded(make_prior: MakePrior) -> None:
    prior = make_prior()
    results = [encode(draw(prior, 0.5, seed), prior) for seed in range(50)]
    assert None in results
    assert encode(np.ones((4, 18), np.uint8), prior) is not None


def test_every_byte_string_is_the_payload_of_its_bits_or_is_refused(make_prior: MakePrior) -> None:
    """All payloads of up to two bytes: decoded, they are what the encoder writes, or `decode` says no."""
    prior = make_prior(codebook_size=2, grid_size=(1, 2, 3), num_earlier=1)
    accepted = set()
    for payload in [b"", *(bytes(each) for n in (1, 2) for each in itertools.product(range(256), repeat=n))]:
        try:
            planes = decode(payload, prior, 2)
        except WireError:
            continue
        assert planes.tobytes() not in accepted
        accepted.add(planes.tobytes())
        expected = payload if len(payload) < packed_bytes(2, 6) else None
        assert encode(planes, prior) == expected
    assert len(accepted) > 100


@pytest.mark.parametrize("damage", [b"\0", b"\1", b"\0\0\0\0\0\0\1", b"\xff" * 9])
def test_a_payload_with_more_behind_it_is_refused(damage: bytes, make_prior: MakePrior) -> None:
    prior = make_prior()
    payload = encode(np.ones((4, 18), np.uint8), prior)
    assert payload is not None
    with pytest.raises(WireError, match=r"payload: expected what the encoder writes for its bits, found \d"):
        decode(payload + damage, prior, 4)


def test_a_payload_that_is_short_only_without_its_zeros_is_neither_written_nor_read() -> None:
    """The payload of all ones is zeros, dropped in the end; but the encoder's buffer is full before it."""
    prior = PriorTables.of_zeros(1, (1, 1, 80))
    planes = np.ones((1, 80), np.uint8)
    assert encode(planes, prior) == b""  # ten bytes of zeros fit into the buffer
    weights = {"bias": np.full_like(prior.bias, -400), "output": np.full_like(prior.output, 1000)}
    unlikely = replace(prior, **weights)
    assert encode(planes, unlikely) is None  # each bit costs a little more
    with pytest.raises(WireError, match="payload: expected what the encoder writes for its bits"):
        decode(b"", unlikely, 1)


def test_the_first_bits_of_a_code_are_coded_as_if_there_were_no_others(make_prior: MakePrior) -> None:
    for seed in range(20):
        prior = make_prior(grid_size=(4, 4, 4), num_tokens=1, seed=seed, units=1 + seed % 3)
        planes = draw(prior, 0.97, seed)
        for num_bits in (1, 2, 3):
            payload = encode(planes[:num_bits], prior)
            assert payload is not None
            np.testing.assert_array_equal(decode(payload, prior, num_bits), planes[:num_bits])


@pytest.mark.parametrize("sizes", [*SIZES[1:5], {"codebook_size": 3, "grid_size": (6, 2, 2), "units": 5}])
@pytest.mark.parametrize("steps", [0, 1, 2, 9])
def test_an_update_comes_back_and_both_kernels_write_the_same_bytes(
    sizes: dict[str, Any], steps: int, make_prior: MakePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = make_prior(**sizes, num_reference=7)
    planes, earlier = draw(prior, 0.6, 1), draw(prior, 0.6, 2)
    monkeypatch.setattr(coder, "packed_bytes", lambda *shape: 10_000)
    reference, payloads = Reference(earlier, steps), []
    for kernels in (plain_kernels, compile_kernels):
        force(monkeypatch, kernels)
        payload = encode(planes, prior, reference)
        assert payload is not None
        payloads.append(payload)
        np.testing.assert_array_equal(decode(payload, prior, len(planes), reference), planes)
    assert payloads[0] == payloads[1]


def test_only_the_steps_that_an_earlier_code_saw_depend_on_it(
    make_prior: MakePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = make_prior(num_reference=7, grid_size=(4, 3, 3))
    monkeypatch.setattr(coder, "packed_bytes", lambda *shape: 10_000)
    planes, earlier = draw(prior, 0.9, 1), draw(prior, 0.9, 2)
    for steps, first_seen in [(0, 0), (1, 9), (3, 27)]:
        unseen, seen = earlier.copy(), earlier.copy()
        unseen[:, :first_seen] ^= 1
        seen[:, first_seen:] ^= 1
        payloads = [encode(planes, prior, Reference(each, steps)) for each in (earlier, unseen, seen)]
        assert payloads[0] == payloads[1] != payloads[2]


def test_a_right_guess_is_worth_most_of_the_bytes() -> None:
    """Tables of updates that trust the same position of the reference, and key tables that know nothing."""
    grid, nothing = (4, 8, 8), np.zeros(0, np.int16)

    def tables(weight: int, around: int, update: PriorTables | None) -> PriorTables:
        before, earlier = np.zeros((2, 13, 1), np.int16), np.zeros((1, 1, 1), np.int16)
        reference, bias = np.full((2, around, 1), weight, np.int16), np.zeros((2, 1, 20), np.int16)
        output = np.full((2, 1), 8192, np.int16)
        return PriorTables(grid, 0, before, earlier, reference, bias, output, nothing, nothing, update=update)

    prior = tables(0, 0, tables(1024, 1, None))  # 4 nats
    planes = draw(prior, 0.5, 1)
    earlier = np.roll(planes, 64, axis=1)  # one time step later
    payload = encode(planes, prior, Reference(earlier, 1))
    assert payload is not None
    known_bytes, other_bytes = 2 * 3 * 64 * math.log2(1 + math.exp(-4)) / 8, 2 * 64 / 8
    assert 0 <= len(payload) - known_bytes - other_bytes < 1.5
    np.testing.assert_array_equal(decode(payload, prior, 2, Reference(earlier, 1)), planes)


def test_the_leading_bits_of_an_earlier_code_serve_the_leading_bits(make_prior: MakePrior) -> None:
    prior = make_prior(num_reference=7)
    planes, earlier = np.ones((4, 18), np.uint8), np.ones((4, 18), np.uint8)
    payload = encode(planes[:2], prior, Reference(earlier, 1))
    assert payload == encode(planes[:2], prior, Reference(earlier[:2], 1))
    assert payload is not None
    np.testing.assert_array_equal(decode(payload, prior, 2, Reference(earlier, 1)), planes[:2])


def test_what_does_not_fit_the_tables_is_a_mistake(make_prior: MakePrior) -> None:
    prior, planes = make_prior(), np.ones((4, 18), np.uint8)
    with pytest.raises(ValueError, match=r"planes: expected \(1 to 4, 18\) for these tables"):
        encode(np.ones((4, 17), np.uint8), prior)
    with pytest.raises(ValueError, match=r"planes: expected \(1 to 4, 18\)"):
        encode(np.ones((5, 18), np.uint8), prior)
    for num_bits in (0, 5):
        with pytest.raises(ValueError, match=rf"planes: expected \(1 to 4, 18\) .* found \({num_bits}, 18"):
            decode(b"", prior, num_bits)
    with pytest.raises(ValueError, match="reference: expected none with these tables"):
        encode(planes, prior, Reference(planes, 1))
    updates = make_prior(num_reference=1)
    with pytest.raises(ValueError, match=r"planes of the reference: expected \(4 to 4, 18\), found \(3, 18"):
        encode(planes, updates, Reference(planes[:3], 1))
    with pytest.raises(ValueError, match="steps of the reference: expected 0 or more, found -1"):
        encode(planes, updates, Reference(planes, -1))
    assert updates.update is not None
    with pytest.raises(
        ValueError, match="tables: expected those of a codec, found those of its updates alone"
    ):
        encode(planes, updates.update)
