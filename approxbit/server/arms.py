"""The server's halves of all ways to answer a clip; see `approxbit.edge.arms.arm` for the whole picture.

CODE    packet -> bits -> packed code        -> decoder -> server half -> logits, or visual tokens
CLIP    packet -> pixels -> prepared clip    -> the unsplit model      -> likewise
VIDEO   packet -> H.264 -> prepared clip     -> the unsplit model      -> likewise
one by one, by `read`                   in batches, by `run`
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from approxbit.engines.questions import QuestionRunner, say
from approxbit.engines.runner import ClipFormat, ServerResult, ServerRunner, WholeRunner
from approxbit.errors import VideoError, WireError
from approxbit.tasks import Task
from approxbit.video.h264 import VIDEO_FORMAT, decode_h264
from approxbit.wire import (
    Answer,
    CodeFormat,
    Coding,
    Packet,
    Refusal,
    Status,
    Wanted,
    codings_of,
    pack,
    unpack,
)

_log = logging.getLogger("approxbit.server")


class ServerArm(Protocol):
    """The server's half of one way to answer a clip.

    Attributes:
        format_name: Of the packets that it answers, as `Packet.format_name`.
        fingerprint: Of the weights and the preprocessing that they must share with it.
        code_format: Of the codes that they hold, for sessions; None if they hold none.
    """

    format_name: str
    fingerprint: int
    code_format: CodeFormat | None

    def objection(self, packet: Packet) -> str:
        """What of a packet's shape is not this arm's; empty if it is one of its own.

        No shape from outside may decide how much is computed.
        """

    def read(self, packet: Packet, earlier: bytes | None = None) -> Any:
        """What `run` takes, of one packet to which there is no objection.

        Args:
            packet: What arrived.
            earlier: The packed code that an update builds on.

        Raises:
            WireError: The payload is not what an edge writes.
        """

    def run(self, inputs: Sequence[Any]) -> ServerResult:
        """Logits `[batch, class]`, or visual tokens, of what `read` gave."""


class CodesArm:
    """The codes of one configuration.

    Args:
        runner: Decoder and server half.
        clip_format: Of the backbone.
    """

    code_format: CodeFormat | None

    def __init__(self, runner: ServerRunner, clip_format: ClipFormat):
        self._format = clip_format.link_format(runner.code_format)
        self.code_format = self._format
        self.format_name = str(self._format.configuration)
        self.fingerprint = self._format.fingerprint
        self._runner = runner

    def objection(self, packet: Packet) -> str:
        """See `ServerArm`."""
        for field in ("feature_size", "num_tokens"):
            expected, found = getattr(self._format, field), getattr(packet, field)
            if found != expected:
                return f"{field}: expected {expected}, found {found}"
        codings = codings_of(self._format.prior)
        if packet.coding not in codings:
            known = ", ".join(f"{coding:d}" for coding in sorted(codings))
            return f"coding: expected one of {known} of {self.format_name}, found {packet.coding:d}"
        return ""

    def read(self, packet: Packet, earlier: bytes | None = None) -> bytes:
        """The packed code; see `ServerArm`."""
        if packet.coding == Coding.RAW:
            return packet.payload
        planes = None if earlier is None else unpack(earlier, packet.codebook_size, packet.num_positions)
        return pack(packet.planes(self._format.prior, planes))

    def run(self, inputs: Sequence[bytes]) -> ServerResult:
        """See `ServerArm`."""
        return self._runner.run(inputs)


class RawClipArm:
    """Clips as they are.

    Args:
        whole: The unsplit model.
    """

    format_name = "clip"
    code_format: CodeFormat | None = None

    def __init__(self, whole: WholeRunner):
        self.clip_format = whole.clip_format
        self.fingerprint = whole.clip_format.link_fingerprint()
        self._whole = whole

    def objection(self, packet: Packet) -> str:
        """See `ServerArm`."""
        expected, found = self.clip_format.frames_shape[:3], packet.feature_size
        return "" if found == expected else f"clip: expected the size {expected}, found {found}"

    def read(self, packet: Packet, earlier: bytes | None = None) -> np.ndarray:
        """The prepared clip; see `ServerArm`."""
        return self.clip_format.prepare(self.frames(packet))

    def frames(self, packet: Packet) -> np.ndarray:
        """The clip, uint8 `[time, height, width, 3]`.

        Raises:
            WireError: The payload is not such a clip.
        """
        return packet.clip()

    def run(self, inputs: Sequence[np.ndarray]) -> ServerResult:
        """See `ServerArm`."""
        result = self._whole.run(np.stack(inputs))
        return ServerResult(result.logits, 0.0, result.whole_ms)


class CompressedVideoArm(RawClipArm):
    """Clips as H.264, of whatever preset and rate factor, and never longer than the raw clip."""

    format_name = VIDEO_FORMAT

    def objection(self, packet: Packet) -> str:
        """See `ServerArm`."""
        most = int(np.prod(self.clip_format.frames_shape))
        if len(packet.payload) > most:
            return f"video: expected at most {most} bytes, found {len(packet.payload)}"
        return super().objection(packet)

    def frames(self, packet: Packet) -> np.ndarray:
        """The decoded clip; bytes of any origin need no more memory than it."""
        try:
            return decode_h264(packet.payload, *packet.feature_size)
        except VideoError as error:
            raise WireError(f"video: {error}") from error


class Asked(NamedTuple):
    """A packet to which its arm has no objection."""

    packet: Packet
    wanted: Wanted
    earlier: bytes | None = None
    """The packed code that an update builds on."""


class Answered(NamedTuple):
    """What comes of a packet."""

    reply: Answer | Refusal
    read: Any = None
    """What the arm read of the packet; None of one that is refused."""
    output: np.ndarray | None = None
    """The model's row for it: logits `[class]`, or visual tokens `[token, channel]`."""


