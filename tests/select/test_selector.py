import itertools
import math
import random

import numpy as np
import pytest

from approxbit.select import LUT, AccuracySLA, LatencySLA, LUTRow, latency_ms, pareto, select

# Table 1 of the paper, MViTv2-B on SSv2: ms at 3, 6 and 50 Mbps, percent top-1, and the K * positions / 8
# bytes of a feature of 384 x 16 x 14 x 14.
TABLE1 = {
    "64-Enc-B8": (306.9, 302.7, 299.0, 67.9, 3136),
    "64-NoEnc-B8": (364.5, 331.1, 301.6, 69.3, 25088),
    "128-Enc-B8": (315.3, 307.0, 299.6, 68.1, 6272),
    "128-NoEnc-B8": (431.5, 364.6, 305.8, 69.5, 50176),
    "64-Enc-B16": (392.8, 388.6, 385.0, 69.2, 3136),
    "64-NoEnc-B16": (450.5, 417.0, 387.6, 69.9, 25088),
    "128-Enc-B16": (401.2, 392.8, 385.5, 69.4, 6272),
    "128-NoEnc-B16": (517.4, 450.5, 391.7, 70.2, 50176),
}


def make_row(arm, fixed_ms, payload_bytes, accuracy):
    """A row whose fixed milliseconds are spread over the four parts."""
    parts = (fixed_ms * 0.5, fixed_ms * 0.1, fixed_ms * 0.1, fixed_ms * 0.3)
    return LUTRow(arm, parts[0], parts[1], payload_bytes, parts[2], parts[3], accuracy)


def make_lut(*rows):
    return LUT(rows, device="paper", backend="paper", date="2026-05-11", num_clips=1)


def paper_lut():
    """Fixed milliseconds from the column of 50 Mbps alone, so that the other two columns are predictions."""
    rows = [
        make_row(arm, at_50 - 8 * payload / 50_000, payload, accuracy)
        for arm, (_, _, at_50, accuracy, payload) in TABLE1.items()
    ]
    rows.append(LUTRow("edge-only", 466.9, 0, 0, 0, 0, 70.8))
    rows.append(make_row("server-only", 478.7 - 6860 * 3 / 50, 6860 * 3 * 125, 70.8))
    return make_lut(*rows)


@pytest.mark.parametrize("arm", TABLE1)
def test_equation_1_gives_table_1_of_the_paper(arm):
    row = paper_lut().row(arm)
    for bandwidth_mbps, printed_ms in zip((3, 6, 50), TABLE1[arm][:3], strict=True):
        assert latency_ms(row, bandwidth_mbps) == pytest.approx(printed_ms, abs=0.2)


@pytest.mark.parametrize(
    ("bandwidth_mbps", "sla", "arm"),
    [
        (3, LatencySLA(310), "64-Enc-B8"),
        (3, LatencySLA(320), "128-Enc-B8"),
        (3, LatencySLA(400), "64-NoEnc-B8"),
        (3, LatencySLA(432), "128-NoEnc-B8"),
        (3, LatencySLA(460), "64-NoEnc-B16"),
        (3, LatencySLA(500), "edge-only"),
        (6, LatencySLA(320), "128-Enc-B8"),
        (6, LatencySLA(365), "128-NoEnc-B8"),
        (50, LatencySLA(300), "128-Enc-B8"),
        (50, LatencySLA(310), "128-NoEnc-B8"),
        (50, LatencySLA(400), "128-NoEnc-B16"),
        (3, AccuracySLA(67.5), "64-Enc-B8"),
        (3, AccuracySLA(69), "64-NoEnc-B8"),
        (3, AccuracySLA(69.4), "128-Enc-B16"),
        (50, AccuracySLA(69.4), "128-NoEnc-B8"),
        (3, AccuracySLA(70), "edge-only"),
        (50, AccuracySLA(70), "128-NoEnc-B16"),
    ],
)
def test_equation_2_chooses_from_the_papers_table(bandwidth_mbps, sla, arm):
    choice = select(paper_lut(), bandwidth_mbps, sla)
    assert (choice.arm, choice.meets_sla) == (arm, True)
    assert choice.latency_ms == latency_ms(choice.row, bandwidth_mbps)


def test_the_choice_is_the_one_that_an_exhaustive_search_finds():
    generator = random.Random(7)
    for _ in range(300):
        arms = [
            make_row(
                f"arm{index}",
                generator.choice((10, 20, 30)),
                generator.choice((0, 500, 4000)),
                10 * a,
            )
            for index, a in enumerate(generator.choices(range(10), k=5))
        ]
        table = make_lut(*arms)
        bandwidth_mbps = generator.choice((0.5, 3, 50))
        times = [latency_ms(row, bandwidth_mbps) for row in arms]
        within = [row.accuracy for row, time in zip(arms, times, strict=True) if time <= 25]
        choice = select(table, bandwidth_mbps, LatencySLA(25))
        assert choice.meets_sla == bool(within)
        assert choice.row.accuracy == max(within) if within else choice.latency_ms == min(times)
        above = [time for row, time in zip(arms, times, strict=True) if row.accuracy >= 50]
        choice = select(table, bandwidth_mbps, AccuracySLA(50))
        assert choice.meets_sla == bool(above)
        assert (
            choice.latency_ms == min(above) if above else choice.row.accuracy == max(r.accuracy for r in arms)
        )


