"""The device of the demo as a process: `python -m approxbit.demo.edge`, a `ChildProcess` of the demo's.

It talks in lines of JSON: orders come in on standard input, events go out on standard output.

                                               -> event "loaded", when the models are there
    order {"do": "time", "server", "lut", ...} -> times every arm, then event "timed"
    order {"do": "connect", "relay", ...}      -> looks at the link, then event "connected"
    order {"do": "send", "video", "arm"}       -> sends a clip without any question, event "sent"
    order {"do": "ask", "clip", "question"}    -> asks about a clip that was sent, event "answered"
    end of standard input                      -> the process ends at once

Whoever gives the orders draws a question when the clip was sent, and not before. An empty arm leaves it to
the selector; a named one has its turn, to be compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from queue import Queue
from typing import Any, NamedTuple

import numpy as np

from approxbit.edge.answer import EdgeAnswer, Outcome
from approxbit.edge.arms import EdgeArm
from approxbit.edge.asking import SentClip
from approxbit.edge.device import Device
from approxbit.edge.exchange import Exchange
from approxbit.edge.measure import refresh_times
from approxbit.edge.meter import ProbePolicy
from approxbit.edge.session import EdgeSession, SessionPolicy
from approxbit.edge.transport import GrpcTransport
from approxbit.engines.questions import IN_WORDS, as_question
from approxbit.errors import ApproxBitError, LinkError
from approxbit.processes import follow_parent, say
from approxbit.select import EDGE_ONLY, LUT, parse_sla
from approxbit.video.reader import read_clip

PROBE_EVERY_S = 2.0
TIMEOUT_S = 10.0


class Sent(NamedTuple):
    """A clip that questions may come about.

    Attributes:
        clip: As the session or the exchange knows it.
        arm: Which has its turn; None where the selector chose.
    """

    clip: SentClip
    arm: EdgeArm | None


def main() -> int:
    """Follow the orders; 1 if they cannot be followed, with the reason as the last line on stderr."""
    options = _parser().parse_args()
    orders: Queue[dict[str, Any]] = Queue()
    follow_parent(orders.put, lambda: os._exit(1))  # the parent is gone, and so must this process be
    try:
        device = _open(options)
        say(event="loaded", backend=device.backend, arms=[arm.name for arm in device.arms])
        _follow(device, orders)
    except (ApproxBitError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m approxbit.demo.edge")
    parser.add_argument("--family", required=True)
    parser.add_argument("--checkpoints", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--without-model", action="store_true", help="the device cannot hold the whole model")
    return parser


def _open(options: argparse.Namespace) -> Device:
    from approxbit.profiling.torch_device import open_torch_device

    device = open_torch_device(options.family, options.checkpoints, options.threads)
    arms = [arm for arm in device.arms if not (options.without_model and arm.name == EDGE_ONLY)]
    return replace(device, arms=tuple(arms))


def _follow(device: Device, orders: Queue[dict[str, Any]]) -> None:
    party: _Party | None = None
    while True:
        order = orders.get()
        what = order.pop("do")
        if what == "time":
            _time(device, **order)
        elif what == "connect":
            party = _Party(device, **order)
        else:
            assert party is not None
            party.send(**order) if what == "send" else party.ask(**order)


def _time(device: Device, server: str, lut: str, out: str, videos: list[str]) -> None:
    """Replace the times of a LUT by those of now, of this device and of that server."""
    clips = [_read(device, path) for path in videos]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, CPU"
    with GrpcTransport(server) as transport:
        timed = refresh_times(LUT.load(lut), device, transport, clips, machine, 0.0, IN_WORDS)
    timed.save(out)
    say(event="timed")


def _read(device: Device, path: str) -> np.ndarray:
    clip_format = device.clip_format
    return read_clip(path, clip_format.num_frames, short_side=clip_format.size)


class _Party:
    """Both ways of this device to its server: what the selector chooses, and arms that have their turn."""

    def __init__(self, device: Device, relay: str, lut: str, sla: str):
        self._device, self._clips = device, dict[int, Sent]()
        self._transport = GrpcTransport(relay)
        self._exchange = Exchange(GrpcTransport(relay), device.arms, IN_WORDS)
        policy = SessionPolicy(timeout_s=TIMEOUT_S, probes=ProbePolicy(every_s=PROBE_EVERY_S))
        self._session = EdgeSession(
            *(device.arms, self._transport, LUT.load(lut), parse_sla(sla), device.clip_format),
            policy=policy,
            wanted=IN_WORDS,
        )
        self._sequence = 0
        self._session.refresh()
        self._exchange.open(TIMEOUT_S)
        say(event="connected")

    def send(self, video: str, arm: str) -> None:
        """Send a clip; it gets the next number."""
        frames, number = _read(self._device, video), len(self._clips)
        clip = SentClip(self._device.clip_format.crop(frames).copy())
        clip.frames.flags.writeable = False
        chosen = self._device.arm(arm) if arm else None

        def act() -> Outcome:
            if chosen is None:
                return self._session.answer(frames)
            return self._exchange.answer(chosen, clip.frames, self._next(), lambda: TIMEOUT_S, clip=clip)

        if chosen is None:
            self._session.refresh()
        outcome, facts = _take(act)
        if isinstance(outcome, EdgeAnswer) and outcome.clip is not None:
            clip = outcome.clip
        self._clips[number] = Sent(clip, chosen)
        say(event="sent", clip=number, **facts)

    def ask(self, clip: int, question: str) -> None:
        """Ask about a clip that was sent."""
        sent, text = self._clips[clip], as_question(question)

        def act() -> Outcome:
            if sent.arm is None:
                return self._session.ask(sent.clip, text)
            if sent.clip.sent is None:  # the device alone
                return self._exchange.answer(sent.arm, sent.clip.frames, self._next(), lambda: 0.0, text)
            return self._exchange.ask(sent.clip, text, self._next(), lambda: TIMEOUT_S)

        if sent.arm is None:
            self._session.refresh()
        outcome, facts = _take(act)
        answer = getattr(outcome.answer, "value", "") if outcome is not None else ""
        say(event="answered", clip=clip, answer=answer, **facts)

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) % 2**16
        return self._sequence


def _take(act: Callable[[], Outcome]) -> tuple[Outcome | None, dict[str, Any]]:
    """What comes of something, by the clock on the wall; a link that fails is no end of the demo."""
    start = time.perf_counter()
    try:
        outcome = act()
    except LinkError as error:
        facts = {"ms": _ms(start), "arm": "", "payload_bytes": 0, "packet_bytes": 0, "measured_mbps": None}
        return None, {**facts, "fell_back": False, "reason": str(error)}
    facts = {
        "ms": _ms(start),
        "arm": outcome.arm,
        "payload_bytes": outcome.payload_bytes,
        "packet_bytes": outcome.packet_bytes,
        **{"measured_mbps": None, "fell_back": False, "reason": ""},
    }
    if isinstance(outcome, EdgeAnswer):
        facts["measured_mbps"] = round(outcome.bandwidth_mbps, 3)
        facts |= {"fell_back": outcome.fell_back, "reason": outcome.reason}
    return outcome, facts


def _ms(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 3)


if __name__ == "__main__":
    sys.exit(main())
