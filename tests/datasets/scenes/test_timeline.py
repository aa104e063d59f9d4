"""Scenes one after another, and questions about what was seen before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from approxbit.datasets.scenes.questions import ANSWERS
from approxbit.datasets.scenes.rendering import render_scene
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.staging import draw_script
from approxbit.datasets.scenes.timeline import (
    MEMORY_FAMILIES,
    Timeline,
    draw_timeline,
    timeline_frames,
)


@pytest.fixture(scope="module")
def timelines() -> list[Timeline]:
    """Six videos of two minutes with all questions."""
    return [draw_timeline("train", index, 120, per_scene=100) for index in range(6)]


def test_scenes_follow_each_other_without_a_gap_and_add_up(timelines: list[Timeline]) -> None:
    for timeline in timelines:
        assert timeline.num_frames == 960
        ends = [0.0, *(scene.end_s for scene in timeline.scenes)]
        assert [scene.start_s for scene in timeline.scenes] == ends[:-1]
        assert ends[-1] == 120.0
        assert all(5 <= scene.end_s - scene.start_s <= 10 for scene in timeline.scenes)
        assert all(scene.end_s - scene.start_s >= 6 for scene in timeline.scenes[:-2])


@pytest.mark.parametrize("seconds", [5, 5.5, 10, 10.125, 11.9, 12, 13.7, 20])
def test_a_video_is_as_long_as_one_asks_for(seconds: float) -> None:
    timeline = draw_timeline("test", 1, seconds)
    assert timeline.num_frames == sum(scene.num_frames for scene in timeline.scenes) == round(8 * seconds)


def test_a_video_is_the_same_for_the_same_arguments_and_videos_share_no_scene(
    timelines: list[Timeline],
) -> None:
    assert draw_timeline("train", 2, 120, per_scene=100) == timelines[2]
    assert draw_timeline("train", 2, 120, per_scene=1).scenes == timelines[2].scenes
    scenes = [scene.index for timeline in timelines for scene in timeline.scenes]
    assert len(set(scenes)) == len(scenes)
    assert {scene.caption for scene in draw_timeline("test", 2, 40).scenes}.isdisjoint(
        scene.caption for scene in timelines[2].scenes
    )


def test_frames_are_those_of_the_scenes_in_their_order() -> None:
    timeline = draw_timeline("validation", 0, 13)
    frames = list(timeline_frames(timeline, size=16))
    first, second = timeline.scenes
    script = draw_script("validation", second.index, second.num_frames, len(second.digits))
    assert len(frames) == 104
    assert np.array_equal(np.stack(frames[first.num_frames :]), render_scene(script, 16).frames)


def test_events_lie_in_their_scenes_and_are_told_when_they_are_over(timelines: list[Timeline]) -> None:
    for timeline in timelines:
        assert [event.end_s for event in timeline.events] == sorted(event.end_s for event in timeline.events)
        for event in timeline.events:
            scene = timeline.scenes[event.scene]
            assert scene.start_s <= event.start_s < event.end_s <= scene.end_s
            assert any(event.sentence.startswith(f"the {digit} ") for digit in scene.digits)


def test_sentences_say_what_happened(timelines: list[Timeline]) -> None:
    timeline = timelines[0]
    scene = timeline.scenes[0]
    script = draw_script("train", scene.index, scene.num_frames, len(scene.digits))
    acting = sorted((a for a in script.actors if a.action != "stands still"), key=lambda actor: actor.end)
    told = [event for event in timeline.events if event.scene == 0]
    assert [event.sentence for event in told] == [
        "the green eight disappeared",
        "the purple four moved away and back",
        "the pink six hid behind the yellow five",
    ]
    for actor, event in zip(acting, told, strict=True):
        frame = actor.end * (scene.num_frames - 1)
        assert event.end_s == pytest.approx(scene.start_s + frame / 8, abs=1e-3)
    past = {event.sentence.split(" ", 3)[3] for timeline in timelines for event in timeline.events}
    assert {"moved left", "bounced twice", "grew", "appeared", "moved away and back"} <= past


def test_every_answer_is_an_answer_of_scenes_and_every_family_is_asked(timelines: list[Timeline]) -> None:
    questions = [question for timeline in timelines for question in timeline.questions]
    assert {question.answer for question in questions} <= set(ANSWERS)
    assert {question.family for question in questions} == set(MEMORY_FAMILIES)
    for timeline in timelines:
        asked = [question.asked_s for question in timeline.questions]
        assert asked == sorted(asked)
        assert set(asked) <= {scene.end_s for scene in timeline.scenes}


def test_answers_are_those_of_what_was_seen_before(timelines: list[Timeline]) -> None:
    """Read from the digits and backgrounds that the timeline lists, not from scripts."""
    for timeline in timelines:
        for question in timeline.questions:
            seen = [scene for scene in timeline.scenes if scene.end_s <= question.asked_s]
            pairs = [digit.split() for scene in seen for digit in scene.digits]
            names = [name for _, name in pairs]
            words = question.text.split()
            events = [event for event in timeline.events if event.end_s <= question.asked_s]
            expected = {
                "came_first": lambda words=words, names=names: min(words[5], words[-1], key=names.index),
                "count_digits": lambda names=names: spell(len(set(names))),
                "count_scenes": lambda seen=seen: spell(len(seen)),
                "count_bounced": lambda events=events: spell(sum("bounced" in e.sentence for e in events)),
                "been": lambda words=words, pairs=pairs: "yes" if words[4:6] in pairs else "no",
                "background_before": lambda words=words, seen=seen: (
                    (seen[0] if "first" in words else seen[-2]).background
                ),
                "first_colour": lambda words=words, pairs=pairs: next(c for c, n in pairs if n == words[-1]),
                "last_acting": lambda q=question, events=events: last_acting(q.text, events),
            }
            assert question.answer == expected[question.family](), question


def spell(number: int) -> str:
    few = "zero one two three four five six seven eight nine ten eleven twelve"
    more = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
    return f"{few} {more}".split()[number]


def last_acting(text: str, events: list[object]) -> str:
    """The digit of the one event, in the last scene that has such an event."""
    did = text.removeprefix("which digit was the last that ")
    such = [event for event in events if f" {did}" in event.sentence]  # type: ignore[attr-defined]
    last = [event for event in such if event.scene == such[-1].scene]  # type: ignore[attr-defined]
    assert len(last) == 1
    return str(last[0].sentence.split()[2])  # type: ignore[attr-defined]


def test_yes_is_as_frequent_as_no(hand_made: Script) -> None:
    rng = np.random.default_rng(0)
    answers = Counter(answer for _ in range(400) for _, answer in MEMORY_FAMILIES["been"]([hand_made], rng))
    assert 0.45 < answers["yes"] / 400 < 0.55


def test_memory_questions_of_two_scenes_made_by_hand(hand_made: Script) -> None:
    """The second scene has the seven again, in another colour, and alone."""
    again = replace(hand_made.actors[0], colour="pink", action="bounces", bounces=1, behind=-1)
    scripts = [hand_made, replace(hand_made, background="plain", actors=(replace(again, value=8), again))]
    rng = np.random.default_rng(0)

    def ask(family: str, times: int = 60) -> Iterator[tuple[str, str]]:
        for _ in range(times):
            yield from MEMORY_FAMILIES[family](scripts, rng)

    assert {text.split()[5] + text.split()[-1]: answer for text, answer in ask("came_first", 200)} == {
        **{f"{one}eight": one for one in ("seven", "three", "one", "nine", "four")},
        **{f"eight{one}": one for one in ("seven", "three", "one", "nine", "four")},
    }
    assert set(ask("count_digits")) == {("how many different digits have there been so far", "six")}
    assert set(ask("count_scenes")) == {("how many scenes have there been so far", "two")}
    assert set(ask("count_bounced")) == {("how many digits have bounced so far", "three")}
    assert set(ask("background_before")) == {
        ("what was the background like in the first scene", "dotted"),
        ("what was the background like in the scene before this one", "dotted"),
    }
    assert set(ask("first_colour")) == {
        ("what colour was the first three", "blue"),
        ("what colour was the first one", "green"),
        ("what colour was the first nine", "white"),
        ("what colour was the first four", "orange"),
    }
    assert set(ask("last_acting")) == {
        ("which digit was the last that hid", "seven"),
        ("which digit was the last that moved right", "one"),
        ("which digit was the last that appeared", "four"),
    }


def test_what_is_no_video_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected at least 5 seconds, found 4\.9"):
        draw_timeline("train", 0, 4.9)
    with pytest.raises(
        ValueError, match=r"expected a split of train, .* and an index from 0, found 'dev' and 0"
    ):
        draw_timeline("dev", 0, 10)
    with pytest.raises(ValueError, match="an index from 0, found 'test' and -1"):
        draw_timeline("test", -1, 10)
