"""The times of a LUT, measured on this machine just before they are used."""

from __future__ import annotations

import datetime
import time
from dataclasses import fields, replace
from statistics import median
from typing import Sequence

import numpy as np

from approxbit.edge.answer import Parts
from approxbit.edge.device import Device
from approxbit.edge.offload import Offload, offload_clip, offload_code
from approxbit.edge.transport import Transport
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, LUTRow

TIMEOUT_S = 60.0
NUM_WARM_UP = 1


def refresh_times(
    lut: LUT,
    device: Device,
    transport: Transport,
    clips: Sequence[np.ndarray],
    machine: str,
    pause_s: float = 0.1,
) -> LUT:
    """The same arms and accuracies with the times of here and now: medians over some clips.

    The device must not be slowed and the link must not be shaped: `LUT.scaled` and Eq. 1 account for both.
    Arms take turns on every clip, so that a busy spell of the machine falls on all of them alike. Each is
    preceded by a pause, as in the run: a processor that has rested is slower (measured: 20 percent).

    Args:
        lut: What is known about accuracies; arms that the device cannot run are left out.
        device: This machine as it is.
        transport: Straight to the server.
        clips: Frames as `read_clip` gives them; the first ones only warm up.
        machine: The kind of this machine, in words.
        pause_s: Before each answer.

    Raises:
        ValueError: The LUT has no arm that the device can run, or there are no clips to measure.
        LinkError: The server does not answer.
    """
    rows = [row for row in lut.rows if row.arm in {*device.runners, EDGE_ONLY, SERVER_ONLY}]
    if not rows:
        raise ValueError(f"the LUT must have an arm that the device can run, found {', '.join(lut.arms)}")
    if len(clips) <= NUM_WARM_UP:
        raise ValueError(f"expected more than {NUM_WARM_UP} clips, found {len(clips)}")
    outcomes: dict[str, list[Offload]] = {row.arm: [] for row in rows}
    for sequence, frames in enumerate(clips):
        for row in rows:
            time.sleep(pause_s)
            outcomes[row.arm].append(_answer(row.arm, device, transport, frames, sequence))
    date = datetime.date.today().isoformat()
    return replace(
        lut,
        rows=tuple(_with_times(row, outcomes[row.arm][NUM_WARM_UP:]) for row in rows),
        device=f"{machine}, timed {date} just before this run; accuracies of {lut.date}",
        backend=device.backend,
        date=date,
        threads=device.num_threads,
    )


def _answer(arm: str, device: Device, transport: Transport, frames: np.ndarray, sequence: int) -> Offload:
    cropped = device.clip_format.crop(frames)
    if arm == SERVER_ONLY:
        return offload_clip(transport, cropped, device.clip_format.fingerprint, sequence, lambda: TIMEOUT_S)
    clip = device.clip_format.prepare(cropped)
    if arm == EDGE_ONLY:
        result = device.whole.run(clip)
        return Offload(arm, result.logits, 0, 0, Parts(edge_ms=result.whole_ms))
    return offload_code(transport, device.runners[arm], clip, sequence, lambda: TIMEOUT_S)


def _with_times(row: LUTRow, outcomes: Sequence[Offload]) -> LUTRow:
    parts = {
        field.name: round(median(getattr(outcome.parts, field.name) for outcome in outcomes), 3)
        for field in fields(Parts)
    }
    times = {name: parts[name] for name in ("edge_ms", "encode_ms", "decode_ms", "server_ms")}
    return replace(row, **times)  # its bytes are a mean over many more clips
