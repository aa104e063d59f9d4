"""The verdict on codes, and that the picture is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from approxbit.report import Inspection, draw_inspection, judge
from approxbit.report.inspection import percent

NEAREST = {
    "num_clips": 100,
    "agreement": {"actions": 0.85},
    "chance": {"actions": 0.04},
    "distance_edges": [0.0, 8.0, 16.0],
    "same": [0.7, 0.3],
    "different": [0.2, 0.8],
    "examples": [],
}
IMPORTANCE = {
    "num_clips": 50,
    "divergence": [0.5, 0.2, 0.1],
    "changed": [0.3, 0.2, 0.05],
    "accuracy_drop": [0.2, 0.1, 0.0],
    "accuracy": 0.9,
}
FOUND = Inspection(
    name="digits-movinet/3-Enc-B5",
    source="100 test clips of Digits-in-Motion",
    codebook_size=3,
    grid_size=[2, 2, 2],
    num_tokens=0,
    num_clips=100,
    raw_bytes=3,
    ones=[0.5, 0.4, 0.6],
    entropy=[1.0, 1.0, 1.0],
    given_earlier=[0.5, 0.5, 0.5],
    given_neighbours=[0.9, 0.9, 0.9],
    given_others=[0.8, 0.8, 0.8],
    when_coded=[0.6, 0.5, 0.4],
    mutual_information=[[1.0, 0.2, 0.1], [0.2, 1.0, 0.0], [0.1, 0.0, 1.0]],
    position_entropy=[[[1.0, 0.5], [0.5, 0.2]], [[1.0, 1.0], [1.0, 1.0]]],
    position_change=[[[0.1, 0.2], [0.3, 0.4]]],
    margin_distances=[0.001, 0.01, 0.1],
    margin_shares=[[0.0, 0.0, 0.0], [0.001, 0.002, 0.003], [0.01, 0.02, 0.03]],
    margin_edges=[0.01, 0.1, 1.0],
    margin_histogram=[1, 9, 40, 50],
    token_ones=None,
    token_entropy=None,
    importance=IMPORTANCE,
    token_importance=None,
    nearest=NEAREST,
)
WITH_TOKEN = replace(
    FOUND,
    num_tokens=1,
    token_ones=[0.5, 0.5, 0.0],
    token_entropy=[1.0, 1.0, 0.0],
    token_importance={**IMPORTANCE, "changed": [0.1, 0.6, 0.0]},
)


def verdict(found: Inspection) -> str:
    return "\n".join(judge(found))


def test_the_bytes_are_those_of_all_positions() -> None:
    assert FOUND.coded_bytes == pytest.approx(8 * 1.5 / 8)
    assert WITH_TOKEN.coded_bytes == pytest.approx((8 * 1.5 + 2) / 8)
    assert FOUND.share_near(0.01) == pytest.approx(0.002)


def test_a_sound_codec_is_told_where_its_redundancy_lies() -> None:
    text = verdict(FOUND)
    assert "All 3 bits are in use, with 1.00 bits of entropy each." in text
    assert "entropy coding will save about 50 %" in text
    assert "50 % from the time step before, 10 % from the neighbours" in text
    assert "repeated in time" in text
    assert "leans most on bit 0 (without it 30 % of the answers change) and least on bit 2 (5.0 %)" in text
    assert "0.20 % of the logits" in text
    assert "same class (actions) for 85 % of the clips, by chance for 4.0 %" in text
    assert "dead" not in text
    assert "class token" not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ones": [0.0, 0.5, 1.0]}, "2 of 3 bits are dead (0, 2): they never change."),
        ({"ones": [0.5, 0.005, 0.5]}, "Bit 1 is nearly dead: the rarer value has less than 1.0 %."),
        ({"ones": [0.995, 0.005, 0.5]}, "Bits 0, 1 are nearly dead"),
        ({"num_clips": 3}, "Only 3 clip(s) were looked at"),
        ({"given_others": [0.1, 0.1, 0.1]}, "shared between the bits of a position"),
        ({"given_neighbours": [0.1, 0.1, 0.1]}, "repeated in space"),
        (
            {"mutual_information": [[1.0, 0.1, 0.9], [0.1, 1.0, 0.1], [0.9, 0.1, 1.0]]},
            "Bits 0 and 2 share 0.90 bits: one of them is nearly spare.",
        ),
        ({"margin_shares": [[0.0] * 3, [0.02] * 3, [0.1] * 3]}, "A larger binary weight widens the margin."),
        (
            {"importance": {**IMPORTANCE, "divergence": [0.5, 0.2, 0.001], "changed": [0.3, 0.2, 0.0]}},
            "Bit 2 is not used by the answer: K = 2 will cost little accuracy.",
        ),
        ({"when_coded": [1.0, 1.0, 1.0]}, "entropy coding will save about 0 %"),
    ],
)
def test_the_verdict_names_what_is_wrong(change: dict[str, object], sentence: str) -> None:
    assert sentence in verdict(replace(FOUND, **change))


def test_the_class_token_is_judged_apart() -> None:
    text = verdict(WITH_TOKEN)
    assert "Of the class token's 3 bits, 2 are in use (2.0 bits of entropy)" in text
    assert "60 % of the answers change" in text


def test_dead_bits_alone_have_a_verdict_too() -> None:
    zeros = [0.0] * 3
    dead = replace(FOUND, ones=zeros, entropy=zeros, given_earlier=zeros, when_coded=zeros)
    assert "3 of 3 bits are dead" in verdict(dead)
    assert "K = 1 says the same" in verdict(dead)


@pytest.mark.parametrize(
    "found",
    [
        FOUND,
        WITH_TOKEN,
        replace(FOUND, grid_size=[1, 2, 2], position_entropy=FOUND.position_entropy[:1], position_change=[]),
        replace(FOUND, nearest={**NEAREST, "agreement": {"answer": None}, "same": [0.0, 0.0]}),
    ],
    ids=["plain", "token", "one step", "one clip"],
)
def test_the_picture_is_a_png(found: Inspection, tmp_path: Path) -> None:
    draw_inspection(tmp_path / "codes.png", found)
    assert (tmp_path / "codes.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_shares_for_people() -> None:
    assert [percent(share) for share in (0.0, 0.004, 0.0996, 1.0)] == ["0 %", "0.4 %", "10 %", "100 %"]


def test_one_clip_gives_no_advice_on_bits() -> None:
    still = {**IMPORTANCE, "num_clips": 1, "divergence": [0.0] * 3, "changed": [0.0] * 3}
    text = verdict(replace(FOUND, num_clips=1, ones=[0.0, 1.0, 0.5], importance=still))
    assert (
        "2 of 3 bits never change in them (0, 1); whether they are dead takes 50 clips or more to say" in text
    )
    assert "held at its majority value: so few clips do not say which bits matter, 50 or more do." in text
    assert "K = " not in text
    assert "leans most" not in text
