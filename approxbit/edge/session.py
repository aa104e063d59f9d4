"""The session on the device: one answer for each clip, from the server or, failing that, from the device."""

import time
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, Iterable, NamedTuple, Optional, Set, Tuple

import numpy as np

from approxbit.edge.answer import EdgeAnswer, Outcome
from approxbit.edge.arms.arm import EdgeArm, ms_since
from approxbit.edge.asking import SentClip
from approxbit.edge.exchange import Exchange, RefusedError
from approxbit.edge.meter import LinkMeter, ProbePolicy, Probing
from approxbit.edge.transport import Transport
from approxbit.edge.watch import LinkWatch
from approxbit.edge.windows import NUM_SEQUENCES, Windows
from approxbit.engines.runner import ClipFormat
from approxbit.errors import LinkError, WireError
from approxbit.link import BandwidthEstimator
from approxbit.select import LUT, SLA, Choice, LatencySLA, latency_ms, select
from approxbit.wire import AnswerKind, Status, Text, Wanted, warm_up
from approxbit.wire.content import DEFAULT_WANTED

SHORTEST_WAIT_MS = 1.0
"""With less than this left, a clip is not worth breaking off for."""

SOONEST_MS = 0.001
"""What is left of a latency bound that has passed already: nothing keeps it; the fastest arm is chosen."""

PATIENCE = 1.5
"""How many times its expected time an offload gets at least, before the device answers by itself."""


OF_QUESTIONS = (Status.UNSUPPORTED, Status.MALFORMED)
"""How a server refuses a question that its model does not take."""

NO_FALLBACK = "; without a whole model on the device there is no fallback"
NO_HEAD = (
    "; the device cannot answer questions by itself, as its graphs end with visual tokens: with torch it "
    "can, by `approxbit run --runner torch` or approxbit.profiling.torch_device.open_torch_device"
)


@dataclass(frozen=True)
class SessionPolicy:
    """How long a session waits for what.

    Attributes:
        timeout_s: For an answer. Under a latency SLA that the device can keep alone a session waits only as
            long as leaves the device the time for that, but at least `PATIENCE` times the expected time.
        first_retry_s: After a failure, before the first ping.
        longest_retry_s: Between later pings, whose waits double up to it; also before a refused arm is
            tried again.
        probes: When and how the bandwidth is probed.
        key_every: Of windows that overlap, at least every so many packets is a key packet; 1 for no updates.
    """

    timeout_s: float = 5.0
    first_retry_s: float = 0.1
    longest_retry_s: float = 5.0
    probes: ProbePolicy = field(default_factory=ProbePolicy)
    key_every: int = 30


class _Job(NamedTuple):
    """One clip or question that is under way."""

    clip: SentClip
    question: Optional[Text]
    sequence: int
    start: float
    capture_ms: float = 0.0
    prepare_ms: float = 0.0


