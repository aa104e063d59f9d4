"""What a session returns for one clip."""

from dataclasses import dataclass
from typing import Optional, Tuple

from approxbit.edge.asking import SentClip
from approxbit.edge.meter import Probing
from approxbit.select import Choice
from approxbit.wire import Content, Text


@dataclass(frozen=True)
class Parts:
    """Where the time of one clip went; the parts add up to its latency, up to some microseconds.

    Attributes:
        capture_ms: From the capture of the last frame until the session was given it, where that is known.
        prepare_ms: Cropping the frames.
        edge_ms: The model's part on the device.
        encode_ms: From there to the packet or the answer.
        link_ms: From the packet to its answer, without the server's own time: upload and round trip.
        decode_ms: From the packet to what the model's part on the server takes.
        server_ms: The model's part on the server.
        lost_ms: Spent on an arm that failed before the device answered by itself.
    """

    capture_ms: float = 0.0
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
        return float(sum(vars(self).values()))


@dataclass(frozen=True)
class Outcome:
    """How one arm answered one clip, and what that cost.

    Attributes:
        arm: Its name.
        answer: The likeliest classes or logits, as asked for, whose names `Device.rank` gives; or the text
            that answers a question.
        parts: Where the time went.
        payload_bytes: Of codes or clips that crossed; 0 where none did, as when the server had the clip. Of
            all packets, where one had to be sent again.
        packet_bytes: Of all that was sent for this clip, headers included.
        answer_bytes: Of all that came back.
        is_key: Whether the packet that was answered needed no earlier one to be read. False for an update of
            a window that overlaps the one before, and where no packet was sent.
    """

    arm: str
    answer: Content
    parts: Parts
    payload_bytes: int
    packet_bytes: int
    answer_bytes: int
    is_key: bool


@dataclass(frozen=True)
class EdgeAnswer(Outcome):
    """The one answer to one clip, or to one question about it.

    Attributes:
        sequence: Number of the clip, or of a question about an earlier clip, in its session, from 0.
        latency_ms: From the frames to the answer, without probes (`probing`); where it is known when the last
            frame was captured, from there, and with them.
        meets_sla: Whether latency and the arm's accuracy in the LUT keep the session's SLA.
        fell_back: Whether the device answered because the server did not.
        reason: Why it fell back; empty otherwise.
        choice: What the selector chose and expected; None when the link was known to be down.
        bandwidth_mbps: The estimate that the choice rests on.
        round_trip_ms: Likewise.
        probing: What looking at the link cost before this clip.
        labels: Names and probabilities of the likeliest classes, the likeliest first, as `approxbit.Edge`
            gives them; empty from a session, which does not know the task.
        question: That which was asked; empty where none was.
        clip: Of a family that answers questions, the clip, about which more can be asked.
    """

    sequence: int
    latency_ms: float
    meets_sla: bool
    fell_back: bool
    reason: str
    choice: Optional[Choice]
    bandwidth_mbps: float
    round_trip_ms: float
    probing: Probing
    labels: Tuple[Tuple[str, float], ...] = ()
    question: str = ""
    clip: Optional[SentClip] = None

    @property
    def label(self) -> str:
        """The name of the likeliest class; empty where `labels` is."""
        return self.labels[0][0] if self.labels else ""

    @property
    def text(self) -> str:
        """The answer to the question; empty where none was asked."""
        return self.answer.value if isinstance(self.answer, Text) else ""

    @property
    def is_late(self) -> bool:
        """Whether the server answered from what it kept, so that neither code nor clip crossed again."""
        return bool(self.packet_bytes) and not self.payload_bytes
