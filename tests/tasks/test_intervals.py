"""Means and their intervals, against numbers worked by hand and an independent bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from approxbit.tasks import Bootstrap, Interval

GROUPS = ("a", "a", "b", "c")
TYPES = ("what", "who", "what", "")


def test_means_are_of_all_of_each_type_and_of_the_types() -> None:
    found = Bootstrap(GROUPS, TYPES).summarise({"hit": [100, 0, 0, 100]})["hit"]
    assert (found.overall.value, found.overall.count) == (50, 4)
    assert {name: (each.value, each.count) for name, each in found.by_type.items()} == {
        "what": (50, 2),
        "who": (0, 1),
    }
    assert found.macro is not None
    assert (found.macro.value, found.macro.count) == (25, 3)


def test_what_a_figure_says_nothing_of_is_left_out() -> None:
    nan = float("nan")
    found = Bootstrap(GROUPS, TYPES).summarise({"score": [4, nan, 2, nan], "nothing": [nan] * 4})
    assert list(found) == ["score"]
    assert (found["score"].overall.value, found["score"].overall.count) == (3, 2)
    assert list(found["score"].by_type) == ["what"]


def test_groups_are_drawn_as_a_whole() -> None:
    # One clip of two right answers and one of two wrong ones: a draw has 0, 50 or 100 %, never 25 or 75.
    values = [100, 100, 0, 0]
    by_clip = Bootstrap(("a", "a", "b", "b")).summarise({"hit": values})["hit"].overall
    assert by_clip == Interval(50, 0, 100, 4)
    one_by_one = Bootstrap(("a", "b", "c", "d"), num_resamples=4000).summarise({"hit": values})["hit"].overall
    # Of a mean of four draws of a fair coin, 0 and 100 % have shares of 1/16, above 2.5 %.
    assert one_by_one == Interval(50, 0, 100, 4)
    one_group = Bootstrap(("a",) * 4).summarise({"hit": values})["hit"].overall
    assert one_group == Interval(50, None, None, 4)


def test_the_interval_is_that_of_the_normal_law_where_there_are_many_clips() -> None:
    random = np.random.default_rng(3)
    values = random.normal(7, 2, 4000)
    found = Bootstrap([str(each) for each in range(4000)]).summarise({"x": values})["x"].overall
    half = 1.96 * values.std() / np.sqrt(4000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_ratios_of_unequal_clips_agree_with_a_plain_bootstrap() -> None:
    random = np.random.default_rng(5)
    groups = random.integers(0, 40, 300)
    values, types = random.uniform(0, 100, 300), random.choice(["p", "q"], 300)
    bootstrap = Bootstrap([str(each) for each in groups], list(types), num_resamples=2000)
    found = bootstrap.summarise({"x": values})["x"]
    means = []
    for _ in range(2000):
        drawn = random.choice(np.unique(groups), bootstrap.num_groups)
        index = np.concatenate([np.flatnonzero(groups == each) for each in drawn])
        means.append(np.mean([values[index][types[index] == kind].mean() for kind in ("p", "q")]))
    assert found.macro is not None
    width = np.ptp(np.percentile(means, (2.5, 97.5)))
    assert [found.macro.low, found.macro.high] == pytest.approx(
        list(np.percentile(means, (2.5, 97.5))), abs=0.1 * width
    )


def test_two_arms_see_the_same_draws() -> None:
    values = np.array([10.0, 20, 30, 60])
    one, other = (Bootstrap(GROUPS).summarise({"x": each})["x"].overall for each in (values, values + 5))
    assert (other.low, other.high) == pytest.approx((one.low + 5, one.high + 5))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="for each of one or more values, found 0 groups"):
        Bootstrap([])
    with pytest.raises(ValueError, match="found 4 groups and 1 types"):
        Bootstrap(GROUPS, ("what",))
    with pytest.raises(ValueError, match="hit: expected 4 numbers, found 2"):
        Bootstrap(GROUPS).summarise({"hit": [1, 0]})
    with pytest.raises(ValueError, match="hit: expected finite numbers, found an infinite one"):
        Bootstrap(GROUPS).summarise({"hit": [1, 0, 0, float("inf")]})
