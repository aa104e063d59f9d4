"""Scenes one after another: what happens when in a video of minutes, and what one must remember of it.

A question is asked when a scene is over. It is about everything before: each frame whose time is below
`asked_s` was seen, and none after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from approxbit.datasets.scenes.captions import describe
from approxbit.datasets.scenes.questions import ANSWERS, NUMBERS
from approxbit.datasets.scenes.rendering import render_scene
from approxbit.datasets.scenes.script import BOUNCES, COLOURS, DIGITS, HIDES, STANDS, Actor, Script
from approxbit.datasets.scenes.staging import NUM_ACTORS, SPLITS, draw_script

FRAME_RATE = 8
"""Frames a second."""
SCENE_SECONDS = (6, 10)
"""Shortest and longest scene; the last two of a video may be 5 seconds each."""
MIN_SECONDS = 5
_FIRST_SCENE = 1_000_000
"""Index of the first scene of the first video, far from those that make clips of their own."""
_SCENES = 10_000
"""Most scenes of a video: half a day."""
_PAST = {
    "moves left": "moved left",
    "moves right": "moved right",
    "moves up": "moved up",
    "moves down": "moved down",
    "grows": "grew",
    "shrinks": "shrank",
    "turns clockwise": "turned clockwise",
    "turns counterclockwise": "turned counterclockwise",
    "appears": "appeared",
    "disappears": "disappeared",
    BOUNCES: "bounced",
    "moves away and back": "moved away and back",
    HIDES: "hid",
}
_TIMES = ("", "once", "twice", "three times")


@dataclass(frozen=True)
class PlacedScene:
    """A scene of a video: `draw_script(split, index, num_frames, len(digits))`.

    Attributes:
        index: In the split.
        num_frames: How many frames it has.
        start_s: When its first frame is shown, in seconds.
        end_s: When the frame after its last one is shown.
        background: One of `BACKGROUNDS`.
        digits: Such as `red seven`, from back to front.
        caption: What `describe` says of it.
    """

    index: int
    num_frames: int
    start_s: float
    end_s: float
    background: str
    digits: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Event:
    """Something that a digit did.

    Attributes:
        scene: Number of the scene in the video, from 0.
        start_s: When it began, in seconds of the video.
        end_s: When it was over.
        sentence: Such as `the red seven hid behind the blue five`.
    """

    scene: int
    start_s: float
    end_s: float
    sentence: str


@dataclass(frozen=True)
class MemoryQuestion:
    """A question about what was seen before.

    Attributes:
        asked_s: When it is asked, in seconds of the video.
        text: In words, without a question mark.
        answer: One of `ANSWERS`.
        family: One of `MEMORY_FAMILIES`.
    """

    asked_s: float
    text: str
    answer: str
    family: str


@dataclass(frozen=True)
class Timeline:
    """Everything that a video of several scenes shows.

    Attributes:
        split: Of the data set.
        index: Of the video in the split.
        frame_rate: Frames a second.
        num_frames: Of all scenes.
        scenes: In their order, each right after the one before.
        events: In the order in which they are over.
        questions: In the order in which they are asked.
    """

    split: str
    index: int
    frame_rate: int
    num_frames: int
    scenes: tuple[PlacedScene, ...]
    events: tuple[Event, ...]
    questions: tuple[MemoryQuestion, ...]


def draw_timeline(split: str, index: int, seconds: float, per_scene: int = 3) -> Timeline:
    """Video `index` of a split: always the same for the same arguments.

    Args:
        split: One of `SPLITS`.
        index: Any number from 0.
        seconds: How long, at least 5.
        per_scene: Most questions at the end of a scene.

    Raises:
        ValueError: There is no such split, `index` is negative, or the video is too short.
    """
    if seconds < MIN_SECONDS:
        raise ValueError(f"expected at least {MIN_SECONDS} seconds, found {seconds}")
    if split not in SPLITS or index < 0:
        known = ", ".join(SPLITS)
        raise ValueError(f"expected a split of {known} and an index from 0, found {split!r} and {index}")
    # Apart, so that other questions leave the scenes as they are.
    stage, curiosity = np.random.default_rng([8, SPLITS.index(split), index]).spawn(2)
    first, frame = _FIRST_SCENE + _SCENES * index, 0
    scripts: list[Script] = []
    scenes: list[PlacedScene] = []
    events: list[Event] = []
    questions: list[MemoryQuestion] = []
    for number, length in enumerate(_draw_lengths(round(seconds * FRAME_RATE), stage)):
        num_actors = int(stage.integers(NUM_ACTORS[0], NUM_ACTORS[1] + 1))
        script = draw_script(split, first + number, length, num_actors)
        start_s, end_s = frame / FRAME_RATE, (frame + length) / FRAME_RATE
        names = tuple(f"{actor.colour} {actor.name}" for actor in script.actors)
        scenes.append(
            PlacedScene(script.index, length, start_s, end_s, script.background, names, describe(script))
        )
        scripts.append(script)
        events += _events(script, number, start_s)
        asked = [
            MemoryQuestion(end_s, *found, family)
            for family, ask in MEMORY_FAMILIES.items()
            for found in ask(scripts, curiosity)
        ]
        questions += [asked[place] for place in sorted(curiosity.permutation(len(asked))[:per_scene])]
        frame += length
    return Timeline(split, index, FRAME_RATE, frame, tuple(scenes), tuple(events), tuple(questions))


def timeline_frames(timeline: Timeline, size: int = 64) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video, RGB `[size, size, 3]`, of which only those of a scene are in memory."""
    for scene in timeline.scenes:
        script = draw_script(timeline.split, scene.index, scene.num_frames, len(scene.digits))
        yield from render_scene(script, size).frames


