"""What a session returns for one clip."""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from approxbit.edge.meter import Probing
from approxbit.select import Choice


@dataclass(frozen=True)
class Parts:
    """Where the time of one clip went; the parts add up to its latency, up to some microseconds.

    Attributes:
        prepare_ms: Cropping and normalising the frames.
        edge_ms: The model's part on the device; the whole model for `edge-only`.
        encode_ms: From feature to packed code.
        link_ms: From the packet to its answer, without the server's own time: upload and round trip.
        decode_ms: From packed code to feature, on the server.
        server_ms: The model's part on the server; the whole model for `server-only`.
        lost_ms: Spent on an offload that failed before the device answered by itself.
    """

    prepare_ms: float = 0.0
    edge_ms: float = 0.0
    encode_ms: float = 0.0
    link_ms: float = 0.0
    decode_ms: float = 0.0
    server_ms: float = 0.0
    lost_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """The sum of all parts."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class EdgeAnswer:
    """The one answer to one clip.

    Attributes:
        sequence: Number of the clip in its session, from 0.
        logits: float32 `[class]`.
        arm: What answered: a configuration, `server-only` or `edge-only`.
        payload_bytes: Bytes of the code or clip that crossed the link; 0 for `edge-only`.
        packet_bytes: The same with the packet's header.
        is_key: Whether the packet needed no earlier one to be read: False for an update of a window that
            overlaps the one before, and for `edge-only`.
        parts: Where the time went.
        latency_ms: From the frames to the answer. Probes are not in it (`probing`).
        meets_sla: Whether latency and the arm's accuracy in the LUT keep the session's SLA.
        fell_back: Whether the device answered because the server did not.
        reason: Why it fell back; empty otherwise.
        choice: What the selector chose and expected; None when the link was known to be down.
        bandwidth_mbps: The estimate that the choice rests on.
        round_trip_ms: Likewise.
        probing: What looking at the link cost before this clip.
    """

    sequence: int
    logits: np.ndarray
    arm: str
    payload_bytes: int
    packet_bytes: int
    is_key: bool
    parts: Parts
    latency_ms: float
    meets_sla: bool
    fell_back: bool
    reason: str
    choice: Optional[Choice]
    bandwidth_mbps: float
    round_trip_ms: float
    probing: Probing
