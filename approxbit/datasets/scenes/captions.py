"""A script in a few sentences: who is there, and what the most interesting digits do, in order of time."""

from __future__ import annotations

from approxbit.datasets.scenes.script import (
    ACTIONS,
    BACKGROUNDS,
    BOUNCES,
    COLOURS,
    DIGITS,
    HIDES,
    STANDS,
    Actor,
    Script,
)

NUM_WORDS = (15, 30)
"""Fewest and most words of a caption."""
_OWN = (
    "a",
    "an",
    "the",
    "and",
    "then",
    "on",
    "background",
    "behind",
    "stand",
    "once",
    "twice",
    "three",
    "times",
)
WORDS = frozenset(_OWN).union(DIGITS, COLOURS, BACKGROUNDS, *(action.split() for action in ACTIONS))
"""Every word of captions, in small letters."""
_INTEREST = (HIDES, BOUNCES, "disappears", "appears", "moves away and back")
"""Actions that are told before others, where not all can be told; standing still comes last."""
_TIMES = ("", "once", "twice", "three times")
_TOGETHER = 0.1
"""Actions that begin within this time of one another begin together."""


def describe(script: Script) -> str:
    """A caption in plain English, of 15 to 30 words of `WORDS`.

    Example:
        >>> from approxbit.datasets.scenes.staging import draw_script
        >>> describe(draw_script("train", 8))
        'A white zero and a yellow three on a dotted background. The zero grows. The three stands still.'
    """
    who = _list([f"{_article(actor.colour)} {actor.colour} {actor.name}" for actor in script.actors])
    place = f"on a {script.background} background"
    told: list[Actor] = []
    for actor in sorted(script.actors, key=_interest):
        if actor.action != STANDS and _fits(who, _story(script, [*told, actor])):
            told.append(actor)
    story = _story(script, told)
    if _fits(who, place, story):
        who = f"{who} {place}"
    still = [f"the {actor.name}" for actor in script.actors if actor.action == STANDS]
    rest = f"{_list(still)} {STANDS if len(still) == 1 else 'stand still'}" if still else ""
    sentences = [who, story, rest] if _fits(who, story, rest) else [who, story]
    return " ".join(f"{each[0].upper()}{each[1:]}." for each in sentences if each)


def clause(script: Script, actor: Actor) -> str:
    """What one digit does, such as `hides behind the five`."""
    if actor.action == HIDES:
        return f"{HIDES} behind the {script.actors[actor.behind].name}"
    if actor.action == BOUNCES:
        return f"{BOUNCES} {_TIMES[actor.bounces]}"
    return actor.action


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _interest(actor: Actor) -> int:
    return _INTEREST.index(actor.action) if actor.action in _INTEREST else len(_INTEREST)


def _list(words: list[str]) -> str:
    """Such as `a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _story(script: Script, actors: list[Actor]) -> str:
    """What some digits do, in the order in which they begin."""
    ordered = sorted(actors, key=lambda actor: actor.start)
    clauses = [f"the {actor.name} {clause(script, actor)}" for actor in ordered]
    story = "".join(clauses[:1])
    for before, actor, told in zip(ordered, ordered[1:], clauses[1:], strict=False):
        story += f", {'and' if actor.start - before.start < _TOGETHER else 'then'} {told}"
    return story


def _fits(*parts: str) -> bool:
    return sum(len(part.split()) for part in parts) <= NUM_WORDS[1]
