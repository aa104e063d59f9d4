"""Questions about a script, with their answers, of many families.

A question names a digit by its value ("the seven"), by its colour ("the red digit") or by both ("the red
seven"). What is asked is drawn so that the words of a question tell little of its answer: yes is as frequent
as no, the digits and actions of false questions are drawn as those of true ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from approxbit.datasets.scenes.script import (
    ACTIONS,
    BACKGROUNDS,
    BOUNCES,
    COLOURS,
    DIGITS,
    HIDES,
    STANDS,
    TRAVELS,
    Script,
)

NUMBERS = (
    *DIGITS,
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
    *(f"{tens} {ones}".strip() for tens in ("twenty", "thirty") for ones in ("", *DIGITS[1:])),
)
"""Numbers in words, from zero to thirty nine."""
PLACES = tuple(
    f"{row} {column}".replace("middle middle", "centre")
    for row in ("top", "middle", "bottom")
    for column in ("left", "middle", "right")
)
WHEN = ("at the start", "in the middle of the video", "at the end")
_TIMES = (0.0, 0.5, 1.0)
_CLEAR = 0.07
"""Least distance, as a fraction of the picture, by which two digits differ in an answer."""


@dataclass(frozen=True)
class Question:
    """One question and its right answer.

    Attributes:
        text: In words, without a question mark.
        answer: In words.
        family: One of `FAMILIES`.
    """

    text: str
    answer: str
    family: str


Asked = Iterator[tuple[str, str]]


def draw_questions(script: Script, seed: int = 0, per_family: int = 2) -> list[Question]:
    """Questions of every family that has one for the script: always the same for the same arguments.

    Args:
        script: What they are about.
        seed: Other questions about the same script.
        per_family: At most so many of a family.
    """
    rng = np.random.default_rng([7, script.index, len(script.split), seed])
    found = []
    for family, ask in FAMILIES.items():
        drawn = list(dict.fromkeys(ask(script, rng)))
        for place in rng.permutation(len(drawn))[:per_family]:
            text, answer = drawn[place]
            found.append(Question(text, answer, family))
    return found


def name_of(script: Script, actor: int, rng: np.random.Generator) -> str:
    """A digit by its value, its colour or both."""
    found = script.actors[actor]
    return (f"the {found.name}", f"the {found.colour} digit", f"the {found.colour} {found.name}")[
        int(rng.integers(3))
    ]


def _other(words: tuple[str, ...], word: str, rng: np.random.Generator) -> str:
    """Any word but one."""
    return words[(words.index(word) + int(rng.integers(1, len(words)))) % len(words)]


def _one(colour: str) -> str:
    return f"{'an' if colour == 'orange' else 'a'} {colour}"


def _is(truth: bool) -> str:
    return "yes" if truth else "no"


def _action(script: Script, rng: np.random.Generator) -> Asked:
    for actor, found in enumerate(script.actors):
        yield f"what does {name_of(script, actor, rng)} do", found.action


def _who(script: Script, rng: np.random.Generator) -> Asked:
    actions = [found.action for found in script.actors]
    for found in script.actors:
        if actions.count(found.action) == 1:
            yield f"which digit {found.action}", found.name


def _who_colour(script: Script, rng: np.random.Generator) -> Asked:
    actions = [found.action for found in script.actors]
    for found in script.actors:
        if actions.count(found.action) == 1:
            yield f"what colour is the digit that {found.action}", found.colour


def _colour(script: Script, rng: np.random.Generator) -> Asked:
    for found in script.actors:
        yield f"what colour is the {found.name}", found.colour


def _digit(script: Script, rng: np.random.Generator) -> Asked:
    for found in script.actors:
        yield f"which digit is {found.colour}", found.name


def _exists(script: Script, rng: np.random.Generator) -> Asked:
    """Half of the wrong ones exchange what two digits have, so that knowing who is there is not enough."""
    for actor, found in enumerate(script.actors):
        yield f"is there {_one(found.colour)} {found.name}", "yes"
        other = script.actors[(actor + int(rng.integers(1, len(script.actors)))) % len(script.actors)]
        if rng.uniform() < 0.5:
            yield f"is there {_one(other.colour)} {found.name}", "no"
        elif rng.uniform() < 0.5:
            yield f"is there {_one(_other(COLOURS, found.colour, rng))} {found.name}", "no"
        else:
            yield f"is there {_one(found.colour)} {_other(DIGITS, found.name, rng)}", "no"


def _does(script: Script, rng: np.random.Generator) -> Asked:
    """Actions of false questions are those of another digit here, or of a digit of any scene."""
    for actor, found in enumerate(script.actors):
        name = name_of(script, actor, rng)
        if rng.uniform() < 0.5:
            yield f"is it true that {name} {found.action}", "yes"
            continue
        others = [each.action for each in script.actors if each.action != found.action]
        if not others:
            others = [action for action in ACTIONS if action != found.action]
        yield f"is it true that {name} {others[int(rng.integers(len(others)))]}", "no"


def _count(script: Script, rng: np.random.Generator) -> Asked:
    yield "how many digits are there", NUMBERS[len(script.actors)]


def _count_acting(script: Script, rng: np.random.Generator) -> Asked:
    yield "how many digits change their place", NUMBERS[sum(a.action in TRAVELS for a in script.actors)]
    yield "how many digits stand still", NUMBERS[sum(a.action == STANDS for a in script.actors)]
    num_turning = sum(a.action.startswith("turns") for a in script.actors)
    if num_turning or rng.uniform() < 0.25:  # in two scenes of three no digit turns
        yield "how many digits turn", NUMBERS[num_turning]


def _place(x: float, y: float) -> str:
    return PLACES[3 * min(2, max(0, int(3 * y))) + min(2, max(0, int(3 * x)))]


def _is_plain(x: float, y: float) -> bool:
    """Whether a place lies well inside of its ninth of the picture."""
    return all(min(abs(3 * each - 1), abs(3 * each - 2)) > 0.12 for each in (x, y))


def _where(script: Script, rng: np.random.Generator, time: int) -> Asked:
    frame = script.frame_at(_TIMES[time])
    for actor in script.seen(frame):
        place = script.place(actor, frame)
        if _is_plain(*place):
            yield f"where is {name_of(script, actor, rng)} {WHEN[time]}", _place(*place)


def _where_start(script: Script, rng: np.random.Generator) -> Asked:
    yield from _where(script, rng, 0)


def _where_end(script: Script, rng: np.random.Generator) -> Asked:
    yield from _where(script, rng, 2)


def _where_while(script: Script, rng: np.random.Generator) -> Asked:
    """Where a digit on its way is while another begins to act: no label of either says it."""
    for acting, other in enumerate(script.actors):
        if other.action == STANDS:
            continue
        frame = script.frame_at(other.start)
        for actor in script.seen(frame):
            place = script.place(actor, frame)
            if actor != acting and script.actors[actor].action in TRAVELS and _is_plain(*place):
                event = f"when {name_of(script, acting, rng)} {_begins(other.action)}"
                yield f"where is {name_of(script, actor, rng)} {event}", _place(*place)


def _begins(action: str) -> str:
    if action in ("appears", "disappears"):
        return action
    return "begins to act"


def _order(script: Script, rng: np.random.Generator) -> Asked:
    for first, one in enumerate(script.actors):
        for second, two in enumerate(script.actors):
            is_apart = two.start - one.start > 0.15
            if one.action != STANDS and two.action != STANDS and is_apart:
                names = [name_of(script, first, rng), name_of(script, second, rng)]
                if rng.uniform() < 0.5:
                    names.reverse()
                yield f"which digit acts first {names[0]} or {names[1]}", one.name


def _when(script: Script, rng: np.random.Generator) -> Asked:
    for actor, found in enumerate(script.actors):
        parts = (found.start * 4) % 1
        if found.action != STANDS and 0.15 < parts < 0.85:
            quarter = ("first", "second", "third", "last")[min(3, int(found.start * 4))]
            yield f"in which quarter does {name_of(script, actor, rng)} begin to act", quarter


def _relation(script: Script, rng: np.random.Generator) -> Asked:
    time = int(rng.integers(3))
    frame = script.frame_at(_TIMES[time])
    seen = script.seen(frame)
    for one in seen:
        for two in seen:
            if one == two:
                continue
            (x, y), (u, v) = script.place(one, frame), script.place(two, frame)
            names = f"{name_of(script, one, rng)} {{}} {name_of(script, two, rng)} {WHEN[time]}"
            sideways, upright = abs(x - u), abs(y - v)
            if sideways > _CLEAR and rng.uniform() < 0.5:
                side = "left of" if rng.uniform() < 0.5 else "right of"
                yield f"is {names.format(side)}", _is((x < u) == (side == "left of"))
            elif upright > _CLEAR:
                side = "above" if rng.uniform() < 0.5 else "below"
                yield f"is {names.format(side)}", _is((y < v) == (side == "above"))


_EXTREMES: Mapping[str, tuple[int, int]] = {
    "farthest left": (0, 1),
    "farthest right": (0, -1),
    "highest": (1, 1),
    "lowest": (1, -1),
}


def _extreme(script: Script, rng: np.random.Generator) -> Asked:
    for time in (0, 2):
        frame = script.frame_at(_TIMES[time])
        seen = script.seen(frame)
        for words, (axis, sign) in _EXTREMES.items():
            ranked = sorted((sign * script.place(actor, frame)[axis], actor) for actor in seen)
            if len(ranked) > 1 and ranked[1][0] - ranked[0][0] > _CLEAR:
                yield f"which digit is {words} {WHEN[time]}", script.actors[ranked[0][1]].name


def _background(script: Script, rng: np.random.Generator) -> Asked:
    yield "what is the background like", script.background


def _bounces(script: Script, rng: np.random.Generator) -> Asked:
    for actor, found in enumerate(script.actors):
        if found.action == BOUNCES:
            yield f"how many times does {name_of(script, actor, rng)} bounce", NUMBERS[found.bounces]


def _nearest(script: Script, rng: np.random.Generator) -> Asked:
    for time in (0, 2):
        frame = script.frame_at(_TIMES[time])
        seen = script.seen(frame)
        for actor in seen:
            distances = sorted(
                (float(np.hypot(*np.subtract(script.place(actor, frame), script.place(other, frame)))), other)
                for other in seen
                if other != actor
            )
            if len(distances) > 1 and distances[1][0] - distances[0][0] > _CLEAR:
                name = name_of(script, actor, rng)
                yield f"which digit is nearest to {name} {WHEN[time]}", script.actors[distances[0][1]].name


def _hidden(script: Script, rng: np.random.Generator) -> Asked:
    """Who hides behind whom, and nothing behind some digits, whether another hides in the scene or not."""
    covers = {found.behind for found in script.actors if found.action == HIDES}
    for actor, found in enumerate(script.actors):
        if found.action == HIDES:
            cover = script.actors[found.behind]
            yield f"what is hidden behind {name_of(script, found.behind, rng)} at the end", found.name
            yield f"behind which digit does {name_of(script, actor, rng)} hide", cover.name
    bare = [actor for actor in script.seen(script.num_frames - 1) if actor not in covers]
    if bare and rng.uniform() < (0.5 if covers else 0.12):
        actor = bare[int(rng.integers(len(bare)))]
        yield f"what is hidden behind {name_of(script, actor, rng)} at the end", "nothing"


def _sum(script: Script, rng: np.random.Generator) -> Asked:
    yield "what is the sum of all digits", NUMBERS[sum(found.value for found in script.actors)]
    one, two = rng.permutation(len(script.actors))[:2]
    colours = f"the {script.actors[one].colour} digit and the {script.actors[two].colour} digit"
    yield f"what is the sum of {colours}", NUMBERS[script.actors[one].value + script.actors[two].value]


def _largest(script: Script, rng: np.random.Generator) -> Asked:
    for time in (0, 2):
        frame = script.frame_at(_TIMES[time])
        sizes = sorted((script.actors[actor].scale[frame], actor) for actor in script.seen(frame))
        if len(sizes) > 1 and sizes[-1][0] > 1.15 * sizes[-2][0]:
            yield f"which digit is largest {WHEN[time]}", script.actors[sizes[-1][1]].name
        if len(sizes) > 1 and sizes[1][0] > 1.15 * sizes[0][0]:
            yield f"which digit is smallest {WHEN[time]}", script.actors[sizes[0][1]].name


FAMILIES: Mapping[str, Callable[[Script, np.random.Generator], Asked]] = {
    "action": _action,
    "who": _who,
    "who_colour": _who_colour,
    "colour": _colour,
    "digit": _digit,
    "exists": _exists,
    "does": _does,
    "count": _count,
    "count_acting": _count_acting,
    "where_start": _where_start,
    "where_end": _where_end,
    "where_while": _where_while,
    "order": _order,
    "when": _when,
    "relation": _relation,
    "extreme": _extreme,
    "background": _background,
    "bounces": _bounces,
    "nearest": _nearest,
    "hidden": _hidden,
    "sum": _sum,
    "largest": _largest,
}
"""What asks the questions of each family."""

CHOOSING = ("when", "nearest")
"""Families that no codec learns from; on validation they choose between codecs."""
REPORTED = ("where_while", "sum", "largest")
"""Families that no codec learns from and that choose nothing."""
LEARNED = tuple(family for family in FAMILIES if family not in CHOOSING + REPORTED)
"""Families that codecs may learn from."""
ANSWERS = tuple(
    dict.fromkeys(
        (
            *("yes", "no", "nothing", "first", "second", "third", "last"),
            *NUMBERS[: 5 * 7 + 1],
            *COLOURS,
            *PLACES,
            *ACTIONS,
            *BACKGROUNDS,
        )
    )
)
"""Every answer there is: at most five digits add up to thirty five."""
