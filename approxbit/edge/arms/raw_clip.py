"""The clip as it is."""

from __future__ import annotations

import time

import numpy as np

from approxbit.edge.arms.arm import Encoded, ms_since
from approxbit.engines.runner import ClipFormat
from approxbit.select import SERVER_ONLY
from approxbit.wire import Packet, Request
from approxbit.wire.request import NOTHING_SAID


class RawClipArm:
    """All pixels cross; the server has the whole model.

    Args:
        clip_format: Of the backbone.
    """

    name = SERVER_ONLY
    code_format = None
    crosses_link = True

    def __init__(self, clip_format: ClipFormat):
        self._fingerprint = clip_format.link_fingerprint()

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The packet of a clip; see `EdgeArm`."""
        start = time.perf_counter()
        packet = Packet.of_clip(frames, self._fingerprint, request=request)
        return Encoded(0.0, ms_since(start), packet)
