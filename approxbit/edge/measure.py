"""What every arm answers and costs, measured on this machine: where the figures of a LUT come from."""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from statistics import median
from typing import Any, Iterable, Iterator, Sequence

import numpy as np

from approxbit.edge.answer import Outcome
from approxbit.edge.arms.arm import EdgeArm
from approxbit.edge.device import Device
from approxbit.edge.exchange import Exchange
from approxbit.edge.transport import Transport
from approxbit.select import LUT
from approxbit.wire import Wanted, warm_up
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
            outcomes.append(exchange.answer(arm, frames, sequence, lambda: TIMEOUT_S))
        yield outcomes


def median_times(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The times of a LUT's row: medians over some clips of one arm."""
    parts = [outcome.parts for outcome in outcomes]
    return {name: round(median(getattr(each, name) for each in parts), 3) for name in TIMES}


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

    The device must not be slowed and the link must not be shaped: `LUT.scaled` and Eq. 1 account for both.
    Each answer is preceded by a pause, as in the run: a processor that has rested is slower (measured: 20
    percent).

    Args:
        lut: What is known about accuracies; arms that the device cannot run are left out.
        device: This machine as it is.
        transport: Straight to the server.
        clips: Frames as `read_clip` gives them; the first ones only warm up.
        machine: The kind of this machine, in words.
        pause_s: Before each answer.
        wanted: Which kind of answer.

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
    outcomes = list(answer_clips(arms, transport, cropped, wanted, pause_s))[NUM_WARM_UP:]
    times = {arm.name: median_times(each) for arm, each in zip(arms, zip(*outcomes))}
    date = datetime.date.today().isoformat()
    return replace(
        lut,  # bytes are means over many more clips
        rows=tuple(replace(row, **times[row.arm]) for row in lut.rows if row.arm in times),
        device=f"{machine}, timed {date} just before this run; accuracies of {lut.date}",
        backend=device.backend,
        date=date,
        threads=device.num_threads,
    )
