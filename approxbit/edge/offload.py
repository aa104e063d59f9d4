"""One clip on its way: packet out, reply in, and what it cost."""

import time
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np

from approxbit.edge.answer import Parts
from approxbit.edge.transport import Transport
from approxbit.engines.runner import CodeFormat, EdgeRunner
from approxbit.errors import LinkError, WireError
from approxbit.select import SERVER_ONLY
from approxbit.wire import Answer, Kind, Packet, Refusal, Status, read_reply, unpack

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
        payload_bytes: Of the code as it crossed, or of the clip.
        packet_bytes: With the header.
        parts: Where the time went, as far as it is known here.
    """

    arm: str
    logits: np.ndarray
    payload_bytes: int
    packet_bytes: int
    parts: Parts


def offload_code(
    transport: Transport, runner: EdgeRunner, clip: np.ndarray, sequence: int, timeout_s: Callable[[], float]
) -> Offload:
    """Compute the code of a prepared clip, and let the server answer it.

    Args:
        transport: The way to the server.
        runner: Edge half and encoder.
        clip: float32 `[3, time, height, width]`.
        sequence: Number of the clip.
        timeout_s: Asked when the packet is ready.

    Raises:
        LinkError: There was no answer, or a refusal (`RefusedError`).
        WireError: The reply is malformed, or belongs to another packet.
    """
    result = runner.run(clip)
    start = time.perf_counter()
    packet = make_packet(runner.code_format, result.payload, sequence)
    data = packet.to_bytes()
    encode_ms = result.encode_ms + _ms_since(start)
    answer, link_ms = _exchange(transport, data, sequence, timeout_s())
    parts = Parts(
        edge_ms=result.edge_ms,
        encode_ms=encode_ms,
        link_ms=link_ms,
        decode_ms=answer.decode_ms,
        server_ms=answer.server_ms,
    )
    return Offload(str(packet.configuration), answer.logits, len(packet.payload), len(data), parts)


def make_packet(code_format: CodeFormat, packed: bytes, sequence: int = 0) -> Packet:
    """The packet of a packed code: entropy coded if its codec has a prior, and never longer than packed.

    Args:
        code_format: Of the runner that made the code.
        packed: The code.
        sequence: Number of the clip.

    Raises:
        WireError: `packed` is not a code of that format.
    """
    configuration, size = code_format.configuration, code_format.feature_size
    rest = (code_format.num_tokens, code_format.fingerprint, sequence)
    if code_format.prior is None:
        return Packet(Kind.CODE, configuration, size, packed, *rest)
    planes = unpack(packed, configuration.codebook_size, code_format.num_positions)
    return Packet.of_code(configuration, size, planes, *rest, prior=code_format.prior)


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
    packet = Packet.of_clip(frames, fingerprint, sequence).to_bytes()
    encode_ms = _ms_since(start)
    answer, link_ms = _exchange(transport, packet, sequence, timeout_s())
    parts = Parts(
        encode_ms=encode_ms, link_ms=link_ms, decode_ms=answer.decode_ms, server_ms=answer.server_ms
    )
    return Offload(SERVER_ONLY, answer.logits, frames.nbytes, len(packet), parts)


def _exchange(transport: Transport, packet: bytes, sequence: int, timeout_s: float) -> Tuple[Answer, float]:
    """The answer, and the milliseconds of the call that the server did not compute in."""
    start = time.perf_counter()
    data = transport.send(packet, timeout_s)
    call_ms = _ms_since(start)
    reply = read_reply(data)
    if isinstance(reply, Refusal):
        raise RefusedError(reply)
    if reply.sequence != sequence:
        raise WireError(f"the reply must be to packet {sequence}, found one to packet {reply.sequence}")
    return reply, max(0.0, call_ms - reply.decode_ms - reply.server_ms)


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