class EdgeSession:
    """Answers clips one after the other; not for several threads at once.

    ```
    frames -> look at the link -> select -> arm: packet -> transport -> answer
                                     |                        | failed or refused
                                     +--> edge-only  <--------+
    ```

    Every clip has exactly one answer. When the server does not answer, answers too late or refuses, the
    device answers by itself with the arm that needs no link; without one, `answer` raises. After a failure
    nothing is sent until a ping comes back; the pings run beside the clips and keep none of them waiting. An
    arm that the server refuses (other weights or preprocessing, unknown configuration) is left out for
    `longest_retry_s`.

    Clips may be windows of one video that overlap: say to `answer` how far each moved. The packet of a
    window then holds only what the one before does not tell, if its codec's prior has tables of updates.

    Where text is wanted, the model answers questions: `answer` takes one with a clip, and `ask` more about a
    clip that was answered, which does not cross again.

    The bandwidth comes from the session's own packets. When those are too small to tell, or the estimate is
    old, a probe of some kilobytes precedes the clip, and before the first code a hello. They are no part of
    the clip's latency, because they belong to the pause between clips: call `refresh` there to keep them out
    of the way.

    Args:
        arms: All that the device can do, of different names.
        transport: The way to the server; the caller closes it.
        lut: Measured rows. Those of other arms are left out.
        sla: What the user asks for; may be set to another one between two clips.
        clip_format: How frames become a clip.
        estimator: Collects the bandwidth.
        policy: How long to wait for what.
        wanted: Which kind of answer, from whatever arm.

    Raises:
        ValueError: The LUT has no arm that the session can run.
    """

    def __init__(
        self,
        arms: Iterable[EdgeArm],
        transport: Transport,
        lut: LUT,
        sla: SLA,
        clip_format: ClipFormat,
        estimator: Optional[BandwidthEstimator] = None,
        policy: Optional[SessionPolicy] = None,
        wanted: Wanted = DEFAULT_WANTED,
    ):
        self.sla = sla
        self.policy = policy or SessionPolicy()
        self._arms = {arm.name: arm for arm in arms}
        formats = [arm.code_format for arm in self._arms.values()]
        if any(each is not None and each.prior is not None for each in formats):
            warm_up()  # or the first clip would wait for the compiler
        self._fallback = next((arm for arm in self._arms.values() if not arm.crosses_link), None)
        self._clip_format = clip_format
        self._takes_questions = wanted.kind == AnswerKind.TEXT
        self._lut = _restrict(lut, set(self._arms))
        self._accuracies = {row.arm: row.accuracy for row in lut.rows}
        self._refused_until: Dict[str, float] = {}
        self._sequence = 0
        self._transport = transport
        self._windows = Windows(clip_format.num_frames, self.policy.key_every)
        self._exchange = Exchange(transport, self._arms.values(), wanted, self._windows)
        self._meter = LinkMeter(transport, estimator or BandwidthEstimator(), self.policy.probes)
        self._watch = LinkWatch(self._ping, self.policy.first_retry_s, self.policy.longest_retry_s)

    def __enter__(self) -> "EdgeSession":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def link_is_up(self) -> bool:
        """Whether the next clip may be offloaded."""
        return self._watch.is_up

    def wait_for_link(self, timeout_s: float) -> bool:
        """Wait until the link is up; returns whether it is."""
        return self._watch.wait_until_up(timeout_s)

    def close(self) -> None:
        """Stop looking at the link."""
        self._watch.close()

    def refresh(self) -> Probing:
        """Look at the link, for a pause between two clips. A failure marks it down.

        A hello is said if no session is open, and the link is probed if the estimate is stale.
        """
        if not self._watch.is_up:
            return Probing()
        try:
            hello_bytes = self._open()
            probing = self._meter.refresh() if self._meter.is_stale else Probing()
        except (LinkError, WireError) as error:
            self._mark_down(str(error))
            return Probing()
        return replace(probing, num_bytes=probing.num_bytes + hello_bytes)

    def answer(
        self,
        frames: np.ndarray,
        shift_frames: Optional[int] = None,
        captured_s: Optional[float] = None,
        question: Optional[Text] = None,
    ) -> EdgeAnswer:
        """The one answer to one clip.

        Args:
            frames: RGB, uint8, `[time, height, width, 3]`.
            shift_frames: How many frames after the clip before it this one starts, if the clips are windows
                that overlap; any number for the first of them. None for a clip of its own.
            captured_s: When the last frame was captured, on the clock of `time.monotonic`: the latency, and
                with it the SLA, counts from there. By default it counts from now.
            question: About the clip, where text is wanted; more can be asked later.

        Raises:
            ValueError: The frames are not those of a clip, `shift_frames` is negative, `captured_s` lies in
                the future, or the device, which answers alone, does not take the question.
            LinkError: The server did not answer and no arm of the device works alone, or the server does not
                take the question (`RefusedError`).
        """
        now = time.monotonic()
        if captured_s is not None and captured_s > now:
            raise ValueError(f"captured_s must not be after now, {now:.3f}, found {captured_s:.3f}")
        probing = self.refresh()
        sequence = self._next_sequence()
        capture_ms = 0.0 if captured_s is None else 1000 * (time.monotonic() - captured_s)
        start = time.perf_counter() - capture_ms / 1000
        clip = SentClip(self._clip_format.crop(frames))
        if self._takes_questions:  # which may come when the caller has written something else there
            clip.frames = clip.frames.copy()
            clip.frames.flags.writeable = False
        prepare_ms = ms_since(start) - capture_ms
        self._windows.move(shift_frames)
        return self._answer_job(_Job(clip, question, sequence, start, capture_ms, prepare_ms), probing)

    def ask(self, clip: SentClip, question: Text) -> EdgeAnswer:
        """The answer to a question about an earlier clip of this session, to which `answer` gave a `clip`.

        Where the server has the clip, only the question crosses, whatever arm the SLA would choose. Else the
        clip is sent again with it.

        Args:
            clip: Of an earlier answer.
            question: About it.

        Raises:
            ValueError: The device, which answers alone, does not take the question.
            LinkError: As for `answer`.
        """
        probing = self.refresh()
        return self._answer_job(_Job(clip, question, self._next_sequence(), time.perf_counter()), probing)

    def _next_sequence(self) -> int:
        sequence, self._sequence = self._sequence, (self._sequence + 1) % NUM_SEQUENCES
        return sequence

    def _answer_job(self, job: _Job, probing: Probing) -> EdgeAnswer:
        choice, outcome, reason = self._try_server(job)
        fell_back, lost_ms = outcome is None, 0.0
        if outcome is None:
            lost_ms = ms_since(job.start) - job.prepare_ms - job.capture_ms
            outcome = self._answer_alone(job, reason)
        latency = ms_since(job.start)
        known = {"capture_ms": job.capture_ms, "prepare_ms": job.prepare_ms, "lost_ms": lost_ms}
        return EdgeAnswer(
            **{**vars(outcome), "parts": replace(outcome.parts, **known)},
            sequence=job.sequence,
            latency_ms=latency,
            meets_sla=self.sla.is_met_by(latency, self._accuracies.get(outcome.arm, 0.0)),
            fell_back=fell_back,
            reason=reason,
            choice=choice,
            bandwidth_mbps=self._meter.bandwidth_mbps,
            round_trip_ms=self._meter.round_trip_ms,
            probing=probing,
            question="" if job.question is None else job.question.value,
            clip=job.clip if self._takes_questions else None,
        )

    def _open(self) -> int:
        now = time.monotonic()
        expired = [arm for arm, until in self._refused_until.items() if until <= now]
        for arm in expired:
            del self._refused_until[arm]
        if expired:
            self._exchange.close()  # the server may have other weights by now
        try:
            num_bytes = self._exchange.open(self.policy.probes.timeout_s)
        except RefusedError:
            return 0  # too much to do; the next code tries again
        for arm in self._exchange.refused:
            self._refused_until.setdefault(arm, now + self.policy.longest_retry_s)
        return num_bytes

    def _try_server(self, job: _Job) -> Tuple[Optional[Choice], Optional[Outcome], str]:
        """Choice, outcome and, where there is no outcome, the reason."""
        if not self._watch.is_up:
            return None, None, "the link is down: " + self._watch.reason
        clip, sent, question = job.clip, job.clip.sent, job.question
        if sent is not None and question is not None:
            outcome, reason = self._attempt(
                job, sent.arm, lambda: self._exchange.ask(clip, question, job.sequence, self._timeout_s)
            )
            return None, outcome, reason
        choice = self._choose(job.capture_ms)
        if choice is None:
            return None, None, "the server refuses all arms: " + ", ".join(self._refused_until)
        arm, patience_s = self._arms[choice.arm], self._patience_s(choice, job.start)
        outcome, reason = self._attempt(
            job,
            arm,
            lambda: self._exchange.answer(arm, clip.frames, job.sequence, patience_s, question, clip),
        )
        return choice, outcome, reason

    def _attempt(
        self, job: _Job, arm: EdgeArm, get_outcome: Callable[[], Outcome]
    ) -> Tuple[Optional[Outcome], str]:
        """An outcome, or why there is none, and what follows from that for the arm or the link."""
        try:
            outcome = get_outcome()
        except RefusedError as error:
            if job.question is not None and error.status in OF_QUESTIONS:
                raise  # the arm is as good as before: this is between the user and the model
            if error.is_lasting:
                self._refused_until[arm.name] = time.monotonic() + self.policy.longest_retry_s
            return None, str(error)
        except (LinkError, WireError) as error:
            self._mark_down(str(error))
            return None, str(error)
        if outcome.packet_bytes:
            self._meter.observe(outcome.packet_bytes, outcome.parts.link_ms)
        return outcome, ""

    def _timeout_s(self) -> float:
        return self.policy.timeout_s

    def _choose(self, capture_ms: float) -> Optional[Choice]:
        now = time.monotonic()
        refused = {arm for arm, until in self._refused_until.items() if now < until}
        lut = _without(self._lut, refused)
        if lut is None:
            return None
        sla = self.sla
        if isinstance(sla, LatencySLA):  # of which the way from the camera has taken its part
            sla = LatencySLA(max(SOONEST_MS, sla.max_ms - capture_ms))
        return select(lut, self._meter.bandwidth_mbps, sla, self._meter.round_trip_ms)

    def _patience_s(self, choice: Choice, start: float) -> Callable[[], float]:
        """Asked when something is ready to be sent: how long the server's answer may take."""

        def patience_s() -> float:
            limit_ms = 1000 * self.policy.timeout_s
            if isinstance(self.sla, LatencySLA) and self._fallback and self._fallback.name in self._lut.arms:
                alone_ms = latency_ms(self._lut.row(self._fallback.name), bandwidth_mbps=0)
                expected_ms = max(0.0, choice.latency_ms - choice.row.edge_ms - choice.row.encode_ms)
                left_ms = self.sla.max_ms - ms_since(start) - alone_ms
                if left_ms >= max(SHORTEST_WAIT_MS, PATIENCE * expected_ms):
                    limit_ms = min(limit_ms, left_ms)
            return limit_ms / 1000

        return patience_s

    def _answer_alone(self, job: _Job, reason: str) -> Outcome:
        if self._fallback is None:
            raise LinkError(reason + (NO_HEAD if self._takes_questions else NO_FALLBACK))
        return self._exchange.answer(
            self._fallback, job.clip.frames, job.sequence, lambda: 0.0, job.question, job.clip
        )

    def _mark_down(self, reason: str) -> None:
        self._refused_until.clear()
        self._exchange.close()
        self._meter.forget()
        self._watch.mark_down(reason)

    def _ping(self) -> None:
        self._transport.ping(self.policy.probes.timeout_s)


def _restrict(lut: LUT, arms: Set[str]) -> LUT:
    restricted = _without(lut, set(lut.arms) - arms)
    if restricted is None:
        raise ValueError(
            "the LUT must have an arm that the session can run ({}), found {}".format(
                ", ".join(sorted(arms)), ", ".join(lut.arms)
            )
        )
    return restricted


def _without(lut: LUT, arms: Set[str]) -> Optional[LUT]:
    """The LUT without some arms; None if none is left."""
    rows = tuple(row for row in lut.rows if row.arm not in arms)
    return replace(lut, rows=rows) if rows else None
