"""The demo from beginning to end: a server, a shaped link, a slow device, questions that come late."""

from __future__ import annotations

import datetime
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from approxbit.datasets.scenes.files import write_videos
from approxbit.datasets.scenes.questions import Question, draw_questions
from approxbit.datasets.scenes.script import Script
from approxbit.datasets.scenes.staging import draw_script
from approxbit.demo.notes import Timed, find_strips, write_notes
from approxbit.demo.plan import Plan, make_plan
from approxbit.demo.screen import Screen
from approxbit.demo.throttle import ThrottleProcess
from approxbit.edge.transport import GrpcTransport
from approxbit.errors import LinkError
from approxbit.families import find_task, load_lut, locate
from approxbit.link import RelayProcess
from approxbit.processes import ChildProcess
from approxbit.report import AskedRecord, Report
from approxbit.select import LUT
from approxbit.server.process import ServerProcess
from approxbit.tasks import QuestionAnswering
from approxbit.zoo import describe_machine

SPLIT = "test"
NUM_VIDEOS, NUM_FRAMES, NUM_TIMED = 24, 16, 4
CLIPS_OF_SEED = 1000
KILL_AT = 2.5
"""In segments: the server is killed in the middle of the last one."""
LONGEST_OUTAGE_S = 60.0
PAUSE_S = 0.1
"""Between two clips that the device answers alone."""
NUM_AFTERWARDS = 3
"""Clips that are answered after the server is back, before the demo ends."""


@dataclass(frozen=True)
class Settings:
    """What the user may choose.

    Attributes:
        family: That answers questions, with a LUT.
        folder: The videos are written below it.
        rounds: About how often each arm has its turn at each bandwidth, at least 1.
        slowdown: How many times less than one core the device gets; 1 for all of it.
        seed: Picks videos, questions and the fluctuation of the link.
        holds_model: Whether the whole model fits the device: without it nobody answers when the server is
            away.
        num_threads: Threads of the device, and of the server.
    """

    family: str
    folder: Path
    rounds: int = 6
    slowdown: float = 4.0
    seed: int = 0
    holds_model: bool = True
    num_threads: int = 1

    @property
    def command(self) -> str:
        """How to run the same again."""
        words = f"approxbit demo --family {self.family} --rounds {self.rounds} --slowdown {self.slowdown:g}"
        words += f" --seed {self.seed} --threads {self.num_threads}"
        return words + ("" if self.holds_model else " --small-device")


@dataclass
class _Log:
    """What happened."""

    records: list[AskedRecord] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)


def run_demo(settings: Settings, screen: Screen) -> Report:
    """Run the demo; when it returns or raises, none of its processes is left.

    Args:
        settings: What the user chose.
        screen: Shows what goes on.

    Returns:
        All that `write_report` needs.

    Raises:
        ValueError: There is no such family, it answers no questions, it has no LUT, or a setting is out of
            range.
        ApproxBitError: A file of the family is damaged, or a process ended before its time.
    """
    _check(settings)
    root, family = locate(settings.family)
    settings = replace(settings, family=family)
    if not isinstance(find_task(family, root), QuestionAnswering):
        raise ValueError(f"expected a family that answers questions, such as scenes-vit, found {family}")
    lut = load_lut(family, root)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="approxbit-demo-")))
        return _Run(settings, screen, stack, root, scratch).play(lut)


def _check(settings: Settings) -> None:
    if settings.rounds < 1:
        raise ValueError(f"rounds must be at least 1, found {settings.rounds}")
    if not 1 <= settings.slowdown <= 64:
        raise ValueError(f"slowdown must be 1 to 64, found {settings.slowdown!r}")
    if settings.num_threads < 1:
        raise ValueError(f"threads must be at least 1, found {settings.num_threads}")
    if settings.seed < 0:
        raise ValueError(f"seed must be 0 or more, found {settings.seed}")


