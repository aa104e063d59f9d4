"""The device of the demo as a process: `python -m approxbit.demo.edge`, a `ChildProcess` of the demo's.

It opens what `approxbit.exporting.prepare` exported for it and never imports torch. It talks in lines of
JSON: orders come in on standard input, events go out on standard output.

    order {"server", "videos"}          -> times all arms, then event "ready" with the LUT's path
    order {"relay", "phases", ...}      -> looks at the link, then event "connected"
    order {}                            -> answers clips, an event "clip" for each, then event "end"
    end of standard input               -> the process ends at once
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np

from approxbit.datasets.something_something import SomethingSomethingV2
from approxbit.edge.answer import EdgeAnswer
from approxbit.edge.device import Device, open_device
from approxbit.edge.measure import refresh_times
from approxbit.edge.meter import ProbePolicy
from approxbit.edge.session import EdgeSession, SessionPolicy
from approxbit.edge.transport import GrpcTransport
from approxbit.errors import ApproxBitError
from approxbit.processes import follow_parent, say
from approxbit.select import EDGE_ONLY, LUT, parse_sla
from approxbit.tasks import LabelSet, require_classification
from approxbit.video.reader import read_clip
from approxbit.wire import AnswerKind, Content, Logits, Request, TopK, Wanted

NUM_TIMED = 8
PROBE_EVERY_S = 0.5  # the segments are short
SPLIT = "test"


def main() -> int:
    """Follow the orders; 1 if they cannot be followed, with the reason as the last line on stderr."""
    options = _parser().parse_args()
    orders: Queue[dict[str, Any]] = Queue()
    follow_parent(orders.put, lambda: os._exit(1))  # the parent is gone, and so must this process be
    try:
        device = open_device(options.device, options.threads)
        order = orders.get()
        videos = read_listing(order["videos"], options.label_set)
        lut = _measure(device, options, order["server"], videos)
        say(
            event="ready",
            backend=device.backend,
            raw_bytes=int(np.prod(device.clip_format.frames_shape)),
            num_frames=device.clip_format.num_frames,
            feature_bytes=device.feature_bytes,
        )
        _run(device, options, lut, videos, orders)
    except (ApproxBitError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m approxbit.demo.edge")
    parser.add_argument("--device", required=True, help="file that names the exported artefacts")
    parser.add_argument("--label-set", required=True)
    parser.add_argument("--lut", required=True, help="read; replaced by the LUT with the times of this run")
    parser.add_argument("--slowdown", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser


def read_listing(folder: str, label_set: str) -> SomethingSomethingV2:
    """The videos that `write_videos` wrote into a folder, with the classes of a label set."""
    root = Path(folder)
    return SomethingSomethingV2(
        root / "videos", root / f"{label_set}-labels.json", root / f"{label_set}-{SPLIT}.json"
    )


def find_label_set(device: Device, name: str, class_names: Sequence[str]) -> LabelSet:
    """The label set of the device's task that its videos have.

    Raises:
        ValueError: The task has none of that name, or its classes are not those of the videos.
    """
    label_set = require_classification(device.task).label_set(name)
    if label_set.class_names != tuple(class_names):
        raise ValueError(f"the model must know the {len(class_names)} classes {name} of the videos")
    return label_set


def name_answer(answer: Content | None, label_set: LabelSet) -> str:
    """The class of a label set that an answer names: its likeliest, or that of the model's logits."""
    if isinstance(answer, TopK):
        return label_set.name_of(answer.best)
    assert isinstance(answer, Logits)
    return label_set.name_of(int(label_set.logits(answer.values).argmax()))


def _measure(device: Device, options: argparse.Namespace, server: str, videos: SomethingSomethingV2) -> LUT:
    clips = [read_clip(path, device.clip_format.num_frames) for path, _ in list(videos)[:NUM_TIMED]]
    clips = [clips[index % len(clips)] for index in range(NUM_TIMED)]
    with GrpcTransport(server) as transport:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, CPU"
        lut = refresh_times(LUT.load(options.lut), device, transport, clips, machine)
    lut = lut.scaled(options.slowdown)
    lut.save(options.lut)
    return lut


