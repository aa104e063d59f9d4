"""The clip as H.264."""

from __future__ import annotations

import time

import numpy as np

from approxbit.edge.arms.arm import Encoded, ms_since
from approxbit.engines.runner import ClipFormat
from approxbit.video.h264 import PRESETS, VIDEO_FORMAT, encode_h264
from approxbit.wire import Packet, Request
from approxbit.wire.request import NOTHING_SAID

DEFAULT_CRFS = (23, 32, 40)
"""x264's default, which answers as the raw clip does; about a quarter of its bytes; and about a tenth.

At 16 frames of 64 x 64 pixels that is 6,000, 1,300 and 560 bytes with `superfast`, and 2,500, 850 and 500
with `veryslow`.
"""


class CompressedVideoArm:
    """x264 at one preset and one rate factor; the server decodes it and has the whole model.

    Args:
        clip_format: Of the backbone.
        preset: Of `approxbit.video.h264.PRESETS`.
        crf: Constant rate factor, 0 to 51: the axis of sizes.
    """

    code_format = None
    crosses_link = True

    def __init__(self, clip_format: ClipFormat, preset: str, crf: int):
        self.name = f"h264-{preset}-crf{crf}"
        self._options = preset, crf
        self._fingerprint = clip_format.link_fingerprint()

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        """The packet of a clip; see `EdgeArm`."""
        start = time.perf_counter()
        video = encode_h264(frames, *self._options)
        time_, height, width, _ = frames.shape
        packet = Packet.of_video(
            video, VIDEO_FORMAT, (time_, height, width), self._fingerprint, request=request
        )
        return Encoded(0.0, ms_since(start), packet)


def compressed_video_arms(clip_format: ClipFormat) -> list[CompressedVideoArm]:
    """Every preset at every default rate factor, the smallest packets last."""
    return [CompressedVideoArm(clip_format, preset, crf) for preset in PRESETS for crf in DEFAULT_CRFS]
