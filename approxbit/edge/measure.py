"""What every arm answers and costs, measured on this machine: where the figures of a LUT come from."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

import numpy as np

from approxbit.edge.answer import Outcome, Parts
from approxbit.edge.arms.arm import EdgeArm
from approxbit.edge.asking import SentClip
from approxbit.edge.device import Device
from approxbit.edge.exchange import Exchange
from approxbit.edge.transport import Transport
from approxbit.edge.windows import NUM_SEQUENCES
from approxbit.engines.questions import FIRST_QUESTION, IN_WORDS
from approxbit.select import LUT
from approxbit.wire import AnswerKind, Text, Wanted, warm_up
from approxbit.wire.content import DEFAULT_WANTED

TIMEOUT_S = 60.0
NUM_WARM_UP = 1
TIMES = ("edge_ms", "encode_ms", "decode_ms", "server_ms")


def answer_clips(
    arms: Sequence[EdgeArm],
    transport: Transport,
    clips: Iterable[np.ndarray],
    wanted: Wanted = DEFAULT_WANTED,
    pause_s: float = 0.0,
) -> Iterator[list[Outcome]]:
    """Every arm's answer to every clip, clip by clip, and what it cost.

    Arms take turns on each clip, so that a busy spell of the machine falls on all of them alike.

    Args:
        arms: Of the device.
        transport: Straight to the server, or `LocalTransport` to one in this process.
        clips: Cropped frames, uint8 `[time, height, width, 3]`.
        wanted: Which kind of answer.
        pause_s: Before each answer.

    Yields:
        One outcome for each arm.

    Raises:
        LinkError: The server does not answer.
    """
    warm_up()
    exchange = Exchange(transport, arms, wanted)
    for sequence, frames in enumerate(clips):
        outcomes = []
        for arm in arms:
            time.sleep(pause_s)
            outcomes.append(exchange.answer(arm, frames, sequence, _patience))
        yield outcomes


class AskedClip(NamedTuple):
    """How one arm answered a late question about one clip.

    Attributes:
        clip: What came of the clip, when nobody had a question: an empty text.
        question: What came of the question, when the clip had crossed.
    """

    clip: Outcome
    question: Outcome

    @property
    def parts(self) -> Parts:
        """The time of both."""
        return Parts(
            *(sum(both) for both in zip(vars(self.clip.parts).values(), vars(self.question.parts).values()))
        )


def ask_clips(
    arms: Sequence[EdgeArm],
    transport: Transport,
    clips: Iterable[tuple[np.ndarray, Text]],
    pause_s: float = 0.0,
) -> Iterator[AskedClip]:
    """Every arm's answer to a late question about every clip, and what it cost; see `answer_clips`.

    Args:
        arms: Of the device.
        transport: Straight to the server, or `LocalTransport` to one in this process.
        clips: Cropped frames, uint8 `[time, height, width, 3]`, and what is asked about them afterwards.
        pause_s: Before each clip.

    Yields:
        For each clip, one after the other for each arm.

    Raises:
        LinkError: The server does not answer, or does not take a question (`RefusedError`).
    """
    warm_up()
    exchange, numbers = Exchange(transport, arms, IN_WORDS), count()
    for frames, question in clips:
        for arm in arms:
            time.sleep(pause_s)
            sent = SentClip(frames.copy())
            sent.frames.flags.writeable = False  # so that the device alone need not look at them twice
            first, second = (number % NUM_SEQUENCES for number in (next(numbers), next(numbers)))
            clip = exchange.answer(arm, sent.frames, first, _patience, clip=sent)
            if sent.sent is None:
                answer = exchange.answer(arm, sent.frames, second, _patience, question)
            else:
                answer = exchange.ask(sent, question, second, _patience)
            yield AskedClip(clip, answer)


def _patience() -> float:
    return TIMEOUT_S


def median_times(parts: Iterable[Parts]) -> dict[str, Any]:
    """The times of a LUT's row: medians over some clips of one arm."""
    found = list(parts)
    return {name: round(median(getattr(each, name) for each in found), 3) for name in TIMES}


def refresh_times(
    lut: LUT,
    device: Device,
    transport: Transport,
    clips: Sequence[np.ndarray],
    machine: str,
    pause_s: float = 0.1,
    wanted: Wanted = DEFAULT_WANTED,
) -> LUT:
    """The same arms and accuracies with the times of here and now: medians over some clips.

    The link must not be shaped, as Eq. 1 accounts for it; how slow the device is, shows.
    Each answer is preceded by a pause, as in the run: a processor that has rested is slower (measured: 20
    percent).

    Args:
        lut: What is known about accuracies; arms that the device cannot run are left out.
        device: This machine as it is.
        transport: Straight to the server.
        clips: Frames as `read_clip` gives them; the first ones only warm up.
        machine: The kind of this machine, in words.
        pause_s: Before each answer.
        wanted: Which kind of answer. Where it is text, the times are those of a clip and a late question.

    Raises:
        ValueError: The LUT has no arm that the device can run, or there are no clips to measure.
        LinkError: The server does not answer.
    """
    arms = [arm for arm in device.arms if arm.name in lut.arms]
    if not arms:
        raise ValueError(f"the LUT must have an arm that the device can run, found {', '.join(lut.arms)}")
    if len(clips) <= NUM_WARM_UP:
        raise ValueError(f"expected more than {NUM_WARM_UP} clips, found {len(clips)}")
    cropped = map(device.clip_format.crop, clips)
    parts = list(_parts_of(arms, transport, cropped, wanted, pause_s))[NUM_WARM_UP * len(arms) :]
    times = {arm.name: median_times(parts[place :: len(arms)]) for place, arm in enumerate(arms)}
    date = datetime.date.today().isoformat()
    return replace(
        lut,  # bytes are means over many more clips
        rows=tuple(replace(row, **times[row.arm]) for row in lut.rows if row.arm in times),
        device=f"{machine}, timed {date} just before this run; accuracies of {lut.date}",
        backend=device.backend,
        date=date,
        threads=device.num_threads,
    )


def _parts_of(
    arms: Sequence[EdgeArm],
    transport: Transport,
    clips: Iterable[np.ndarray],
    wanted: Wanted,
    pause_s: float,
) -> Iterator[Parts]:
    """For each clip, one after the other for each arm; with a late question where text is wanted."""
    if wanted.kind == AnswerKind.TEXT:
        asked = ask_clips(arms, transport, ((frames, FIRST_QUESTION) for frames in clips), pause_s)
        yield from (each.parts for each in asked)
        return
    for outcomes in answer_clips(arms, transport, clips, wanted, pause_s):
        yield from (outcome.parts for outcome in outcomes)
