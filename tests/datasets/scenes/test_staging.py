"""Scripts: the same for the same arguments, of other images in each split, and as questions need them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from approxbit.datasets.scenes.script import ACTIONS, BACKGROUNDS, COLOURS, HIDES, STANDS, Script
from approxbit.datasets.scenes.staging import SHARES, SHEETS, SPLITS, draw_script
from approxbit.files import format_json, to_json

Scripts = dict[str, list[Script]]


def digest(script: Script) -> str:
    return hashlib.sha256(format_json(to_json(script)).encode()).hexdigest()


def test_a_script_is_the_same_in_whatever_order_it_is_drawn(scripts: Scripts) -> None:
    assert draw_script("validation", 17) == scripts["validation"][17]
    assert draw_script("train", 17) == scripts["train"][17]
    assert replace(draw_script("train", 17), split="validation") != draw_script("validation", 17)


def test_a_script_is_pinned(scripts: Scripts) -> None:
    assert digest(scripts["train"][1]) == "1036c70964d503ceb9239a4dabd32ef329503d89df9dd69c534cd7caa5e3c10b"
    assert (
        digest(draw_script("test_b", 5, num_frames=8))
        == "604e2b2f83a14ec4151c58e80b522b51ac7f3f30a8e6311aae6e4c27a7a48837"
    )


def test_splits_begin_where_a_sheet_begins_with_three_runs_of_all_digits() -> None:
    assert SHEETS == {
        "train": (0, 1157),
        "validation": (1157, 1415),
        "test": (1415, 1667),
        "test_b": (1667, 1797),
    }
    values = load_digits().target
    for first, _ in SHEETS.values():
        assert values[first : first + 30].tolist() == [*range(10)] * 3
        assert values[first - 1 : first + 9].tolist() != [*range(10)]
    assert len(values) == SHEETS["test_b"][1]


def test_splits_use_images_of_their_own_that_show_what_the_script_says(scripts: Scripts) -> None:
    values = load_digits().target
    drawn = {**scripts, "test": [draw_script("test", i) for i in range(15)]}
    drawn["test_b"] = [draw_script("test_b", i) for i in range(15)]
    for split in SPLITS:
        first, last = SHEETS[split]
        for actor in (actor for script in drawn[split] for actor in script.actors):
            assert first <= actor.image < last
            assert values[actor.image] == actor.value
    seen = {actor.image for script in drawn["train"] for actor in script.actors}
    assert len(seen) > 1100


def test_two_to_five_digits_come_in_turns_and_differ_in_value_and_colour(scripts: Scripts) -> None:
    for script in scripts["train"]:
        assert len(script.actors) == 2 + script.index % 4
        assert len({actor.value for actor in script.actors}) == len(script.actors)
        assert len({actor.colour for actor in script.actors}) == len(script.actors)
    assert len(draw_script("train", 0, num_actors=5).actors) == 5


def test_every_action_colour_and_background_is_as_frequent_as_it_should_be(scripts: Scripts) -> None:
    actors = [actor for script in scripts["train"] for actor in script.actors]
    shares = {action: np.mean([actor.action == action for actor in actors]) for action in ACTIONS}
    assert shares[STANDS] > SHARES[STANDS]  # covers stand too
    assert all(0.03 < share < 0.14 for action, share in shares.items() if action != STANDS)
    colours = [np.mean([actor.colour == colour for actor in actors]) for colour in COLOURS]
    assert colours == pytest.approx([1 / 8] * 8, abs=0.02)
    scenes = [np.mean([script.background == each for script in scripts["train"]]) for each in BACKGROUNDS]
    assert scenes == pytest.approx([1 / 5] * 5, abs=0.05)


def test_a_digit_that_hides_is_the_rearmost_and_ends_behind_one_that_stands(scripts: Scripts) -> None:
    hiding = [
        (script, n) for script in scripts["train"] for n, a in enumerate(script.actors) if a.action == HIDES
    ]
    assert len(hiding) > 200
    for script, number in hiding:
        found = script.actors[number]
        cover = script.actors[found.behind]
        assert number == 0
        assert found.behind > 0
        assert cover.action == STANDS
        assert (found.x[-1], found.y[-1]) == pytest.approx((cover.x[0], cover.y[0]), abs=1e-3)
        assert script.is_seen(0, 0)
        assert not script.is_seen(0, script.num_frames - 1)


def test_actions_move_as_their_names_say(scripts: Scripts) -> None:
    for actor in (actor for script in scripts["train"] for actor in script.actors):
        x, y, scale, angle = (
            values[-1] - values[0] for values in (actor.x, actor.y, actor.scale, actor.angle)
        )
        says = {
            "stands still": (x, y, scale, angle) == (0, 0, 0, 0),
            "moves left": x < -0.29,
            "moves right": x > 0.29,
            "moves up": y < -0.29,
            "moves down": y > 0.29,
            "grows": scale > 0.09,
            "shrinks": scale < -0.09,
            "turns clockwise": angle > 1.2,
            "turns counterclockwise": angle < -1.2,
            "appears": (actor.opacity[0], actor.opacity[-1]) == (0, 1),
            "disappears": (actor.opacity[0], actor.opacity[-1]) == (1, 0),
            "moves away and back": np.ptp(actor.x) + np.ptp(actor.y) > 0.25 and np.hypot(x, y) < 1e-3,
            "bounces": actor.bounces in (1, 2, 3),
            "hides": actor.behind > 0,
        }
        assert says[actor.action], actor
        assert 0 <= actor.start < actor.end <= 1


def test_a_bouncing_digit_turns_round_as_often_as_it_says() -> None:
    checked = 0
    for index in range(18):
        script = draw_script("train", index, num_frames=200)
        for actor in script.actors:
            if actor.action == "bounces":
                step = max(np.diff(actor.x), np.diff(actor.y), key=lambda steps: float(np.abs(steps).sum()))
                signs = np.sign(step[np.abs(step) > 2e-3])
                assert (np.diff(signs) != 0).sum() == actor.bounces
                checked += 1
    assert checked > 2


@pytest.mark.parametrize(
    ("split", "index", "num_frames", "message"),
    [
        ("dev", 0, 16, "expected a split of train, validation, test, test_b, found 'dev'"),
        ("train", -1, 16, "expected an index from 0 and 2 frames or more, found -1 and 16"),
        ("train", 0, 1, "expected an index from 0 and 2 frames or more, found 0 and 1"),
    ],
)
def test_what_is_no_scene_is_refused(split: str, index: int, num_frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_script(split, index, num_frames)
