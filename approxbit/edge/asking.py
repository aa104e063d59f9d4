"""A clip that more can be asked about, and where the server has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from approxbit.edge.arms.arm import EdgeArm
from approxbit.wire import Binding, Packet


class Sent(NamedTuple):
    """What the server last answered about a clip.

    Attributes:
        arm: Whose packet it was.
        packet: The same as a key packet of no session, to send it again.
        code: Of a packet that holds a code: the same code packed.
        binding: Of the session that it belonged to.
        sequence: The number under which the server keeps it.
    """

    arm: EdgeArm
    packet: Packet
    code: bytes
    binding: Binding | None
    sequence: int


@dataclass(eq=False)
class SentClip:
    """A clip that more can be asked about; `approxbit.Edge.send` and every answer to a question have one.

    It holds the frames and the packet, because a server may forget what it keeps: then the clip is sent
    again, or the device answers by itself.

    Attributes:
        frames: Cropped, uint8 `[time, height, width, 3]`.
        sent: Where the server has it; None before an answer of the server's.
    """

    frames: np.ndarray
    sent: Sent | None = field(default=None, repr=False)
