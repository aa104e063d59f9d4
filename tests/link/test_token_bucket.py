import math

import pytest

from approxbit.link import TokenBucket, Trace, TracePacer

# 8 Mbps are 1,000,000 bytes per second: 1,000 bytes take 1 ms.


def test_without_a_burst_a_transfer_takes_8_d_over_b():
    bucket = TokenBucket(rate_mbps=3, burst_bytes=0)
    assert bucket.reserve(3136, now=100.0) == pytest.approx(8 * 3136 / 3e6)


def test_a_burst_is_free_and_the_rest_waits():
    bucket = TokenBucket(rate_mbps=8, burst_bytes=1000)
    assert bucket.reserve(600, now=0.0) == 0
    assert bucket.reserve(400, now=0.0) == 0
    assert bucket.reserve(500, now=0.0) == pytest.approx(0.0005)
    assert bucket.reserve(500, now=0.0) == pytest.approx(0.001)  # behind the others
    assert bucket.reserve(0, now=0.0004) == pytest.approx(0.0006)
    assert bucket.reserve(1000, now=0.001) == pytest.approx(0.001)
    assert bucket.reserve(0, now=0.002) == pytest.approx(0)


def test_a_pause_fills_the_bucket_up_to_the_burst_and_no_further():
    bucket = TokenBucket(rate_mbps=8, burst_bytes=1000)
    assert bucket.reserve(1000, now=0.0) == 0
    assert bucket.reserve(1000, now=0.0005) == pytest.approx(0.0005)
    assert bucket.reserve(2000, now=60.0) == pytest.approx(0.001)


def test_a_debt_is_paid_at_the_rate_of_the_time():
    bucket = TokenBucket(rate_mbps=8)
    assert bucket.reserve(3000, now=0.0) == pytest.approx(0.003)
    bucket.set_rate(4, now=0.001)  # 1,000 of 3,000 bytes are through
    assert bucket.reserve(0, now=0.001) == pytest.approx(0.004)
    bucket.set_rate(0, now=0.003)  # 2,000 are through
    assert bucket.reserve(0, now=0.003) == math.inf
    bucket.set_rate(8, now=10.0)
    assert bucket.reserve(500, now=10.0) == pytest.approx(0.0015)


def test_an_earlier_second_queues_behind_what_is_there():
    bucket = TokenBucket(rate_mbps=8)
    bucket.reserve(1000, now=5.0)
    assert bucket.reserve(1000, now=4.0) == pytest.approx(1.002)


def test_a_rate_of_0_lets_the_burst_through_and_nothing_more():
    bucket = TokenBucket(rate_mbps=0, burst_bytes=10)
    assert bucket.reserve(10, now=0.0) == 0
    assert bucket.reserve(1, now=1e9) == math.inf


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="rate_mbps: expected a finite number, 0 or more, found -1"):
        TokenBucket(-1)
    with pytest.raises(ValueError, match="burst_bytes: expected a finite number, 0 or more, found inf"):
        TokenBucket(1, math.inf)
    bucket = TokenBucket(1)
    with pytest.raises(ValueError, match="num_bytes: expected a finite number, 0 or more, found -1"):
        bucket.reserve(-1, now=0.0)
    with pytest.raises(ValueError, match="rate_mbps: expected a finite number, 0 or more, found nan"):
        bucket.set_rate(math.nan, now=0.0)


def test_a_transfer_across_steps_takes_the_rate_of_each():
    # 2 s at 8 Mbps, 1 s of nothing, then 4 Mbps.
    pacer = TracePacer(Trace((0, 2, 3), (8, 0, 4)))
    assert pacer.departure(1_000_000, now=100.0) == pytest.approx(101.0)
    assert pacer.departure(1_500_000, now=100.5) == pytest.approx(
        104.0
    )  # 1,000,000 until 102, 500,000 from 103
    assert pacer.departure(500_000, now=100.6) == pytest.approx(105.0)
    assert pacer.departure(500_000, now=200.0) == pytest.approx(201.0)
    assert pacer.seconds(200.0) == 100
    assert pacer.bandwidth_mbps(101.5) == 8


def test_steps_that_pass_while_nothing_is_sent_count():
    pacer = TracePacer(Trace((0, 1, 2), (8, 100, 4)))
    pacer.departure(0, now=0.0)
    assert pacer.departure(500_000, now=10.0) == pytest.approx(11.0)


def test_the_clock_starts_with_the_first_byte_or_when_it_is_told_to():
    pacer = TracePacer(Trace((0, 1), (8, 80)))
    assert pacer.seconds(50.0) == 0
    assert pacer.departure(1000, now=50.0) == pytest.approx(50.001)
    assert pacer.departure(10_000, now=60.0) == pytest.approx(60.001)
    pacer.restart(70.0)
    assert pacer.departure(1000, now=70.0) == pytest.approx(70.001)
    assert pacer.departure(10_000, now=71.0) == pytest.approx(71.001)


def test_a_trace_that_loops_goes_on_for_ever_and_one_that_ends_at_0_lets_nothing_through():
    looping = TracePacer(Trace((0, 1), (8, 0), loops=True))
    assert looping.departure(2_500_000, now=0.0) == pytest.approx(4.5)
    assert TracePacer(Trace((0, 1), (8, 0))).departure(1_000_001, now=0.0) == math.inf


def test_many_small_chunks_leave_when_one_large_one_would():
    trace = Trace.figure9(segment_s=1)
    whole = TracePacer(trace).departure(9_000_000, now=0.0)
    pacer = TracePacer(trace)
    assert [pacer.departure(1000, now=0.0) for _ in range(9000)][-1] == pytest.approx(whole)
    assert whole == pytest.approx(3 + 13_000_000 / 50e6, rel=0.01)
