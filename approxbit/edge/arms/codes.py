"""The codes of one configuration."""

from __future__ import annotations

import time

import numpy as np

from approxbit.edge.arms.arm import Encoded, ms_since
from approxbit.engines.runner import EdgeRunner
from approxbit.wire import Request
from approxbit.wire.request import NOTHING_SAID


class CodesArm:
    """Edge half, encoder and entropy coding.

    Args:
        runner: Edge half and encoder.
    """

    crosses_link = True

    def __init__(self, runner: EdgeRunner):
        self.code_format = runner.clip_format.link_format(runner.code_format)
        self.name = str(self.code_format.configuration)
        self._runner = runner

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The packet of a clip's code; see `EdgeArm`."""
        start = time.perf_counter()
        clip = self._runner.clip_format.prepare(frames)
        edge_ms = ms_since(start)
        result = self._runner.run(clip)
        start = time.perf_counter()
        packet = self.code_format.packet(result.payload, request=request)
        encode_ms = result.encode_ms + ms_since(start)
        return Encoded(edge_ms + result.edge_ms, encode_ms, packet, code=result.payload)
