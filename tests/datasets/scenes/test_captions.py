"""Captions of scenes."""

from __future__ import annotations

from dataclasses import replace

from approxbit.datasets.scenes.captions import WORDS, describe
from approxbit.datasets.scenes.script import ACTIONS, Script


def test_a_caption_says_who_is_there_and_what_is_most_interesting_in_order_of_time(hand_made: Script) -> None:
    assert describe(hand_made) == (
        "A red seven, a blue three, a green one, a white nine and an orange four. "
        "The nine bounces twice, then the seven hides behind the three."
    )
    late = tuple(replace(actor, start=0.2 * n) for n, actor in enumerate(hand_made.actors))
    assert describe(replace(hand_made, actors=late[:3])) == (
        "A red seven, a blue three and a green one on a dotted background. "
        "The seven hides behind the three, then the one moves right. The three stands still."
    )


def test_digits_that_stand_still_are_told_where_there_is_room(hand_made: Script) -> None:
    still = tuple(replace(actor, action="stands still", behind=-1) for actor in hand_made.actors)
    one, two = (replace(hand_made, actors=still[:n]) for n in (1, 2))
    assert describe(two) == (
        "A red seven and a blue three on a dotted background. The seven and the three stand still."
    )
    assert describe(one) == "A red seven on a dotted background. The seven stands still."
    acting = (replace(still[0], action="grows", start=0.1), replace(still[1], action="shrinks", start=0.15))
    assert describe(replace(hand_made, actors=acting)) == (
        "A red seven and a blue three on a dotted background. The seven grows, and the three shrinks."
    )


def test_captions_have_15_to_30_words_of_a_closed_list(scripts: dict[str, list[Script]]) -> None:
    captions = [describe(script) for found in scripts.values() for script in found]
    words = [caption.lower().replace(",", "").replace(".", "").split() for caption in captions]
    assert {15 <= len(each) <= 30 for each in words} == {True}
    assert {word for each in words for word in each} == WORDS
    assert len(set(captions)) > 0.99 * len(captions)


def test_captions_tell_of_every_action(scripts: dict[str, list[Script]]) -> None:
    text = " ".join(describe(script) for script in scripts["validation"])
    assert {action for action in ACTIONS if action not in text} == set()
