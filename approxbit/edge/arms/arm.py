"""What every way to answer a clip promises on the device; `approxbit.server.arms` has the other halves.

    edge     frames -> `EdgeArm.encode` -> packet ~~> server, or an answer where no server is needed
    server   packet -> `ServerArm.read` -> `ServerArm.answer_all` -> answer
    cost     `LUTRow`: parts of the latency, bytes and scores, as `approxbit measure` finds them

A method that is to be compared with ours is one such arm: the session, the server, the profile and the link
then treat it like any other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from approxbit.wire import CodeFormat, Content, Packet, Request
from approxbit.wire.request import NOTHING_SAID


@dataclass(frozen=True)
class Encoded:
    """What the device's half of an arm makes of one clip: a packet, or an answer.

    Attributes:
        edge_ms: The model's part on the device, preparation of the clip included; t_edge of Eq. 1, APPROXBIT.
        encode_ms: From there to the packet or the answer: t_enc.
        packet: For the server; None where the device has answered by itself.
        answer: The device's own; None where there is a packet.
        code: Of a packet that holds a code: the same code packed, so that windows may refer to it.

    Raises:
        ValueError: There are both or neither of packet and answer.
    """

    edge_ms: float
    encode_ms: float
    packet: Packet | None = None
    answer: Content | None = None
    code: bytes = b""

    def __post_init__(self) -> None:
        if (self.packet is None) == (self.answer is None):
            raise ValueError("expected a packet or an answer, found both or neither")


class EdgeArm(Protocol):
    """The device's half of one way to answer a clip."""

    @property
    def name(self) -> str:
        """As in a LUT: letters, digits and `_ . + -`."""

    @property
    def code_format(self) -> CodeFormat | None:
        """Of the codes that its packets hold, for sessions; None if they hold none."""

    @property
    def crosses_link(self) -> bool:
        """Whether it needs a server."""

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The packet of a clip, or its answer.

        Args:
            frames: Cropped as `ClipFormat.crop` does: RGB, uint8 `[time, height, width, 3]`.
            request: What shall be said of the clip.
        """


def ms_since(start: float) -> float:
    """Milliseconds on the clock of `time.perf_counter`."""
    return 1000 * (time.perf_counter() - start)
