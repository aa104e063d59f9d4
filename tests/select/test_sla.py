import math

import pytest

from approxbit.select import AccuracySLA, LatencySLA, parse_sla


@pytest.mark.parametrize(
    ("text", "sla"),
    [
        ("latency<=60ms", LatencySLA(60)),
        (" latency <= 0.5 ms ", LatencySLA(0.5)),
        ("latency<=60", LatencySLA(60)),
        ("accuracy>=92", AccuracySLA(92)),
        ("accuracy >= 92.25 %", AccuracySLA(92.25)),
    ],
)
def test_an_sla_is_read_as_it_is_said(text, sla):
    assert parse_sla(text) == sla
    assert type(sla).parse(text) == sla


@pytest.mark.parametrize(
    "sla",
    [LatencySLA(60), LatencySLA(1 / 3), LatencySLA(1e-9), LatencySLA(1e22), AccuracySLA(0), AccuracySLA(100)],
)
def test_the_text_of_an_sla_reads_back_as_the_same_sla(sla):
    assert parse_sla(str(sla)) == sla


def test_the_text_of_an_sla_is_plain():
    assert str(LatencySLA(60)) == "latency<=60ms"
    assert str(AccuracySLA(92.5)) == "accuracy>=92.5"


@pytest.mark.parametrize(
    "text", ["", "latency>=60ms", "accuracy<=92", "latency<=-1", "latency<=1e3", "60ms", "latency<=60s"]
)
def test_anything_else_is_no_sla(text):
    with pytest.raises(ValueError, match="expected an SLA such as 'latency<=60ms' or 'accuracy>=92', found"):
        parse_sla(text)
    with pytest.raises(ValueError, match="expected a latency bound such as"):
        LatencySLA.parse(text)
    with pytest.raises(ValueError, match="expected an accuracy floor such as"):
        AccuracySLA.parse(text)


def test_bounds_that_cannot_be_meant_are_refused():
    for value in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="max_ms: expected a finite number above 0, found"):
            LatencySLA(value)
    for value in (-1, 100.5, math.nan):
        with pytest.raises(ValueError, match="min_accuracy: expected 0 to 100 percent, found"):
            AccuracySLA(value)


def test_the_bound_itself_keeps_the_promise_and_an_arm_out_of_reach_does_not():
    assert LatencySLA(60).is_met_by(60, 0)
    assert not LatencySLA(60).is_met_by(60.01, 100)
    assert AccuracySLA(92).is_met_by(1e9, 92)
    assert not AccuracySLA(92).is_met_by(1, 91.9)
    assert not AccuracySLA(92).is_met_by(math.inf, 99)
