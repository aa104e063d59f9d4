from __future__ import annotations

import pytest

from approxbit.video.cameras.timeline import DeviceClock, Timeline


def test_a_frame_that_was_kept_waiting_is_as_old_as_it_is() -> None:
    clock = DeviceClock()
    assert clock.translate(0.0, 100.5) == 100.5
    assert clock.translate(0.1, 100.2) == 100.2  # it came faster: the first one was kept 0.4 s
    assert clock.translate(0.2, 101.2) == pytest.approx(100.3, abs=1e-3)
    assert clock.translate(0.3, 101.2) == pytest.approx(100.4, abs=1e-3)


def test_a_clock_that_is_a_little_slow_does_not_make_frames_older() -> None:
    clock = DeviceClock()
    ages_s = [now_s - clock.translate(now_s * (1 - 1e-4), now_s) for now_s in range(100_000)]
    assert max(ages_s) < 1e-6


def test_a_clock_that_is_much_too_slow_shows_as_a_lag() -> None:
    clock = DeviceClock()
    ages_s = [now_s - clock.translate(now_s / 2, now_s) for now_s in range(11)]
    assert ages_s[-1] == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("times_s", "num_frames"),
    [
        ([0, 0.1, 0.2, 0.3], [1, 1, 1, 1]),
        ([0, 0.13, 0.18, 0.33, 0.38], [1, 1, 1, 1, 1]),  # it trembles
        ([0, 0.03, 0.06, 0.1, 0.13, 0.16, 0.2], [1, 0, 0, 1, 0, 0, 1]),
        ([0, 0.2, 0.4], [1, 2, 2]),
        ([0, 0.1, 0.1, 0.05, 0.2], [1, 1, 0, 0, 1]),  # the same time again, and a step back
    ],
)
def test_frames_are_sampled_at_the_rate_of_the_model(times_s: list[float], num_frames: list[int]) -> None:
    timeline = Timeline(frame_rate=10, max_gap_s=1)
    places = [timeline.place(time_s, 50 + time_s) for time_s in times_s]
    assert [place.num_frames for place in places] == num_frames
    assert not any(place.jumped for place in places)


@pytest.mark.parametrize("jump_s", [1.5, -0.5, 1e9, -1e9])
def test_after_a_jump_times_begin_anew(jump_s: float) -> None:
    timeline = Timeline(frame_rate=10, max_gap_s=1)
    for number in range(8):
        timeline.place(number / 10, 50 + number / 10)
    place = timeline.place(0.7 + jump_s, 51)
    assert place == (1, 51, True)
    assert timeline.place(0.7 + jump_s + 0.1, 51.1)[::2] == (1, False)
