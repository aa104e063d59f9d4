"""Tables come back from their bytes, and tables that could overflow do not exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.errors import WireError
from approxbit.wire import PriorTables
from approxbit.wire.entropy.tables import MAGIC

MakePrior = Callable[..., PriorTables]


def changed(prior: PriorTables, **changes: object) -> PriorTables:
    return PriorTables(**{each.name: getattr(prior, each.name) for each in fields(prior)} | changes)


@pytest.mark.parametrize("units", [1, 9])
@pytest.mark.parametrize("num_tokens", [0, 2])
@pytest.mark.parametrize("num_reference", [0, 7])
@pytest.mark.parametrize("num_global", [0, 3])
def test_tables_come_back_from_their_bytes(
    units: int, num_tokens: int, num_reference: int, num_global: int, make_prior: MakePrior
) -> None:
    prior = make_prior(units=units, num_tokens=num_tokens, num_reference=num_reference, num_global=num_global)
    data = prior.to_bytes()
    read = PriorTables.from_bytes(data)
    assert read == prior
    assert hash(read) == hash(prior)
    assert read.to_bytes() == data
    assert (read.codebook_size, read.num_positions) == (4, 18 + num_tokens)
    assert (read.update is not None) == (num_reference > 0)
    assert not read.is_update
    assert prior != "tables"
    with pytest.raises(ValueError, match="read-only"):
        read.bias[...] = 0


@pytest.mark.parametrize("num_global", [0, 3])
def test_any_other_length_is_refused(num_global: int, make_prior: MakePrior) -> None:
    data = make_prior(num_tokens=1, num_global=num_global).to_bytes()
    for wrong in [data[:cut] for cut in range(0, len(data), 7)] + [data + b"\0"]:
        with pytest.raises(
            WireError, match=r"tables: expected (at least \d+ bytes|\d+ bytes for their sizes)"
        ):
            PriorTables.from_bytes(wrong)


def test_any_other_length_of_the_tables_of_updates_is_refused(make_prior: MakePrior) -> None:
    prior = make_prior(num_reference=1)
    data = prior.to_bytes()
    assert prior.update is not None
    own_bytes = len(data) - len(prior.update.to_bytes())
    assert PriorTables.from_bytes(data[:own_bytes]) == replace(prior, update=None)
    for wrong in [*(data[:cut] for cut in range(own_bytes + 1, len(data), 7)), data + b"\0"]:
        with pytest.raises(
            WireError, match=r"tables: expected (at least \d+ bytes|\d+ bytes for their sizes)"
        ):
            PriorTables.from_bytes(wrong)


def test_tables_of_updates_that_do_not_fit_are_refused(make_prior: MakePrior) -> None:
    prior, fitting = make_prior(), make_prior(num_reference=7).update
    assert fitting is not None
    assert replace(prior, update=fitting) != prior
    with pytest.raises(ValueError, match=r"grid, class tokens and bits .* \(\(2, 3, 3\), 0, 4\), found"):
        replace(prior, update=make_prior(codebook_size=3, num_reference=7).update)
    with pytest.raises(ValueError, match="reference: expected some in the tables of updates alone, found"):
        replace(prior, update=prior)
    with pytest.raises(ValueError, match="reference: expected some in the tables of updates alone, found"):
        replace(fitting, update=fitting)
    with pytest.raises(WireError, match="expected some in the tables of updates alone"):
        PriorTables.from_bytes(2 * prior.to_bytes())
    with pytest.raises(ValueError, match="prior: expected the tables of a codec, found those of its updates"):
        fitting.check_fit(Configuration("B3", False, 4), (2, 3, 3))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, b"X", "magic of the tables: expected 41585001 or 41585002"),
        (4, b"\0\0", "time of the tables: expected 1 to 65535, found 0"),
        (12, b"\0\0", "codebook_size of the tables: expected 1 to 4096, found 0"),
        (12, b"\x10\x01", "codebook_size of the tables: expected 1 to 4096, found 4097"),
        (14, b"\2", r"positions around, earlier: expected one of \(0, 1, 7, 19, 27\), found 2"),
        (15, b"\x1a", "positions around, reference: expected one of"),
        (16, b"\0", "units of the tables: expected 1 to 65, found 0"),
        (16, b"\xff", "units of the tables: expected 1 to 65, found 255"),
        (4, b"\xff\xff" * 4 + b"\x10\x00", r"tables: expected \d+ bytes for their sizes"),
        (17, b"\x7f\xff" * 2, "sum of the weights of a unit: expected at most 32767"),
        (17, b"\x80\x00", "sum of the weights of a unit: expected at most 32767"),
    ],
)
def test_malformed_tables_are_refused_by_name(
    place: int, value: bytes, message: str, make_prior: MakePrior
) -> None:
    data = make_prior().to_bytes()
    assert data.startswith(MAGIC)
    with pytest.raises(WireError, match=message):
        PriorTables.from_bytes(data[:place] + value + data[place + len(value) :])


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (17, b"\0", "global units: expected 1 to 255, found 0"),
        (17, b"\4", r"tables: expected \d+ bytes for their sizes"),
        (4, b"\xff\xff" * 3, "weights of the global units: expected 1 to 262144, found 3377545104064500"),
    ],
)
def test_malformed_global_units_are_refused_by_name(
    place: int, value: bytes, message: str, make_prior: MakePrior
) -> None:
    data = make_prior(num_global=3).to_bytes()
    with pytest.raises(WireError, match=message):
        PriorTables.from_bytes(data[:place] + value + data[place + len(value) :])


def test_global_units_of_another_code_are_a_mistake(make_prior: MakePrior) -> None:
    prior, other = make_prior(), make_prior(num_tokens=1, num_global=2).global_units
    assert other is not None
    with pytest.raises(
        ValueError, match=r"bits and positions of the global units: expected \(4, 18\), found"
    ):
        replace(prior, global_units=other)
    with pytest.raises(
        ValueError, match=r"bias of the global units: expected int16 \(2,\), found int16 \(1,\)"
    ):
        replace(other, bias=other.bias[1:])
    with pytest.raises(
        ValueError, match=r"output of the global units: expected \[bit, position, unit\], found"
    ):
        replace(other, output=other.bias)


def test_random_bytes_are_tables_or_are_refused(make_prior: MakePrior) -> None:
    data, source = make_prior(units=2, num_global=1).to_bytes(), np.random.default_rng(0)
    num_read = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(source.integers(1, 4)):
            damaged[source.integers(len(damaged))] = source.integers(256)
        try:
            assert PriorTables.from_bytes(bytes(damaged)).to_bytes() == bytes(damaged)
            num_read += 1
        except WireError:
            pass
    assert 0 < num_read < 2000


def test_an_array_of_another_type_or_shape_is_a_mistake(make_prior: MakePrior) -> None:
    prior = make_prior()
    with pytest.raises(ValueError, match=r"before: expected int16 \(4, 13, 1\), found float64"):
        changed(prior, before=prior.before.astype(float))
    with pytest.raises(ValueError, match=r"bias: expected int16 \(4, 1, 8\), found int16 \(4, 1, 7\)"):
        changed(prior, bias=prior.bias[:, :, 1:])
    with pytest.raises(ValueError, match="num_tokens of the tables: expected 0 to 65535, found -1"):
        changed(prior, num_tokens=-1)


def test_tables_fit_their_configuration_and_its_leading_bits(make_prior: MakePrior) -> None:
    prior = make_prior(codebook_size=4, grid_size=(2, 3, 3), num_tokens=1)
    for name in ("4-Enc-B5", "2-Enc-B5"):
        prior.check_fit(Configuration.parse(name), (4, 5, 6), 1)
    for name, size, num_tokens in [
        ("5-Enc-B5", (4, 5, 6), 1),
        ("4-NoEnc-B5", (4, 5, 6), 1),
        ("4-Enc-B5", (4, 5, 6), 0),
    ]:
        with pytest.raises(ValueError, match=f"a prior for {name} must have the grid and class tokens"):
            prior.check_fit(Configuration.parse(name), size, num_tokens)