def _run(
    device: Device,
    options: argparse.Namespace,
    lut: LUT,
    videos: SomethingSomethingV2,
    orders: Queue[dict[str, Any]],
) -> None:
    order, slow = orders.get(), device.slowed(options.slowdown)
    phases = [(start_s, parse_sla(text)) for start_s, text in order["phases"]]
    policy = SessionPolicy(probes=ProbePolicy(every_s=PROBE_EVERY_S))
    # The likeliest classes are those of one label set; another one needs all logits.
    is_asked = options.label_set == require_classification(device.task).asked
    wanted = Wanted() if is_asked else Wanted(AnswerKind.LOGITS, 0)
    unsplit = device.arm(EDGE_ONLY)
    with (
        GrpcTransport(order["relay"]) as transport,
        EdgeSession(
            slow.arms, transport, lut, phases[0][1], slow.clip_format, policy=policy, wanted=wanted
        ) as session,
    ):
        label_set = find_label_set(device, options.label_set, videos.label_names)
        session.refresh()
        say(event="connected")
        orders.get()
        for index, clock in _ticks(order["interval_s"], order["duration_s"]):
            path, label = videos[index % len(videos)]
            frames = read_clip(path, device.clip_format.num_frames)
            session.sla = [sla for start_s, sla in phases if start_s <= clock()][-1]
            probed = session.refresh()
            second, sla = clock(), str(session.sla)
            answer = session.answer(frames)
            whole = unsplit.encode(device.clip_format.crop(frames), Request(wanted=wanted))
            say(
                event="clip",
                second=round(second, 3),
                sla=sla,
                video=path.name,
                file_bytes=path.stat().st_size,
                arm_accuracy=lut.row(answer.arm).accuracy,
                feature_bytes=device.feature_bytes.get(answer.arm, 0),
                probe_bytes=probed.num_bytes + answer.probing.num_bytes,
                label=label_set.name_of(label),
                answer=name_answer(answer.answer, label_set),
                unsplit_answer=name_answer(whole.answer, label_set),
                **_facts(answer),
            )
    say(event="end")


def _facts(answer: EdgeAnswer) -> dict[str, Any]:
    parts, choice = answer.parts, answer.choice
    expected_ms = math.inf if choice is None else choice.latency_ms
    device_ms = parts.prepare_ms + parts.edge_ms + parts.encode_ms + parts.lost_ms
    return {
        "measured_mbps": round(answer.bandwidth_mbps, 3),
        "round_trip_ms": round(answer.round_trip_ms, 3),
        "arm": answer.arm,
        "payload_bytes": answer.payload_bytes,
        "packet_bytes": answer.packet_bytes,
        "device_ms": round(device_ms, 3),
        "link_ms": round(parts.link_ms, 3),
        "server_ms": round(parts.decode_ms + parts.server_ms, 3),
        "latency_ms": round(answer.latency_ms, 3),
        "expected_ms": round(expected_ms, 3) if expected_ms < math.inf else None,
        "meets_sla": answer.meets_sla,
        "sla_is_feasible": choice is not None and choice.meets_sla,
        "fell_back": answer.fell_back,
    }


def _ticks(interval_s: float, duration_s: float) -> Iterator[tuple[int, Callable[[], float]]]:
    """Yield (number, clock) every `interval_s` seconds; a clip that comes late delays all after it."""
    start = time.monotonic()

    def clock() -> float:
        return time.monotonic() - start

    due_s = 0.0
    for index in count():
        time.sleep(max(0.0, due_s - clock()))
        if clock() >= duration_s:
            return
        due_s = max(due_s, clock()) + interval_s
        yield index, clock


if __name__ == "__main__":
    sys.exit(main())