def test_an_sla_that_cannot_be_kept_gives_the_closest_arm_and_says_so():
    choice = select(paper_lut(), 3, LatencySLA(100))
    assert (choice.arm, choice.meets_sla) == ("64-Enc-B8", False)
    choice = select(paper_lut(), 3, AccuracySLA(71))
    assert (choice.arm, choice.meets_sla) == ("edge-only", False)
    choice = select(paper_lut(), 500, AccuracySLA(71))
    assert (choice.arm, choice.meets_sla) == ("server-only", False)


def test_equal_arms_are_decided_by_the_other_figure_then_bytes_then_name():
    slow, quick = make_row("a", 20, 500, 90), make_row("b", 10, 500, 90)
    heavy, light = make_row("c", 10, 900, 80), make_row("d", 10, 500, 80)
    same = make_row("e", 10, 500, 80)
    for rows in itertools.permutations((slow, quick, heavy, light, same)):
        table = make_lut(*rows)
        assert select(table, math.inf, LatencySLA(30)).arm == "b"
        assert select(table, math.inf, AccuracySLA(70)).arm == "b"
        assert select(table, math.inf, AccuracySLA(95)).arm == "b"
        assert select(table, math.inf, LatencySLA(5)).arm == "b"
    for rows in itertools.permutations((heavy, light, same)):
        assert select(make_lut(*rows), math.inf, LatencySLA(30)).arm == "d"
        assert select(make_lut(*rows), math.inf, AccuracySLA(70)).arm == "d"


def test_with_the_link_down_only_the_device_itself_is_left():
    for bandwidth_mbps in (0, 1e-320):
        choice = select(paper_lut(), bandwidth_mbps, LatencySLA(500))
        assert (choice.arm, choice.latency_ms, choice.meets_sla) == ("edge-only", 466.9, True)
        assert select(paper_lut(), bandwidth_mbps, AccuracySLA(69)).arm == "edge-only"
        assert not select(paper_lut(), bandwidth_mbps, LatencySLA(300)).meets_sla


def test_with_the_link_down_and_no_edge_only_arm_the_lightest_is_the_closest():
    table = make_lut(*[row for row in paper_lut().rows if row.crosses_link])
    for sla in (LatencySLA(1e9), AccuracySLA(0)):
        choice = select(table, 0, sla)
        assert (choice.arm, choice.latency_ms, choice.meets_sla) == ("64-Enc-B16", math.inf, False)


def test_an_infinite_bandwidth_costs_nothing():
    assert select(paper_lut(), math.inf, LatencySLA(70)).arm == "server-only"
    assert latency_ms(make_row("server-only", 10, 1e9, 70), math.inf) == pytest.approx(10)


def test_the_round_trip_counts_for_every_arm_that_crosses_the_link():
    table = paper_lut()
    assert latency_ms(table.row("64-Enc-B8"), 3, round_trip_ms=50) == pytest.approx(356.9, abs=0.2)
    assert latency_ms(table.row("edge-only"), 3, round_trip_ms=50) == 466.9
    assert select(table, 3, AccuracySLA(69.9), round_trip_ms=50).arm == "edge-only"


def test_the_pareto_front_is_what_nothing_beats():
    arms = [row.arm for row in pareto(paper_lut(), 50)]
    assert arms == [
        "64-Enc-B8",
        "128-Enc-B8",
        "64-NoEnc-B8",
        "128-NoEnc-B8",
        "64-NoEnc-B16",
        "128-NoEnc-B16",
        "edge-only",
    ]
    assert [row.arm for row in pareto(paper_lut(), 0)] == ["edge-only"]
    twins = make_lut(make_row("a", 10, 500, 80), make_row("b", 10, 500, 80), make_row("c", 10, 500, 70))
    assert [row.arm for row in pareto(twins, 3)] == ["a", "b"]


@pytest.mark.parametrize("value", [-1, math.nan])
def test_a_link_that_cannot_be_is_refused(value):
    row = paper_lut().rows[0]
    with pytest.raises(ValueError, match="bandwidth_mbps: expected 0 or more, found"):
        latency_ms(row, value)
    with pytest.raises(ValueError, match="round_trip_ms: expected 0 or more, found"):
        latency_ms(row, 3, value)
    with pytest.raises(ValueError, match="bandwidth_mbps: expected 0 or more, found"):
        select(paper_lut(), value, LatencySLA(300))


@pytest.mark.parametrize("number", [np.float64, np.float32, np.int64, np.uint8])
def test_a_bandwidth_of_numpy_gives_the_latency_of_a_plain_one(number):
    row = LUTRow("64-Enc-B8", 200, 5, 3136, 4, 89.5, 67.9)
    assert latency_ms(row, number(3), number(7)) == latency_ms(row, 3, 7)
    lut = LUT((row,), "a laptop", "torch", "2026-11-21", num_clips=480)
    for sla in (LatencySLA(number(100)), AccuracySLA(number(60))):
        choice = select(lut, number(3), sla)
        assert (type(choice.latency_ms), type(choice.meets_sla)) == (float, bool)
