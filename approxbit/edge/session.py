"""The session on the device: one answer for each clip, from the server or, failing that, from the device."""

import time
from dataclasses import dataclass, field, replace
from typing import Dict, Mapping, Optional, Set, Tuple

import numpy as np

from approxbit.edge.answer import EdgeAnswer, Parts
from approxbit.edge.code_stream import NUM_SEQUENCES, CodeStream
from approxbit.edge.meter import LinkMeter, ProbePolicy, Probing
from approxbit.edge.offload import Offload, RefusedError, offload_clip, offload_code
from approxbit.edge.transport import Transport
from approxbit.edge.watch import LinkWatch
from approxbit.engines.runner import ClipFormat, EdgeRunner, WholeRunner
from approxbit.errors import LinkError, WireError
from approxbit.link import BandwidthEstimator
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY, SLA, Choice, LatencySLA, select
from approxbit.wire import warm_up

SHORTEST_WAIT_MS = 1.0
"""With less than this left, a clip is not worth breaking off for."""

PATIENCE = 1.5
"""How many times its expected time an offload gets at least, before the device answers by itself."""


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


class EdgeSession:
    """Answers clips one after the other; not for several threads at once.

    ```
    frames -> look at the link -> select -> edge half + encoder -> packet -> transport -> answer
                                     |                                            | failed or refused
                                     +--> edge-only: the whole model  <-----------+
    ```

    Every clip has exactly one answer. When the server does not answer, answers too late or refuses, the
    device answers by itself with the whole model; without one, `answer` raises. After a failure nothing is
    sent until a ping comes back; the pings run beside the clips and keep none of them waiting. An arm whose
    packets the server refuses (other weights, unknown configuration) is left out for `longest_retry_s`.

    Clips may be windows of one stream that overlap: say to `answer` how far each moved. The packet of a
    window then holds only what the one before does not tell, if its codec's prior has tables of updates.

    The bandwidth comes from the session's own packets. When those are too small to tell, or the estimate is
    old, a probe of some kilobytes precedes the clip. It is no part of the clip's latency, because it belongs
    to the pause between clips: call `refresh` there to keep it out of the way.

    Args:
        runners: By configuration, such as `16-Enc-B5`.
        transport: The way to the server; the caller closes it.
        lut: Measured rows. Those that the session cannot run are left out.
        sla: What the user asks for; may be set to another one between two clips.
        clip_format: How frames become a clip.
        whole: The unsplit model on the device; without it there is no fallback.
        estimator: Collects the bandwidth.
        policy: How long to wait for what.

    Raises:
        ValueError: A runner stands under another configuration's name, or the LUT has no arm that the
            session can run.
    """

    def __init__(
        self,
        runners: Mapping[str, EdgeRunner],
        transport: Transport,
        lut: LUT,
        sla: SLA,
        clip_format: ClipFormat,
        whole: Optional[WholeRunner] = None,
        estimator: Optional[BandwidthEstimator] = None,
        policy: Optional[SessionPolicy] = None,
    ):
        self.sla = sla
        self.policy = policy or SessionPolicy()
        self._runners = _checked_runners(runners)
        if any(runner.code_format.prior is not None for runner in runners.values()):
            warm_up()  # or the first clip would wait for the compiler
        self._transport = transport
        self._clip_format = clip_format
        self._whole = whole
        self._lut = _restrict(lut, {*runners, SERVER_ONLY} | ({EDGE_ONLY} if whole else set()))
        self._accuracies = {row.arm: row.accuracy for row in lut.rows}
        self._refused_until: Dict[str, float] = {}
        self._sequence = 0
        self._stream = CodeStream(clip_format.num_frames, self.policy.key_every)
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
        """Probe the link if the estimate is stale, for a pause between two clips. A failure marks it down."""
        if not self._watch.is_up or not self._meter.is_stale:
            return Probing()
        try:
            return self._meter.refresh()
        except LinkError as error:
            self._mark_down(str(error))
            return Probing()

    def answer(
        self,
        frames: np.ndarray,
        clip: Optional[np.ndarray] = None,
        shift_frames: Optional[int] = None,
    ) -> EdgeAnswer:
        """The one answer to one clip.

        Args:
            frames: RGB, uint8, `[time, height, width, 3]`.
            clip: The same frames prepared already, float32 `[3, time, size, size]`.
            shift_frames: How many frames after the clip before it this one starts, in a stream of windows
                that overlap; any number for the first of them. None for a clip of its own.

        Raises:
            ValueError: The frames are not those of a clip, or `shift_frames` is negative.
            LinkError: The server did not answer and there is no whole model on the device.
        """
        probing = self.refresh()
        sequence, self._sequence = self._sequence, (self._sequence + 1) % NUM_SEQUENCES
        start = time.perf_counter()
        frames = self._clip_format.crop(frames)
        clip = self._clip_format.prepare(frames) if clip is None else clip
        prepare_ms = _ms_since(start)
        stream = self._move_stream(shift_frames)
        choice, outcome, reason = self._try_choice(frames, clip, sequence, prepare_ms, stream)
        fell_back = outcome is None
        if outcome is None:
            outcome = self._answer_alone(clip, reason, lost_ms=_ms_since(start) - prepare_ms)
        latency_ms = _ms_since(start)
        return EdgeAnswer(
            sequence=sequence,
            logits=outcome.logits,
            arm=outcome.arm,
            payload_bytes=outcome.payload_bytes,
            packet_bytes=outcome.packet_bytes,
            is_key=outcome.is_key,
            parts=replace(outcome.parts, prepare_ms=prepare_ms),
            latency_ms=latency_ms,
            meets_sla=self.sla.is_met_by(latency_ms, self._accuracies.get(outcome.arm, 0.0)),
            fell_back=fell_back,
            reason=reason,
            choice=choice,
            bandwidth_mbps=self._meter.bandwidth_mbps,
            round_trip_ms=self._meter.round_trip_ms,
            probing=probing,
        )

    def _move_stream(self, shift_frames: Optional[int]) -> Optional[CodeStream]:
        if shift_frames is None:
            self._stream.forget()
            return None
        self._stream.move(shift_frames)
        return self._stream

    def _try_choice(
        self,
        frames: np.ndarray,
        clip: np.ndarray,
        sequence: int,
        prepare_ms: float,
        stream: Optional[CodeStream],
    ) -> Tuple[Optional[Choice], Optional[Offload], str]:
        """Choice, outcome and, where there is no outcome, the reason."""
        if not self._watch.is_up:
            return None, None, "the link is down: " + self._watch.reason
        choice = self._choose()
        if choice is None:
            return None, None, "the server refuses all arms: " + ", ".join(self._refused_until)
        if choice.arm == EDGE_ONLY:
            return choice, self._answer_alone(clip), ""
        try:
            return choice, self._offload(choice, frames, clip, sequence, prepare_ms, stream), ""
        except RefusedError as error:
            if error.is_lasting:
                self._refused_until[choice.arm] = time.monotonic() + self.policy.longest_retry_s
            return choice, None, str(error)
        except (LinkError, WireError) as error:
            self._mark_down(str(error))
            return choice, None, str(error)

    def _choose(self) -> Optional[Choice]:
        now = time.monotonic()
        refused = {arm for arm, until in self._refused_until.items() if now < until}
        lut = _without(self._lut, refused)
        if lut is None:
            return None
        return select(lut, self._meter.bandwidth_mbps, self.sla, self._meter.round_trip_ms)

    def _offload(
        self,
        choice: Choice,
        frames: np.ndarray,
        clip: np.ndarray,
        sequence: int,
        spent_ms: float,
        stream: Optional[CodeStream],
    ) -> Offload:
        start = time.perf_counter()

        def timeout_s() -> float:
            """Asked when the packet is ready: the rest of the clip's time."""
            return self._timeout_s(choice, spent_ms + _ms_since(start))

        if choice.arm == SERVER_ONLY:
            fingerprint = self._clip_format.fingerprint
            outcome = offload_clip(self._transport, frames, fingerprint, sequence, timeout_s)
        else:
            runner = self._runners[choice.arm]
            prior = runner.code_format.prior
            if prior is None or prior.update is None:
                stream = None  # no code of this arm could be coded against it
            outcome = offload_code(self._transport, runner, clip, sequence, timeout_s, stream)
        self._meter.observe(outcome.packet_bytes, outcome.parts.link_ms)
        return outcome

    def _timeout_s(self, choice: Choice, spent_ms: float) -> float:
        limit_ms = 1000 * self.policy.timeout_s
        if isinstance(self.sla, LatencySLA) and EDGE_ONLY in self._lut.arms:
            alone_ms = self._lut.row(EDGE_ONLY).edge_ms
            expected_ms = max(0.0, choice.latency_ms - choice.row.edge_ms - choice.row.encode_ms)
            left_ms = self.sla.max_ms - spent_ms - alone_ms
            if left_ms >= max(SHORTEST_WAIT_MS, PATIENCE * expected_ms):
                limit_ms = min(limit_ms, left_ms)
        return limit_ms / 1000

    def _answer_alone(self, clip: np.ndarray, reason: str = "", lost_ms: float = 0.0) -> Offload:
        if self._whole is None:
            raise LinkError(reason + "; without a whole model on the device there is no fallback")
        result = self._whole.run(clip)
        parts = Parts(edge_ms=result.whole_ms, lost_ms=lost_ms)
        return Offload(EDGE_ONLY, result.logits, 0, 0, parts, is_key=False)

    def _mark_down(self, reason: str) -> None:
        self._refused_until.clear()
        self._meter.forget()
        self._watch.mark_down(reason)

    def _ping(self) -> None:
        self._transport.ping(self.policy.probes.timeout_s)


def _checked_runners(runners: Mapping[str, EdgeRunner]) -> Mapping[str, EdgeRunner]:
    for name, runner in runners.items():
        if name != str(runner.code_format.configuration):
            raise ValueError(f"runners[{name!r}] is a runner of {runner.code_format.configuration}")
    return dict(runners)


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


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
