"""The demo from beginning to end: a server, a shaped link, a slow device, and what comes of it."""

from __future__ import annotations

import datetime
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from approxbit.datasets.digits import TASK, DigitsClips, write_videos
from approxbit.demo.edge import SPLIT
from approxbit.demo.facts import list_payloads, write_notes
from approxbit.demo.plan import NUM_SEGMENTS, Plan, make_plan
from approxbit.demo.screen import Screen
from approxbit.exporting.prepare import prepare_family
from approxbit.families import locate
from approxbit.link import RelayProcess
from approxbit.processes import ChildProcess
from approxbit.report import ClipRecord, Report, summarise
from approxbit.select import EDGE_ONLY, LUT
from approxbit.server.process import ServerProcess
from approxbit.tasks import Task
from approxbit.zoo import available, describe_machine, find_task, load_lut

DEFAULT_SLOWDOWN = 16.0
"""Edge-only takes 466.9 ms on a Jetson AGX Orin; server-only on an A100 takes 67 ms beside the transfer
(Table 1, APPROXBIT): 7 times less. Here ONNX Runtime on the edge is 2.3 times as fast as torch on the server,
so that the emulated device must be 16 times slower for the same ratio."""

FIRST_CLIP_OF_SEED = 1000


@dataclass(frozen=True)
class Settings:
    """What the user may choose.

    Attributes:
        family: Checkpoints that answer the classes of Digits-in-Motion.
        folder: The videos are written below it.
        clips_per_segment: About so many clips for each of the six segments of the trace, at least 1.
        seed: Of the trace's fluctuation; also picks the videos.
        label_set: Of the videos' task, such as `actions`; empty for the one that the family was trained for.
        slowdown: How many times slower than this machine the emulated device is, at least 1.
        num_threads: Threads of the device, and of the server.
    """

    family: str
    folder: Path
    clips_per_segment: int = 32
    seed: int = 0
    label_set: str = ""
    slowdown: float = DEFAULT_SLOWDOWN
    num_threads: int = 1

    @property
    def command(self) -> str:
        """How to run the same again."""
        words = f"approxbit demo --family {self.family} --clips-per-segment {self.clips_per_segment}"
        words += f" --seed {self.seed} --slowdown {self.slowdown:g} --threads {self.num_threads}"
        return words + (f" --label-set {self.label_set}" if self.label_set else "")


def run_demo(settings: Settings, screen: Screen) -> Report:
    """Run the demo; when it returns or raises, none of its processes is left.

    Args:
        settings: What the user chose.
        screen: Shows what goes on.

    Returns:
        All that `write_report` needs.

    Raises:
        ValueError: There is no such family, it has no LUT, or a setting is out of range.
        ApproxBitError: A file of the family is damaged, or a process ended before its time.
        ImportError: A package of `approxbit[export]` is missing, and the device's artefacts were never made.
    """
    start = time.monotonic()
    _check(settings)
    root, family = locate(settings.family)
    settings = replace(settings, family=family)
    lut = load_lut(settings.family, root)
    task = _find_task(settings.family, root).asking(settings.label_set)
    label_set, lut = task.asked, lut.with_figure(task.figures[0])
    device = prepare_family(settings.family, root, announce=screen.say)
    with tempfile.TemporaryDirectory(prefix="approxbit-demo-") as scratch:
        lut_path = Path(scratch) / "lut.json"
        lut.save(lut_path)
        with ExitStack() as stack:
            edge = stack.enter_context(_edge_process(settings, device, label_set, lut_path))
            run = _Run(settings, edge, screen)
            ready, lut, plan, records = run.play(stack, root, lut_path)
    wall_s = time.monotonic() - start
    videos = settings.folder / "videos"
    return Report(
        family=settings.family,
        records=records,
        summary=summarise(records, ready["raw_bytes"], wall_s),
        lut=lut,
        trace=plan.trace,
        round_trip_ms=median(record.round_trip_ms for record in records),
        payloads=list_payloads(records, lut, videos, ready),
        command=settings.command,
        machine=f"{describe_machine()} on the server, {ready['backend']} on the edge",
        date=datetime.date.today().isoformat(),
        notes=write_notes(settings.slowdown, label_set, lut, plan, ready),
    )


