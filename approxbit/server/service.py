"""What a server does with the bytes that reach it, however they come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from approxbit.engines.runner import ServerResult, ServerRunner, WholeRunner
from approxbit.errors import WireError
from approxbit.server.streams import StreamCodes, StreamKey
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Kind,
    Packet,
    Refusal,
    Status,
    codings_of,
    pack,
    protocol,
    unpack,
    wanted_of,
)
from approxbit.wire.refusal import MAX_REASON_BYTES

OF_LOGITS = (AnswerKind.LOGITS, AnswerKind.TOP_K)

_log = logging.getLogger("approxbit.server")


class Service:
    """Many configurations of one backbone: a packet in, an answer or a refusal out.

    ```
    CODE  packet -> known configuration, size and weights -> bits -> decoder -> server half -> answer
    CLIP  packet -> the backbone's own clip size          -> normalise       -> backbone    -> answer
    ```

    The code of a packet that belongs to a session is kept once it was answered. An update is read with the
    code that it names; where that is not there any more, the packet is refused as `NEEDS_KEY`.

    Every call returns bytes, whatever came in. One packet is computed at a time, because torch uses all its
    threads for each; the others stand in line, and when the line is full they are refused as `BUSY`.

    Args:
        whole: The unsplit model, for clips.
        server_runners: By configuration, such as `16-Enc-B5`.
        max_in_line: Packets that are computed or wait, at least 1.
        stream_codes: Keeps the codes of streams; by default 64 MiB of them.

    Raises:
        ValueError: A runner stands under another configuration's name, or `max_in_line` is below 1.
    """

    def __init__(
        self,
        whole: WholeRunner,
        server_runners: Mapping[str, ServerRunner],
        max_in_line: int = 6,
        stream_codes: StreamCodes | None = None,
    ):
        if max_in_line < 1:
            raise ValueError(f"max_in_line must be at least 1, found {max_in_line}")
        for name, runner in server_runners.items():
            if name != str(runner.code_format.configuration):
                raise ValueError(
                    f"server_runners[{name!r}] is a runner of {runner.code_format.configuration}"
                )
        self.whole = whole
        self.server_runners = dict(server_runners)
        self.stream_codes = StreamCodes() if stream_codes is None else stream_codes
        self._line = threading.BoundedSemaphore(max_in_line)
        self._turn = threading.Lock()

    def answer(self, packet: bytes, is_wanted: Callable[[], bool] = lambda: True) -> bytes:
        """The bytes of an `Answer` or a `Refusal`; nothing is raised.

        Args:
            packet: Any bytes.
            is_wanted: Asked when the packet's turn comes; if nobody waits any more, nothing is computed.
        """
        sequence = 0
        try:
            received = Packet.from_bytes(packet)
            sequence = received.sequence
            return self._reply(received, is_wanted).to_bytes()
        except WireError as error:
            return Refusal.of_error(sequence, error).to_bytes()
        except Exception as error:  # whatever it is, the server goes on, and the edge must not wait in vain
            _log.exception("packet %d", sequence)
            reason = f"the server failed with {type(error).__name__}, its log says more"
            return _refuse(sequence, Status.FAILED, reason).to_bytes()

    def ping(self, payload: bytes) -> bytes:
        """The same bytes."""
        return payload

    def probe(self, payload: bytes) -> bytes:
        """How many bytes there were."""
        return protocol.pack_count(len(payload))

    def _reply(self, packet: Packet, is_wanted: Callable[[], bool]) -> Answer | Refusal:
        objection = self._objection(packet)
        if objection:
            return _refuse(packet.sequence, Status.UNSUPPORTED, objection)
        packet.check_fingerprint(self._fingerprint(packet))
        earlier = self._earlier(packet)
        if earlier is None and packet.coding == Coding.UPDATE:
            return _refuse(packet.sequence, Status.NEEDS_KEY, f"code {packet.earlier_sequence} is not here")
        if not self._line.acquire(blocking=False):
            return _refuse(packet.sequence, Status.BUSY, "too many packets wait, send this one again later")
        try:
            with self._turn:
                if not is_wanted():
                    return _refuse(packet.sequence, Status.FAILED, "nobody waits for the answer any more")
                result, packed = self._compute(packet, earlier)
        finally:
            self._line.release()
        content = wanted_of(packet).of_logits(result.logits)
        answer = Answer(packet.sequence, content, result.decode_ms, result.server_ms)
        if packet.binding is not None:  # only now: nothing is kept of a packet that is refused after all
            self.stream_codes.keep(_stream_key(packet), packet.sequence % 256, packed)
        return answer

    def _earlier(self, packet: Packet) -> bytes | None:
        """The packed code that an update was coded against, if it is here."""
        sequence = packet.earlier_sequence
        if packet.place is None or sequence is None:
            return None
        return self.stream_codes.find(_stream_key(packet), sequence, packet.place)

    def _objection(self, packet: Packet) -> str:
        """Why the packet is none that this server computes; empty if it is one."""
        if packet.request.question is not None or wanted_of(packet).kind not in OF_LOGITS:
            return "request: expected logits or the likeliest classes, and no question"
        if packet.kind == Kind.VIDEO:
            return "kind: expected a code or a clip, found a video"
        if packet.kind == Kind.CLIP:
            expected, found = self.whole.clip_format.frames_shape[:3], packet.feature_size
            return "" if found == expected else f"clip: expected the size {expected}, found {found}"
        name = _name_of(packet)
        if name not in self.server_runners:
            return f"configuration: found {name}, expected one of {', '.join(self.server_runners)}"
        return _misfit(self.server_runners[name].code_format, packet)

    def _fingerprint(self, packet: Packet) -> int:
        if packet.kind == Kind.CLIP:
            return self.whole.clip_format.fingerprint
        return self.server_runners[_name_of(packet)].code_format.fingerprint

    def _compute(self, packet: Packet, earlier: bytes | None) -> tuple[ServerResult, bytes]:
        """What comes out, and the packed code; of a clip, nothing."""
        if packet.kind == Kind.CODE:
            return answer_code(packet, self.server_runners[_name_of(packet)], earlier)
        start = time.perf_counter()
        clip = self.whole.clip_format.prepare(packet.clip())
        decode_ms = 1000 * (time.perf_counter() - start)
        whole = self.whole.run(clip)
        return ServerResult(whole.logits, decode_ms, whole.whole_ms), b""


def answer_code(
    packet: Packet, runner: ServerRunner, earlier: bytes | None = None
) -> tuple[ServerResult, bytes]:
    """The answer to a packet that holds a code of the runner's format, and the packed code.

    Args:
        packet: What arrived; unpacking it counts as `decode_ms`.
        runner: Of the packet's configuration.
        earlier: The packed code that an update builds on.

    Raises:
        WireError: The payload is not what its coding writes.
    """
    start = time.perf_counter()
    packed = _packed_code(packet, runner.code_format, earlier)
    coding_ms = 0.0 if packet.coding == Coding.RAW else 1000 * (time.perf_counter() - start)
    result = runner.run([packed])
    return ServerResult(result.logits[0], result.decode_ms + coding_ms, result.server_ms), packed


def _packed_code(packet: Packet, code_format: CodeFormat, earlier: bytes | None) -> bytes:
    if packet.coding == Coding.RAW:
        return packet.payload
    if earlier is None:
        return pack(packet.planes(code_format.prior))
    codebook_size = code_format.configuration.codebook_size
    return pack(packet.planes(code_format.prior, unpack(earlier, codebook_size, packet.num_positions)))


def _stream_key(packet: Packet) -> StreamKey:
    assert packet.binding is not None
    assert packet.configuration is not None
    return StreamKey(packet.binding, packet.configuration, packet.fingerprint)


def _name_of(packet: Packet) -> str:
    return str(packet.configuration)


def _misfit(expected: CodeFormat, packet: Packet) -> str:
    """What of a packet's shape is not the runner's: no shape from outside decides how much is computed."""
    for field in ("feature_size", "num_tokens"):
        if getattr(packet, field) != getattr(expected, field):
            return f"{field}: expected {getattr(expected, field)}, found {getattr(packet, field)}"
    codings = codings_of(expected.prior)
    if packet.coding not in codings:
        known = ", ".join(f"{coding:d}" for coding in sorted(codings))
        return f"coding: expected one of {known} of {expected.configuration}, found {packet.coding:d}"
    return ""


def _refuse(sequence: int, status: Status, reason: str) -> Refusal:
    return Refusal(sequence, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"), status)
