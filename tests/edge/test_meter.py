"""Bandwidth and round trip, on a link whose times are worked out by hand."""

from __future__ import annotations

import pytest

from approxbit.edge import LinkMeter, ProbePolicy
from approxbit.errors import LinkError
from approxbit.link import BandwidthEstimator


class Link:
    """A link whose calls take exactly what arithmetic says, on a clock of its own."""

    def __init__(self, mbps: float, round_trip_ms: float = 10.0):
        self.mbps = mbps
        self.round_trip_ms = round_trip_ms
        self.is_up = True
        self.now_s = 0.0
        self.probes: list[int] = []
        self.num_pings = 0
        self.delays_ms: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def _take(self, milliseconds: float) -> float:
        if not self.is_up:
            raise LinkError("away")
        self.now_s += milliseconds / 1000
        return milliseconds

    def call_ms(self, num_bytes: int) -> float:
        return self.round_trip_ms + 8 * num_bytes / 1000 / self.mbps

    def send(self, packet: bytes, timeout_s: float) -> bytes:
        raise AssertionError("a meter sends no packets")

    def ping(self, timeout_s: float = 1.0) -> float:
        self.num_pings += 1
        return self._take(self.round_trip_ms)

    def probe(self, num_bytes: int, timeout_s: float = 1.0) -> float:
        self.probes.append(num_bytes)
        return self._take(self.call_ms(num_bytes) + (self.delays_ms.pop() if self.delays_ms else 0))

    def close(self) -> None:
        pass


def make_meter(link: Link, **policy: float) -> LinkMeter:
    return LinkMeter(link, BandwidthEstimator(clock=link.clock), ProbePolicy(**policy), link.clock)


def test_a_slow_link_is_measured_by_small_probes() -> None:
    link = Link(mbps=3)
    meter = make_meter(link)
    assert meter.is_stale
    assert meter.bandwidth_mbps == 0
    probing = meter.refresh()
    assert link.probes == [4096, 4096]  # nothing is expected yet
    assert meter.bandwidth_mbps == pytest.approx(3)
    assert meter.round_trip_ms == 10
    assert probing.num_bytes == 2 * 4096
    assert probing.total_ms == pytest.approx(3 * 10 + 2 * (10 + 8 * 4.096 / 3))
    assert not meter.is_stale
    assert meter.refresh().num_bytes == 4096


def test_a_quick_link_takes_longer_probes() -> None:
    link = Link(mbps=50)
    meter = make_meter(link)
    assert meter.refresh().num_bytes == 2 * (4096 + 16384 + 65536)
    assert meter.refresh().num_bytes == 4096 + 16384 + 65536
    assert meter.bandwidth_mbps == pytest.approx(50)


def test_a_probe_that_a_busy_machine_delays_is_repeated() -> None:
    link = Link(mbps=3)
    meter = make_meter(link)
    meter.refresh()
    link.delays_ms = [30.0]
    assert meter.refresh().num_bytes == 2 * 4096
    assert meter.bandwidth_mbps == pytest.approx(3)


def test_no_probe_is_longer_than_the_longest() -> None:
    link = Link(mbps=1e6)
    make_meter(link, longest_bytes=10_000).refresh()
    assert link.probes == [4096, 4096, 10_000, 10_000]


def test_an_estimate_gets_stale_with_age() -> None:
    link = Link(mbps=3)
    meter = make_meter(link, every_s=2.0)
    meter.refresh()
    link.now_s += 1.9
    assert not meter.is_stale
    link.now_s += 0.2
    assert meter.is_stale
    meter.refresh()
    assert link.num_pings == 4


def test_a_link_too_quick_to_tell_is_not_probed_again_at_once() -> None:
    link = Link(mbps=1e6)
    meter = make_meter(link)
    for _ in range(3):
        link.now_s += 5
        meter.refresh()
        assert not meter.is_stale


def test_a_small_packet_that_is_late_makes_the_estimate_stale_without_changing_it() -> None:
    link = Link(mbps=50)
    meter = make_meter(link)
    meter.refresh()
    link.mbps = 3
    meter.observe(3136, link.call_ms(3136))
    assert meter.bandwidth_mbps == pytest.approx(50)
    assert meter.is_stale
    meter.refresh()
    meter.refresh()
    assert meter.bandwidth_mbps == pytest.approx(3)


def test_a_small_packet_within_the_noise_changes_nothing() -> None:
    link = Link(mbps=50)
    meter = make_meter(link)
    meter.refresh()
    meter.observe(3136, link.call_ms(3136) + 4)
    assert meter.bandwidth_mbps == pytest.approx(50)
    assert not meter.is_stale


@pytest.mark.parametrize("num_bytes", [5000, 200_000])
def test_a_packet_that_tells_keeps_the_estimate_fresh(num_bytes: int) -> None:
    link = Link(mbps=3)
    meter = make_meter(link)
    meter.refresh()
    link.mbps = 6
    link.now_s += 0.9
    for _ in range(2):
        meter.observe(num_bytes, link.call_ms(num_bytes))
    link.now_s += 0.9
    assert not meter.is_stale
    assert 4 < meter.bandwidth_mbps <= 6


def test_a_link_after_an_outage_is_another_one() -> None:
    link = Link(mbps=3)
    meter = make_meter(link)
    meter.refresh()
    meter.forget()
    assert meter.is_stale
    assert meter.round_trip_ms == 0
    link.round_trip_ms = 50
    meter.refresh()
    assert meter.round_trip_ms == 50


def test_a_link_that_is_away_is_a_link_error() -> None:
    link = Link(mbps=3)
    link.is_up = False
    meter = make_meter(link)
    with pytest.raises(LinkError, match="away"):
        meter.refresh()
    assert meter.is_stale


def test_a_policy_says_which_value_is_wrong() -> None:
    with pytest.raises(ValueError, match="every_s must be above 0, found 0"):
        ProbePolicy(every_s=0)
    with pytest.raises(ValueError, match="first_bytes must be at most longest_bytes=100, found 4096"):
        ProbePolicy(longest_bytes=100)