class _Run:
    """The part of the demo that has processes."""

    def __init__(self, settings: Settings, edge: ChildProcess, screen: Screen):
        self._settings = settings
        self._edge = edge
        self._screen = screen

    def play(
        self, stack: ExitStack, root: Path, lut_path: Path
    ) -> tuple[dict[str, Any], LUT, Plan, list[ClipRecord]]:
        settings = self._settings
        self._screen.say(f"starting a server and an edge process for {settings.family}")
        server = ServerProcess(settings.family, num_threads=settings.num_threads, checkpoints=root)
        stack.callback(server.stop)  # before the start, which an interrupt may hit
        server.start()
        num_videos = NUM_SEGMENTS * settings.clips_per_segment
        self._screen.say(f"writing {num_videos} held-out videos to {settings.folder / 'videos'}")
        write_videos(settings.folder, SPLIT, num_videos, FIRST_CLIP_OF_SEED * settings.seed)
        self._screen.say("timing every arm on this machine")
        self._edge.send(server=server.address, videos=settings.folder)
        ready = self._edge.receive()
        lut = LUT.load(lut_path)
        whole_ms = lut.row(EDGE_ONLY).edge_ms / settings.slowdown if EDGE_ONLY in lut.arms else 0.0
        plan = make_plan(lut, settings.clips_per_segment, settings.seed, pause_ms=100 + whole_ms)
        relay = stack.enter_context(RelayProcess(server.address, plan.trace))
        self._announce(plan)
        with self._screen.table():
            return ready, lut, plan, self._collect(plan, relay)

    def _collect(self, plan: Plan, relay: RelayProcess) -> list[ClipRecord]:
        phases = [(start_s, str(sla)) for start_s, sla in plan.phases]
        self._edge.send(
            relay=relay.address, phases=phases, interval_s=plan.interval_s, duration_s=plan.duration_s
        )
        self._edge.receive()
        relay.restart_clock()
        self._edge.send()
        records = []
        while (event := self._edge.receive()).pop("event") != "end":
            records.append(ClipRecord(**event, true_mbps=plan.trace.bandwidth_at(event["second"])))
            self._screen.show(records[-1])
        return records

    def _announce(self, plan: Plan) -> None:
        slas = ", ".join(f"{sla} from {start_s:.0f} s" for start_s, sla in plan.phases)
        self._screen.say(
            f"the device is emulated: {self._settings.slowdown:g} times slower than this machine\n"
            f"link: 50, 3 and 6 Mbps for {plan.segment_s:.1f} s each, twice; "
            f"a clip every {plan.interval_s:.2f} s\nSLA: {slas}"
        )


def _find_task(family: str, root: Path) -> Task:
    """What an answer of a family means, which must be that of the demo's videos."""
    names = [name for name in available(root) if name.partition("/")[0] == family]
    task = find_task(names[0], root)
    if getattr(task, "label_sets", ()) != TASK.label_sets:
        raise ValueError(f"expected a family of the task of the demo's videos, {DigitsClips.title}")
    return task


def _check(settings: Settings) -> None:
    if settings.clips_per_segment < 1:
        raise ValueError(f"clips_per_segment must be at least 1, found {settings.clips_per_segment}")
    if not settings.slowdown >= 1:
        raise ValueError(f"slowdown must be at least 1, found {settings.slowdown!r}")
    if settings.num_threads < 1:
        raise ValueError(f"threads must be at least 1, found {settings.num_threads}")
    if settings.seed < 0:
        raise ValueError(f"seed must be 0 or more, found {settings.seed}")


def _edge_process(settings: Settings, device: Path, label_set: str, lut_path: Path) -> ChildProcess:
    options = {
        "--device": device,
        "--label-set": label_set,
        "--lut": lut_path,
        "--slowdown": settings.slowdown,
        "--threads": settings.num_threads,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return ChildProcess([sys.executable, "-m", "approxbit.demo.edge", *words], "the edge process")
