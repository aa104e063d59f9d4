"""What the process of a camera says of the pictures that it takes."""

from __future__ import annotations

import os
import time
from typing import Any

import av
import numpy as np
import pytest

from approxbit.video.cameras import CameraPolicy, capture
from approxbit.video.cameras.picture import Picture, Reading
from approxbit.video.cameras.protocol import Settings
from approxbit.video.cameras.ring import FrameRing


def picture(grey: int, time_s: float, arrived_s: float) -> Picture:
    pixels = np.full((8, 8, 3), grey, np.uint8)
    return Picture(av.VideoFrame.from_ndarray(pixels, format="rgb24"), time_s, arrived_s)


def test_a_frame_that_is_repeated_is_as_old_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    now_s = time.monotonic()
    readings = [
        Reading((picture(10, 7.0, now_s - 2),)),
        Reading(damage="a bad packet"),
        Reading((picture(20, 7.1, now_s - 1.9),)),
        Reading((picture(30, 7.4, now_s - 1.6), picture(40, 7.42, now_s - 1.58))),
    ]
    monkeypatch.setattr(capture, "say", lambda **facts: said.append(facts))
    monkeypatch.setattr(capture, "read_pictures", lambda settings: (each for each in readings))
    settings = Settings("rtsp://camera/", 4, 10, CameraPolicy(), ring_frames=6)
    descriptor = FrameRing.make(6, 4)
    ring = FrameRing(descriptor, 6, 4)
    capture.Connection(settings, ring).follow()
    os.close(descriptor)
    assert said[:4] == [
        {},
        {"connected": True},
        {"frame": 0, "captured_s": pytest.approx(now_s - 2)},
        {"cut": "damage", "reason": "a bad packet"},
    ]
    assert [each["frame"] for each in said[4:]] == [1, 2, 3, 4]
    ages_s = [now_s - each["captured_s"] for each in said[4:]]
    assert ages_s == pytest.approx([1.9, 1.9, 1.9, 1.6])
    frames = ring.read(1, 4)
    assert frames is not None
    assert frames[:, 0, 0, 0].tolist() == [20, 20, 20, 30]