def _draw_lengths(num_frames: int, rng: np.random.Generator) -> Iterator[int]:
    """Frames of each scene, which add up."""
    shortest, longest = (seconds * FRAME_RATE for seconds in SCENE_SECONDS)
    while num_frames > longest:
        if num_frames < 2 * shortest:
            length = num_frames // 2
        else:
            length = int(rng.integers(shortest, min(longest, num_frames - shortest) + 1))
        num_frames -= length
        yield length
    yield num_frames


def _events(script: Script, number: int, start_s: float) -> list[Event]:
    """What the digits of a scene do, in the order in which they are done."""
    second = (script.num_frames - 1) / FRAME_RATE
    found = [
        Event(
            number,
            round(start_s + actor.start * second, 3),
            round(start_s + actor.end * second, 3),
            _sentence(script, actor),
        )
        for actor in script.actors
        if actor.action != STANDS
    ]
    return sorted(found, key=lambda event: event.end_s)


def _sentence(script: Script, actor: Actor) -> str:
    sentence = f"the {actor.colour} {actor.name} {_PAST[actor.action]}"
    if actor.action == BOUNCES:
        return f"{sentence} {_TIMES[actor.bounces]}"
    if actor.action == HIDES:
        cover = script.actors[actor.behind]
        return f"{sentence} behind the {cover.colour} {cover.name}"
    return sentence


Asked = Iterator[tuple[str, str]]
Scripts = Sequence[Script]


def _pick(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def _first_scenes(scripts: Scripts) -> dict[str, int]:
    """The scene in which each digit was seen first."""
    first: dict[str, int] = {}
    for number, script in enumerate(scripts):
        for actor in script.actors:
            first.setdefault(actor.name, number)
    return first


def _came_first(scripts: Scripts, rng: np.random.Generator) -> Asked:
    first = _first_scenes(scripts)
    pairs = [(one, two) for one in first for two in first if first[one] < first[two]]
    if pairs:
        one, two = pairs[int(rng.integers(len(pairs)))]
        names = (one, two) if rng.uniform() < 0.5 else (two, one)
        yield f"which digit came first the {names[0]} or the {names[1]}", one


def _count_digits(scripts: Scripts, rng: np.random.Generator) -> Asked:
    number = len(_first_scenes(scripts))
    if number < len(DIGITS) or rng.uniform() < 0.1:  # else the answer is ten most of the time
        yield "how many different digits have there been so far", NUMBERS[number]


def _count_scenes(scripts: Scripts, rng: np.random.Generator) -> Asked:
    if NUMBERS[min(len(scripts), len(NUMBERS) - 1)] in ANSWERS:
        yield "how many scenes have there been so far", NUMBERS[len(scripts)]


def _count_bounced(scripts: Scripts, rng: np.random.Generator) -> Asked:
    number = sum(actor.action == BOUNCES for script in scripts for actor in script.actors)
    if NUMBERS[min(number, len(NUMBERS) - 1)] in ANSWERS:
        yield "how many digits have bounced so far", NUMBERS[number]


def _been(scripts: Scripts, rng: np.random.Generator) -> Asked:
    """Half of the time a digit in a colour that it did have, else in one that it had in no scene."""
    found = {(actor.colour, actor.name) for script in scripts for actor in script.actors}
    truth = bool(rng.uniform() < 0.5)
    pairs = [(colour, name) for name in DIGITS for colour in COLOURS if ((colour, name) in found) == truth]
    if pairs:
        colour, name = pairs[int(rng.integers(len(pairs)))]
        article = "an" if colour == "orange" else "a"
        yield f"has there been {article} {colour} {name} so far", "yes" if truth else "no"


def _background_before(scripts: Scripts, rng: np.random.Generator) -> Asked:
    if len(scripts) > 1:
        yield "what was the background like in the first scene", scripts[0].background
        yield "what was the background like in the scene before this one", scripts[-2].background


def _first_colour(scripts: Scripts, rng: np.random.Generator) -> Asked:
    """Of a digit that this scene does not show."""
    now = {actor.name for actor in scripts[-1].actors}
    first = {name: scene for name, scene in _first_scenes(scripts).items() if name not in now}
    if first:
        name = _pick(sorted(first), rng)
        [colour] = [actor.colour for actor in scripts[first[name]].actors if actor.name == name]
        yield f"what colour was the first {name}", colour


def _last_acting(scripts: Scripts, rng: np.random.Generator) -> Asked:
    """Which digit did something last, where one alone did it in the last scene where it was done."""
    last: dict[str, list[str]] = {}
    for script in scripts:
        actions = [actor.action for actor in script.actors if actor.action != STANDS]
        for action in actions:
            last[action] = [actor.name for actor in script.actors if actor.action == action]
    if alone := sorted(action for action, names in last.items() if len(names) == 1):
        action = _pick(alone, rng)
        yield f"which digit was the last that {_PAST[action]}", last[action][0]


MEMORY_FAMILIES: Mapping[str, Callable[[Scripts, np.random.Generator], Asked]] = {
    "came_first": _came_first,
    "count_digits": _count_digits,
    "count_scenes": _count_scenes,
    "count_bounced": _count_bounced,
    "been": _been,
    "background_before": _background_before,
    "first_colour": _first_colour,
    "last_acting": _last_acting,
}
"""What asks the questions of each family."""
