"""Makes windows of what a camera's process says, and keeps such a process running."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.files import from_json, to_json
from approxbit.processes import ChildProcess
from approxbit.video.cameras.handout import Handout
from approxbit.video.cameras.protocol import CUTS, Message, Settings
from approxbit.video.cameras.retry import Retry
from approxbit.video.cameras.ring import FrameRing
from approxbit.video.cameras.window import Sliding, Window

COMMAND = (sys.executable, "-m", "approxbit.video.cameras")
_LOOK_S = 0.2
"""How often a thread that waits looks whether it is to end."""


class WindowMaker:
    """Turns what a camera's process says into windows; believes none of it.

    Args:
        name: Of the camera.
        ring: Where its frames are.
        num_frames: Of a window.
        stride: Frames from the start of a window to that of the next.
        handout: Where the windows go, and what counts them.
    """

    def __init__(self, name: str, ring: FrameRing, num_frames: int, stride: int, handout: Handout):
        self.reason = ""
        self._name = name
        self._ring = ring
        self._num_frames, self._stride = num_frames, stride
        self._handout = handout
        self._stream = 0
        self._first = 0  # number in the ring of the stream's first frame
        self._sliding = Sliding(num_frames, stride)

    def hear(self, said: Any) -> None:
        """Take one message.

        Raises:
            LinkError: It is none, or does not follow from those before it.
        """
        message = from_json(Message, said, f"the process of {self._name}", LinkError)
        if message.connected:
            self._handout.count(connections=1)
        if message.cut:
            if message.cut not in CUTS:
                raise LinkError(f"expected a cut of {', '.join(CUTS)}, found {message.cut!r}")
            self.cut(message.cut, message.reason)
        if message.frame is not None:
            self._add(message.frame, message.captured_s)

    def cut(self, cause: str, reason: str) -> None:
        """The next frame begins a new stream; the windows that are open are dropped."""
        self.reason = reason
        if self._sliding.num_seen:
            self._handout.count(**{cause: self._sliding.num_open})
            self._stream += 1
            self._sliding = Sliding(self._num_frames, self._stride)

    def count_process(self) -> None:
        """Another process was started."""
        self._handout.count(processes=1)

    def _add(self, number: int, captured_s: float) -> None:
        if self._sliding.num_seen == 0:
            self._first = number
        expected = self._first + self._sliding.num_seen
        if number != expected:
            raise LinkError(f"expected frame {expected}, found {number}")
        self._handout.count(frames=1)
        start = self._sliding.add()
        if start is None:
            return
        frames = self._ring.read(self._first + start, self._num_frames)
        if frames is None:  # this thread was kept waiting for longer than the ring lasts
            self._handout.count(made=1, too_late=1)
            return
        captured_s = min(captured_s, time.monotonic())
        self._handout.put(Window(self._name, frames, captured_s, self._stream, start, self._num_frames))


class Follower:
    """Keeps the process of a camera running: one that dies or falls silent is replaced.

    Args:
        settings: What each process is told.
        maker: What hears it.
        closing: Set when it is to end.
    """

    def __init__(self, settings: Settings, maker: WindowMaker, closing: threading.Event):
        self._settings = settings
        self._maker = maker
        self._closing = closing
        self._process = ChildProcess(COMMAND, "the process of the camera", files=[settings.descriptor])

    @property
    def process_id(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid

    def run(self) -> None:
        """Returns once it is to end."""
        policy = self._settings.policy
        retry = Retry(policy.first_retry_s, policy.longest_retry_s)
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                with self._process:
                    self._maker.count_process()
                    self._process.send(**to_json(self._settings))
                    self._process.receive(is_patient=False)  # a start takes as long as it takes
                    self._listen(policy.silence_s)
            except LinkError as error:
                self._maker.cut("reconnect", str(error))
            if time.monotonic() - began_s > policy.longest_retry_s:
                retry.reset()
            self._closing.wait(retry.next_wait_s())

    def _listen(self, silence_s: float) -> None:
        heard_s = time.monotonic()
        while not self._closing.is_set():
            try:
                said = self._process.receive(within_s=min(_LOOK_S, silence_s))
            except LinkTimeoutError:
                if time.monotonic() - heard_s > silence_s:
                    self._process.kill()  # it may not even hear that it is to end
                    raise LinkTimeoutError(f"{self._process.name} said nothing for {silence_s:g} s") from None
                continue
            heard_s = time.monotonic()
            self._maker.hear(said)
