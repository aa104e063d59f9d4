import math

import numpy as np
import pytest

from approxbit.link import BandwidthEstimator


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def transfer(estimator, mbps, num_bytes=25_088):
    estimator.observe(num_bytes, num_bytes * 8 / 1000 / mbps)


def test_before_the_first_transfer_the_initial_value_stands():
    assert BandwidthEstimator().bandwidth_mbps is None
    assert BandwidthEstimator(initial_mbps=5).bandwidth_mbps == 5
    assert BandwidthEstimator().age_s == math.inf


def test_one_transfer_replaces_the_initial_value():
    estimator = BandwidthEstimator(initial_mbps=500)
    estimator.observe(30_000, 40)
    assert estimator.bandwidth_mbps == pytest.approx(6)


def test_the_estimate_is_bytes_over_time_with_the_earlier_transfer_at_half_its_weight():
    estimator = BandwidthEstimator(clock=Clock())
    estimator.observe(10_000, 20)
    estimator.observe(30_000, 50)
    assert estimator.bandwidth_mbps == pytest.approx((5_000 + 30_000) * 8 / 1000 / (10 + 50))


def test_after_a_half_life_the_earlier_transfer_has_half_of_that():
    clock = Clock()
    estimator = BandwidthEstimator(half_life_s=10, clock=clock)
    estimator.observe(10_000, 20)
    clock.now += 10
    assert estimator.age_s == 10
    estimator.observe(30_000, 50)
    assert estimator.bandwidth_mbps == pytest.approx((2_500 + 30_000) * 8 / 1000 / (5 + 50))
    assert estimator.age_s == 0


@pytest.mark.parametrize(("before", "after"), [(50, 3), (3, 50), (6, 3), (3, 6)])
def test_two_transfers_after_a_jump_the_estimate_is_there(before, after):
    estimator = BandwidthEstimator(clock=Clock())
    for _ in range(20):
        transfer(estimator, before)
    assert estimator.bandwidth_mbps == pytest.approx(before)
    transfer(estimator, after)
    transfer(estimator, after)
    assert estimator.bandwidth_mbps == pytest.approx(after, rel=0.35)
    transfer(estimator, after)
    assert estimator.bandwidth_mbps == pytest.approx(after, rel=0.2)


def test_one_transfer_after_a_drop_takes_most_of_the_way():
    estimator = BandwidthEstimator(clock=Clock())
    for _ in range(20):
        transfer(estimator, 50)
    transfer(estimator, 3)
    assert estimator.bandwidth_mbps < 6


def test_one_transfer_that_was_quick_by_chance_is_not_believed():
    estimator = BandwidthEstimator(clock=Clock())
    for _ in range(20):
        transfer(estimator, 3)
    transfer(estimator, 50)
    assert estimator.bandwidth_mbps < 6
    transfer(estimator, 3)
    assert estimator.bandwidth_mbps < 4


def test_transfers_below_min_bytes_change_nothing():
    estimator = BandwidthEstimator(initial_mbps=7, min_bytes=1500)
    estimator.observe(1499, 1000)
    assert estimator.bandwidth_mbps == 7
    assert estimator.age_s == math.inf
    estimator.observe(1500, 4)
    assert estimator.bandwidth_mbps == pytest.approx(3)


def test_a_transfer_below_min_ms_can_only_raise_the_estimate():
    estimator = BandwidthEstimator(min_ms=1, clock=Clock())
    estimator.observe(25_000, 4)
    estimator.observe(3_000, 0.001)  # says: 24 Mbps or more
    assert estimator.bandwidth_mbps == 50
    slow = BandwidthEstimator(min_ms=1, clock=Clock())
    transfer(slow, 3)
    for _ in range(2):
        slow.observe(3_000, 0.0)
    assert slow.bandwidth_mbps == pytest.approx(24)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="initial_mbps: expected a finite number, 0 or more, found -1"):
        BandwidthEstimator(initial_mbps=-1)
    with pytest.raises(ValueError, match="half_life_s: expected a finite number above 0, found 0"):
        BandwidthEstimator(half_life_s=0)
    estimator = BandwidthEstimator()
    with pytest.raises(ValueError, match="num_bytes: expected a finite number, 0 or more, found -1"):
        estimator.observe(-1, 1)
    with pytest.raises(ValueError, match="milliseconds: expected a finite number, 0 or more, found nan"):
        estimator.observe(2000, math.nan)


@pytest.mark.parametrize("number", [np.float64, np.float32, np.int64, np.uint16])
def test_numbers_of_numpy_estimate_as_those_of_python_do(number):
    estimators = BandwidthEstimator(clock=Clock()), BandwidthEstimator(number(3), number(10), clock=Clock())
    for num_bytes, milliseconds in ((20_000, 20), (30_000, 50), (30_000, 60), (65_000, 20), (2_000, 0)):
        estimators[0].observe(num_bytes, milliseconds)
        estimators[1].observe(number(num_bytes), number(milliseconds))
        assert estimators[1].bandwidth_mbps == estimators[0].bandwidth_mbps
        assert type(estimators[1].bandwidth_mbps) is float