class _Run:
    """The part of the demo that has processes."""

    def __init__(self, settings: Settings, screen: Screen, stack: ExitStack, root: Path, scratch: Path):
        self._settings, self._screen, self._stack = settings, screen, stack
        self._root, self._scratch = root, scratch
        self._log = _Log()
        self._first_clip = CLIPS_OF_SEED * settings.seed
        self._random = np.random.default_rng(settings.seed)
        self._round_trip_ms = 0.0
        self._last: tuple[int, Question] | None = None
        self._killed_s: float | None = None

    def play(self, lut: LUT) -> Report:
        settings, say = self._settings, self._screen.say
        say(f"starting a server and an edge process for {settings.family}")
        self._server = self._serve(0)
        self._server.start()
        self._edge: ChildProcess = self._stack.enter_context(_edge_process(settings, self._root))
        loaded = self._edge.receive()
        lut = _without_missing(lut, loaded["arms"], say)
        say(f"writing {NUM_VIDEOS} videos to {settings.folder}")
        self._videos = write_videos(settings.folder, SPLIT, NUM_VIDEOS, self._first_clip, NUM_FRAMES)
        timed = self._time(lut)
        plan = make_plan(timed.slow, settings.rounds, settings.seed)
        self._announce(plan, timed)
        self._relay = self._stack.enter_context(RelayProcess(self._server.address, plan.trace))
        slow = self._scratch / "slow.json"
        self._order(do="connect", relay=self._relay.address, lut=slow, sla=str(plan.sla))
        with GrpcTransport(self._relay.address) as transport:
            self._round_trip_ms = min(transport.ping() for _ in range(5))
        with self._screen.table():
            self._answer_all(plan)
        return self._report(plan, timed, loaded["backend"])

    def _serve(self, port: int) -> ServerProcess:
        settings = self._settings
        server = ServerProcess(settings.family, port, settings.num_threads, self._root)
        self._stack.callback(server.stop)  # before the start, which an interrupt may hit
        return server

    def _order(self, **order: Any) -> dict[str, Any]:
        self._edge.send(**order)
        return self._edge.receive()

    def _time(self, lut: LUT) -> Timed:
        """Every arm on the device as it is, and as slow as it will be."""
        plain, slow = self._scratch / "lut.json", self._scratch / "slow.json"
        lut.save(plain)
        videos = [str(path) for path in self._videos[:NUM_TIMED]]
        facts: dict[str, Any] = {"do": "time", "server": self._server.address, "lut": plain, "videos": videos}
        self._screen.say("timing every arm, first with all of a core for the device")
        self._order(out=self._scratch / "unslowed.json", **facts)
        unslowed, how = LUT.load(self._scratch / "unslowed.json"), "nothing: the device has all of a core"
        if self._settings.slowdown > 1:
            pid = self._edge.pid
            assert pid is not None
            throttle = self._stack.enter_context(ThrottleProcess(pid, self._settings.slowdown))
            how = throttle.how
            self._screen.say(f"the device is held back by {how}; timing every arm again")
        self._order(out=slow, **facts)
        return Timed(unslowed, LUT.load(slow), how)

    def _announce(self, plan: Plan, timed: Timed) -> None:
        self._screen.say(
            f"the device takes {timed.slowdown:.1f} times as long as before, as measured\n"
            f"link: 50, 3 and 6 Mbps for {plan.segment_s:.0f} s each; the selector takes the fastest arm "
            f"that scores at least {plan.floor:.1f} %; beside it {', '.join(plan.contenders)} in turn"
        )

    def _answer_all(self, plan: Plan) -> None:
        """Clips and late questions until the trace is over, with one death of the server."""
        self._relay.restart_clock()
        self._start = time.monotonic()
        left = NUM_AFTERWARDS
        for number in count():
            if self._killed_s is None and self._now() >= KILL_AT * plan.segment_s:
                self._kill()
            is_away = self._is_away()
            chosen = self._answer(plan, number, "").arm
            for arm in plan.contenders if not is_away else ():
                if arm != chosen:
                    self._answer(plan, number, arm)
            if is_away:
                time.sleep(PAUSE_S)
            elif self._killed_s is not None:
                left -= 1
            is_too_long = is_away and self._now() > (self._killed_s or 0) + LONGEST_OUTAGE_S
            if self._now() >= 3 * plan.segment_s and (left <= 0 or is_too_long):
                break
        if self._is_away() and self._killed_s is not None:
            self._log.away.append((self._killed_s, self._now()))

    def _is_away(self) -> bool:
        """Whether the server that was killed has no successor yet; notes when it has one."""
        if self._killed_s is None or self._log.away:
            return False
        if self._restart.is_alive() or not self._server.is_running:
            return True
        self._log.away.append((self._killed_s, self._now()))
        return False

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _kill(self) -> None:
        """Kill the server as a crash would, and start another one at the same port behind the scenes."""
        port = self._server.port
        self._screen.say("the server is killed, and another one started")
        self._server.kill()
        self._server = self._serve(port)

        def start() -> None:
            with suppress(LinkError):  # it is stopped again, because the demo has ended
                self._server.start()

        self._killed_s = self._now()
        self._restart = threading.Thread(target=start, daemon=True)
        self._restart.start()

    def _answer(self, plan: Plan, number: int, arm: str) -> AskedRecord:
        """Send a clip, draw a question about it, ask it."""
        place = number % len(self._videos)
        second, video = self._now(), self._videos[place]
        sent = self._order(do="send", video=str(video), arm=arm)
        asked = self._draw(place, number)  # nobody knew it when the clip was sent
        answered = self._order(do="ask", clip=sent["clip"], question=asked.text)
        record = AskedRecord(
            second=round(second, 3),
            number=number,
            video=video.name,
            true_mbps=plan.bandwidth_at(second),
            measured_mbps=sent["measured_mbps"],
            arm=answered["arm"] or sent["arm"],
            is_chosen=not arm,
            send_ms=sent["ms"],
            ask_ms=answered["ms"],
            payload_bytes=sent["payload_bytes"],
            packet_bytes=sent["packet_bytes"],
            question_bytes=answered["packet_bytes"],
            fell_back=sent["fell_back"] or answered["fell_back"],
            question=asked.text,
            right_answer=asked.answer,
            answer=answered["answer"],
            reason=answered["reason"] or sent["reason"],
        )
        self._log.records.append(record)
        self._screen.show(record)
        return record

    def _draw(self, place: int, number: int) -> Question:
        """One question about a clip; the same for all arms that are asked about it."""
        if self._last is None or self._last[0] != number:
            script = draw_script(SPLIT, self._first_clip + place, NUM_FRAMES)
            self._last = number, _draw_question(script, self._random)
        return self._last[1]

    def _report(self, plan: Plan, timed: Timed, backend: str) -> Report:
        settings, records = self._settings, self._log.records
        return Report(
            family=settings.family,
            records=records,
            lut=timed.slow,
            unslowed=timed.unslowed,
            floor=plan.floor,
            trace=plan.trace,
            away=self._log.away,
            round_trip_ms=self._round_trip_ms,
            slowdown=timed.slowdown,
            strips=dict(find_strips(records, settings.folder / "videos")),
            command=settings.command,
            machine=f"{describe_machine()}; {backend} on the edge and on the server",
            date=datetime.date.today().isoformat(),
            notes=write_notes(settings.seed, plan, timed),
        )


def _draw_question(script: Script, random: np.random.Generator) -> Question:
    questions = draw_questions(script, int(random.integers(1, 2**31)))
    return questions[int(random.integers(len(questions)))]


def _without_missing(lut: LUT, arms: list[str], say: Any) -> LUT:
    """The rows of arms that this device has; says which of its arms were never measured."""
    unknown = [arm for arm in arms if arm not in lut.arms]
    if unknown:
        say(f"left out, as the LUT does not have them (run approxbit measure again): {', '.join(unknown)}")
    rows = tuple(row for row in lut.rows if row.arm in arms)
    if not rows:
        raise ValueError(
            f"the LUT must have arms of this device, {', '.join(arms)}, found {', '.join(lut.arms)}"
        )
    return replace(lut, rows=rows)


def _edge_process(settings: Settings, root: Path) -> ChildProcess:
    words = ["--family", settings.family, "--checkpoints", str(root), "--threads", str(settings.num_threads)]
    words += [] if settings.holds_model else ["--without-model"]
    return ChildProcess([sys.executable, "-m", "approxbit.demo.edge", *words], "the edge process")
