import itertools
import math

import numpy as np
import pytest

from approxbit.link import Trace


def test_load_gives_back_the_very_trace_that_was_saved(tmp_path):
    path = tmp_path / "trace.txt"
    for trace in (
        Trace((0, 1 / 3, 1e6), (50, 0, 1e-7)),
        Trace((0.474, 2), (3.1, 5), loops=True),
        Trace.constant(3),
        Trace.figure9(),
    ):
        trace.save(path)
        assert Trace.load(path) == trace


def test_the_file_has_one_step_per_line(tmp_path):
    Trace((0, 50), (50, 3), loops=True).save(tmp_path / "trace.txt")
    text = "# seconds megabits_per_second\n# loops\n0.0 50.0\n50.0 3.0\n"
    assert (tmp_path / "trace.txt").read_text() == text


def test_load_takes_tabs_comments_and_empty_lines(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("# a bus in Norway\n\n0.5\t4.25  # start\n \n1e1 \t 0\r\n")
    assert Trace.load(path) == Trace((0.5, 10), (4.25, 0))
    assert Trace.load(path, loops=True) == Trace((0.5, 10), (4.25, 0), loops=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n1\n", "trace.txt, line 2: expected 'seconds megabits_per_second', found '1'"),
        ("0 1 2\n", "trace.txt, line 1: expected 'seconds megabits_per_second', found '0 1 2'"),
        ("# x\n\nzero one\n", "trace.txt, line 3: expected 'seconds megabits_per_second', found 'zero one'"),
        ("0 1\n\n0 2\n", r"trace.txt, line 3: expected a second later than 0\.0, found 0\.0"),
        ("-1 1\n", r"trace.txt, line 1: expected a second of 0 or more, found -1\.0"),
        ("nan 1\n", "trace.txt, line 1: expected a second of 0 or more, found nan"),
        ("0 -1\n", r"trace.txt, line 1: expected a bandwidth of 0 Mbps or more, found -1\.0"),
        ("0 inf\n", "trace.txt, line 1: expected a bandwidth of 0 Mbps or more, found inf"),
        ("# nothing\n", "trace.txt: expected as many seconds as bandwidths, at least one, found 0 and 0"),
        ("# loops\n0 0\n", "trace.txt: expected a bandwidth above 0 somewhere in a trace that loops"),
        ("\x00\xff", "trace.txt, line 1: expected 'seconds megabits_per_second', found"),
    ],
)
def test_a_line_that_is_no_step_is_named(tmp_path, text, message):
    path = tmp_path / "trace.txt"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        Trace.load(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        Trace.load(tmp_path / "none.txt")


def test_steps_that_do_not_fit_together_are_refused():
    with pytest.raises(
        ValueError, match="expected as many seconds as bandwidths, at least one, found 2 and 1"
    ):
        Trace((0, 1), (3,))
    with pytest.raises(ValueError, match=r"step 1: expected a second later than 1\.0, found 1\.0"):
        Trace((1, 1), (3, 3))


def test_a_bandwidth_holds_until_the_next_step_and_the_last_one_for_good():
    trace = Trace((0.5, 10, 20), (50, 3, 6))
    assert [trace.bandwidth_at(second) for second in (0, 0.5, 9.99, 10, 19.99, 20, 1e9)] == [
        50,
        50,
        50,
        3,
        3,
        6,
        6,
    ]
    assert list(trace.steps()) == [(0, 50), (10, 3), (20, 6)]
    assert trace.duration_s == 30
    assert trace.mean_mbps == pytest.approx((50 * 10 + 3 * 10 + 6 * 10) / 30)


def test_a_trace_that_loops_starts_over_after_a_last_step_as_long_as_the_one_before():
    trace = Trace((0, 10), (50, 3), loops=True)
    assert [trace.bandwidth_at(second) for second in (0, 10, 19.99, 20, 29.99, 30, 200)] == [
        50,
        3,
        3,
        50,
        50,
        3,
        50,
    ]
    assert list(itertools.islice(trace.steps(), 5)) == [(0, 50), (10, 3), (20, 50), (30, 3), (40, 50)]


def test_a_constant_link_has_one_step_without_end():
    for trace in (Trace.constant(3), Trace((0,), (3,), loops=True)):
        assert trace.bandwidth_at(1e9) == trace.mean_mbps == 3
        assert list(trace.steps()) == [(0, 3)]
        assert trace.duration_s == math.inf


def test_scaling_stretches_time_alone():
    trace = Trace((0, 10), (50, 3), loops=True).scaled(0.1)
    assert trace == Trace((0, 1), (50, 3), loops=True)
    with pytest.raises(ValueError, match="time_factor: expected a finite number above 0, found 0"):
        trace.scaled(0)


def test_figure_9_goes_from_50_to_3_to_6_mbps_twice():
    trace = Trace.figure9()
    assert trace.duration_s == 300
    assert len(trace.seconds) == 300
    for start, mean in zip(range(0, 300, 50), (50, 3, 6, 50, 3, 6), strict=True):
        segment = [trace.bandwidth_at(start + second) for second in range(50)]
        assert sum(segment) / 50 == pytest.approx(mean, rel=0.03)
        assert all(0.9 * mean <= mbps <= 1.1 * mean for mbps in segment)
        assert len(set(segment)) == 50
    assert trace.bandwidth_mbps[0] == pytest.approx(53.44421851525048)  # the same on every Python
    assert Trace.figure9(seed=1) != trace == Trace.figure9(seed=0)
    assert Trace.figure9(segment_s=5).bandwidth_mbps == trace.bandwidth_mbps
    assert Trace.figure9(segment_s=5).seconds == pytest.approx(trace.scaled(0.1).seconds)
    assert Trace.figure9(fluctuation=0, repeats=1).mean_mbps == pytest.approx(59 / 3)


def test_a_figure_9_that_cannot_be_is_refused():
    for arguments in ({"segment_s": 0}, {"fluctuation": 1.1}, {"repeats": 0}):
        with pytest.raises(
            ValueError, match="expected segment_s > 0, fluctuation in 0 to 1 and repeats >= 1, found"
        ):
            Trace.figure9(**arguments)


def test_numbers_of_numpy_make_the_trace_that_those_of_python_make():
    whole = np.int64
    assert Trace.figure9(np.float32(50), np.float64(0.5), whole(3), whole(1)) == Trace.figure9(50, 0.5, 3, 1)
    assert Trace.constant(np.float32(3)).scaled(whole(2)) == Trace.constant(3).scaled(2)
