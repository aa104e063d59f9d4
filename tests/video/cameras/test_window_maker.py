"""What the process of a camera says becomes windows, and nonsense is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from approxbit.errors import LinkError
from approxbit.video.cameras import CameraCounts, Dropped
from approxbit.video.cameras.follower import WindowMaker
from approxbit.video.cameras.handout import Handout
from approxbit.video.cameras.ring import FrameRing

RING_FRAMES = 8


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    descriptor = FrameRing.make(RING_FRAMES, size=2)
    yield FrameRing(descriptor, RING_FRAMES, size=2)
    os.close(descriptor)


@pytest.fixture
def handout() -> Handout:
    return Handout()


@pytest.fixture
def maker(ring: FrameRing, handout: Handout) -> WindowMaker:
    return WindowMaker("gate", ring, num_frames=4, stride=2, handout=handout)


def show(maker: WindowMaker, ring: FrameRing, num_frames: int) -> None:
    for _ in range(num_frames):
        number = int(ring._num_written[0])
        ring.append(np.full((2, 2, 3), number, np.uint8))
        maker.hear({"frame": number, "captured_s": number / 10})


def test_the_newest_window_wins(maker: WindowMaker, ring: FrameRing, handout: Handout) -> None:
    maker.hear({"connected": True})
    show(maker, ring, 4)
    first = handout.take()
    assert first is not None
    assert first.frames[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert (first.camera, first.captured_s, first.stream) == ("gate", 0.3, 0)
    show(maker, ring, 6)
    assert handout.has_window
    second = handout.take()
    assert second is not None
    assert second.frames[:, 0, 0, 0].tolist() == [6, 7, 8, 9]
    assert (second.start_frame, second.shift_frames) == (6, 4)  # they do not overlap
    assert (handout.take(), handout.has_window) == (None, False)
    assert handout.counts == CameraCounts(10, 4, 2, Dropped(too_late=2), connections=1)


def test_windows_that_are_open_are_cut_off(maker: WindowMaker, ring: FrameRing, handout: Handout) -> None:
    for num_frames, cause in ((7, "gap"), (3, "damage"), (1, "reconnect")):
        show(maker, ring, num_frames)
        for _ in range(2):  # nothing came since: nothing is cut off
            maker.hear({"cut": cause, "reason": f"because of {cause}"})
    assert maker.reason == "because of reconnect"
    # Of seven frames, the windows from 4 and 6; of three, those from 0 and 2.
    assert handout.counts.dropped == Dropped(too_late=1, gap=2, damage=2, reconnect=1)
    show(maker, ring, 4)
    window = handout.take()
    assert window is not None
    assert (window.stream, window.start_frame, window.shift_frames) == (3, 0, 4)


def test_a_window_that_was_overwritten_meanwhile_is_too_late(
    maker: WindowMaker, ring: FrameRing, handout: Handout
) -> None:
    for _ in range(RING_FRAMES + 1):
        ring.append(np.zeros((2, 2, 3), np.uint8))
    for number in range(4):
        maker.hear({"frame": number})
    assert handout.counts == CameraCounts(frames=4, made=1, dropped=Dropped(too_late=1))


def test_what_was_not_written_is_not_read(ring: FrameRing) -> None:
    for number in range(RING_FRAMES + 2):
        ring.append(np.full((2, 2, 3), number, np.uint8))
    assert ring.read(8, 3) is None
    assert ring.read(2, 2) is None  # the next frame may be on its way into this place
    copy = ring.read(3, 7)
    assert copy is not None
    assert copy[:, 0, 0, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_no_frame_was_captured_in_the_future(maker: WindowMaker, ring: FrameRing, handout: Handout) -> None:
    show(maker, ring, 3)
    ring.append(np.zeros((2, 2, 3), np.uint8))
    maker.hear({"frame": 3, "captured_s": 1e12})
    window = handout.take()
    assert window is not None
    assert window.captured_s <= time.monotonic()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"frame": "3"}, "the process of gate: frame: expected a whole number"),
        ({"nothing": 1}, "the process of gate: expected the keys connected, .*; unknown: 'nothing'"),
        ({"frame": 5}, "expected frame 1, found 5"),
        ({"cut": "too_late"}, "expected a cut of gap, reconnect, damage, found 'too_late'"),
    ],
)
def test_nonsense_is_refused(said: Any, complaint: str, maker: WindowMaker, ring: FrameRing) -> None:
    show(maker, ring, 1)
    with pytest.raises(LinkError, match=complaint):
        maker.hear(said)
