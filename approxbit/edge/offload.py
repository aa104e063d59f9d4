"""One clip on its way: packet out, reply in, and what it cost."""

import time
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np

from approxbit.edge.answer import Parts
from approxbit.edge.code_stream import CodeStream
from approxbit.edge.transport import Transport
from approxbit.engines.runner import EdgeRunner
from approxbit.errors import LinkError, WireError
from approxbit.select import SERVER_ONLY
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Logits,
    Packet,
    Refusal,
    Request,
    Status,
    Wanted,
    WindowPlace,
    read_reply,
)

ALL_LOGITS = Request(wanted=Wanted(AnswerKind.LOGITS, 0))

LASTING = (Status.WRONG_WEIGHTS, Status.UNSUPPORTED)


class RefusedError(LinkError):
    """The server was reached and refuses the packet.

    Args:
        refusal: What it said.
    """

    def __init__(self, refusal: Refusal):
        super().__init__(f"the server refuses packet {refusal.sequence}: {refusal.reason}")
        self.status = refusal.status

    @property
    def is_lasting(self) -> bool:
        """Whether the next packet of the same arm would be refused as well."""
        return self.status in LASTING


@dataclass(frozen=True)
class Offload:
    """How one clip was answered.

    Attributes:
        arm: What answered.
        logits: float32 `[class]`.
        payload_bytes: Of the code as it crossed, or of the clip; of both packets if an update had to be sent
            again as a key packet.
        packet_bytes: With the header.
        parts: Where the time went, as far as it is known here.
        is_key: Whether the packet that was answered needed no earlier one.
    """

    arm: str
    logits: np.ndarray
    payload_bytes: int
    packet_bytes: int
    parts: Parts
    is_key: bool = True


def offload_code(
    transport: Transport,
    runner: EdgeRunner,
    clip: np.ndarray,
    sequence: int,
    timeout_s: Callable[[], float],
    stream: Optional[CodeStream] = None,
) -> Offload:
    """Compute the code of a prepared clip, and let the server answer it.

    Args:
        transport: The way to the server.
        runner: Edge half and encoder.
        clip: float32 `[3, time, height, width]`.
        sequence: Number of the clip.
        timeout_s: Asked when a packet is ready.
        stream: Of the clips, for codes that may be coded against earlier ones. An update whose earlier code
            the server has not any more is sent again at once, as a key packet.

    Raises:
        LinkError: There was no answer, or a refusal (`RefusedError`).
        WireError: The reply is malformed, or belongs to another packet.
    """
    result = runner.run(clip)
    code_format, binding = runner.code_format, None if stream is None else stream.binding
    place, earlier = (None, None) if stream is None else stream.take_place(code_format, sequence)
    sent = [_send_code(transport, code_format, result.payload, sequence, timeout_s, binding, place, earlier)]
    if sent[0].answer is None:
        sent.append(_send_code(transport, code_format, result.payload, sequence, timeout_s, binding))
    last = sent[-1]
    assert last.answer is not None
    is_key = last.packet.coding != Coding.UPDATE
    if stream is not None:
        stream.acknowledge(code_format, sequence, result.payload, is_key)
    return Offload(
        arm=str(code_format.configuration),
        logits=_logits(last.answer),
        payload_bytes=sum(len(each.packet.payload) for each in sent),
        packet_bytes=sum(each.packet_bytes for each in sent),
        parts=Parts(
            edge_ms=result.edge_ms,
            encode_ms=result.encode_ms + sum(each.encode_ms for each in sent),
            link_ms=sum(each.link_ms for each in sent),
            decode_ms=last.answer.decode_ms,
            server_ms=last.answer.server_ms,
        ),
        is_key=is_key,
    )


class _Sent(NamedTuple):
    """A packet that was sent, what it cost, and its answer; None if the server needs a key packet instead."""

    packet: Packet
    packet_bytes: int
    encode_ms: float
    link_ms: float
    answer: Optional[Answer]


def _send_code(
    transport: Transport,
    code_format: CodeFormat,
    packed: bytes,
    sequence: int,
    timeout_s: Callable[[], float],
    binding: Optional[int],
    place: Optional[WindowPlace] = None,
    earlier: Optional[bytes] = None,
) -> _Sent:
    start = time.perf_counter()
    packet = code_format.packet(packed, sequence, binding, place, earlier, ALL_LOGITS)
    data = packet.to_bytes()
    encode_ms, start = _ms_since(start), time.perf_counter()
    try:
        answer, link_ms = _exchange(transport, data, sequence, timeout_s())
    except RefusedError as error:
        if error.status != Status.NEEDS_KEY or earlier is None:
            raise
        return _Sent(packet, len(data), encode_ms, _ms_since(start), None)
    return _Sent(packet, len(data), encode_ms, link_ms, answer)


def offload_clip(
    transport: Transport,
    frames: np.ndarray,
    fingerprint: int,
    sequence: int,
    timeout_s: Callable[[], float],
) -> Offload:
    """Let the server answer raw frames, uint8 `[time, height, width, 3]`.

    Raises:
        LinkError: There was no answer, or a refusal (`RefusedError`).
        WireError: The reply is malformed, or belongs to another packet.
    """
    start = time.perf_counter()
    packet = Packet.of_clip(frames, fingerprint, sequence, ALL_LOGITS).to_bytes()
    encode_ms = _ms_since(start)
    answer, link_ms = _exchange(transport, packet, sequence, timeout_s())
    parts = Parts(
        encode_ms=encode_ms, link_ms=link_ms, decode_ms=answer.decode_ms, server_ms=answer.server_ms
    )
    return Offload(SERVER_ONLY, _logits(answer), frames.nbytes, len(packet), parts)


def _exchange(transport: Transport, packet: bytes, sequence: int, timeout_s: float) -> Tuple[Answer, float]:
    """The answer, and the milliseconds of the call that the server did not compute in."""
    start = time.perf_counter()
    data = transport.send(packet, timeout_s)
    call_ms = _ms_since(start)
    reply = read_reply(data)
    if isinstance(reply, Refusal):
        raise RefusedError(reply)
    if not isinstance(reply, Answer):
        raise WireError(f"the reply must be an answer, found {type(reply).__name__}")
    if reply.sequence != sequence:
        raise WireError(f"the reply must be to packet {sequence}, found one to packet {reply.sequence}")
    return reply, max(0.0, call_ms - reply.decode_ms - reply.server_ms)


def _logits(answer: Answer) -> np.ndarray:
    if not isinstance(answer.content, Logits):
        raise WireError(f"the answer must hold logits, found {type(answer.content).__name__}")
    return answer.content.values


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