def answer_all(
    arm: ServerArm, asked: Sequence[Asked], task: Task, questions: QuestionRunner | None = None
) -> list[Answered]:
    """The answers to a batch of packets, in their order. One that cannot be read is refused alone.

    Args:
        arm: Whose packets they are.
        asked: To which neither the arm nor `objection_to` has an objection.
        task: What the model's answers mean.
        questions: Of a model that answers questions.
    """
    answered: list[Answered] = []
    times_ms: list[float] = []
    for each in asked:
        start = time.perf_counter()
        try:
            read = arm.read(each.packet, each.earlier)
            answered.append(Answered(Refusal(each.packet.sequence), read))
        except WireError as error:
            answered.append(Answered(Refusal.of_error(each.packet.sequence, error)))
        times_ms.append(1000 * (time.perf_counter() - start))
    readable = [place for place, each in enumerate(answered) if each.read is not None]
    if readable:
        result = arm.run([answered[place].read for place in readable])
    for row, place in enumerate(readable):
        packet, wanted, _ = asked[place]
        output = result.logits[row]
        start = time.perf_counter()
        try:
            content = say(output, packet.request, wanted, task, questions)
            decode_ms = times_ms[place] + result.decode_ms
            server_ms = result.server_ms + (
                0.0 if questions is None else 1000 * (time.perf_counter() - start)
            )
            answer = Answer(packet.sequence, content, decode_ms, server_ms)
            answered[place] = Answered(answer, answered[place].read, output)
        except ValueError as error:
            answered[place] = Answered(failed(packet.sequence, error))
    return answered


def failed(sequence: int, error: Exception) -> Refusal:
    """The refusal that says that the server failed, and its line in the log. To be called where it did."""
    _log.exception("packet %d", sequence)
    reason = f"the server failed with {type(error).__name__}, its log says more"
    return Refusal(sequence, reason, Status.FAILED)
