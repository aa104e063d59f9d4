"""A link is down until a ping comes back."""

from __future__ import annotations

import threading
import time

from approxbit.edge import LinkWatch
from approxbit.errors import LinkError


class Server:
    """Answers pings from the `num_lost`-th on, and remembers when they came."""

    def __init__(self, num_lost: int = 0):
        self.num_lost = num_lost
        self.times: list[float] = []

    def ping(self) -> None:
        self.times.append(time.monotonic())
        if len(self.times) <= self.num_lost:
            raise LinkError("away")


def test_a_link_is_up_at_first() -> None:
    watch = LinkWatch(Server().ping)
    assert watch.is_up
    watch.close()


def test_a_link_is_up_again_when_a_ping_comes_back() -> None:
    server = Server(num_lost=3)
    watch = LinkWatch(server.ping, first_wait_s=0.01, longest_wait_s=0.02)
    watch.mark_down("unplugged")
    assert not watch.is_up
    assert watch.reason == "unplugged"
    assert watch.wait_until_up(60)
    assert len(server.times) == 4
    watch.close()


def test_the_waits_double_up_to_the_longest() -> None:
    server = Server(num_lost=4)
    watch = LinkWatch(server.ping, first_wait_s=0.02, longest_wait_s=0.08)
    watch.mark_down("unplugged")
    assert watch.wait_until_up(60)
    waits = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
    assert all(wait >= least for wait, least in zip(waits, [0.04, 0.08, 0.08, 0.08], strict=False))
    watch.close()


def test_a_second_failure_changes_nothing() -> None:
    is_asked = threading.Event()
    watch = LinkWatch(is_asked.set, first_wait_s=0.2)
    watch.mark_down("first")
    watch.mark_down("second")
    assert watch.reason == "first"
    assert is_asked.wait(60)
    watch.close()


def test_a_closed_watch_asks_no_more() -> None:
    server = Server(num_lost=1000)
    watch = LinkWatch(server.ping, first_wait_s=0.01, longest_wait_s=0.01)
    watch.mark_down("unplugged")
    watch.close()
    num_pings = len(server.times)
    time.sleep(0.05)
    assert len(server.times) == num_pings
    assert not watch.wait_until_up(0)


def test_a_closed_watch_starts_nothing() -> None:
    server = Server()
    watch = LinkWatch(server.ping, first_wait_s=0.0)
    watch.close()
    watch.mark_down("too late")
    assert watch.is_up
    assert server.times == []
