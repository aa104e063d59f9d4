"""A camera as the caller sees it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from approxbit.files import PathLike
from approxbit.video.cameras.address import kind_of, shown_name
from approxbit.video.cameras.follower import Follower, WindowMaker
from approxbit.video.cameras.gstreamer import check_gstreamer
from approxbit.video.cameras.handout import CHANGED, Handout
from approxbit.video.cameras.policy import CameraPolicy
from approxbit.video.cameras.protocol import Settings
from approxbit.video.cameras.ring import FrameRing
from approxbit.video.cameras.window import CameraCounts, Window


class ClipShape(Protocol):
    """What a camera needs to know of a model; `approxbit.engines.runner.ClipFormat` says it."""

    @property
    def num_frames(self) -> int:
        """Frames of a window."""

    @property
    def size(self) -> int:
        """Their height and width."""


class Camera:
    """The newest windows of a camera, as they slide over what it shows; a context manager.

    ```
    camera -> its process: decode, scale -> frames at the model's rate and size, in shared memory
                                                 | one line of JSON each
              this process: a thread -> windows -+-> the newest one -> the caller
    ```

    Whatever a camera does, it does to its own process, which is replaced when it dies or falls silent. A
    window that is not asked for before the next one is complete is dropped and counted. What is held does not
    grow: `max(2 * num_frames, num_frames + 32)` frames in shared memory, and two windows.

    Args:
        source: Address that begins with `rtsp://`, `rtsps://`, `http://` or `https://`; a device such as
            `/dev/video0`; a GStreamer pipeline that ends in raw video; or a file, which is shown in a loop at
            its own rate.
        clip_format: How many frames a window has, and their height and width.
        frame_rate: Frames per second that the model takes; the camera's are chosen, or repeated, by their
            times.
        stride: Frames from the start of a window to that of the next; by default as many as a window has.
        name: What windows and messages call it; by default the source without password and query.
        policy: How long to wait for what.
        options: FFmpeg's for opening the source, such as `{"video_size": "1280x720"}` for a device.

    Raises:
        ValueError: The source is no camera, or a number is not above 0.
    """

    def __init__(
        self,
        source: PathLike,
        clip_format: ClipShape,
        frame_rate: float,
        stride: int | None = None,
        name: str = "",
        policy: CameraPolicy | None = None,
        options: Mapping[str, str] | None = None,
    ):
        num_frames, size = clip_format.num_frames, clip_format.size
        self._stride = num_frames if stride is None else stride
        for what, value in (
            ("num_frames", num_frames),
            ("size", size),
            ("frame_rate", frame_rate),
            ("stride", self._stride),
        ):
            if not value > 0:
                raise ValueError(f"{what} must be above 0, found {value}")
        kind_of(source)
        self.name = name or shown_name(source)
        self._num_frames = num_frames
        self._settings = Settings(
            source=os.fspath(source),
            size=size,
            frame_rate=frame_rate,
            policy=policy or CameraPolicy(),
            ring_frames=max(2 * num_frames, num_frames + 32),
            options=dict(options or {}),
        )
        self._handout = Handout()
        self._maker: WindowMaker | None = None
        self._follower: Follower | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Camera:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def counts(self) -> CameraCounts:
        """What became of its frames and windows until now."""
        return self._handout.counts

    @property
    def reason(self) -> str:
        """Why the camera was last lost or its windows cut off; empty while all is well."""
        return self._maker.reason if self._maker else ""

    @property
    def process_id(self) -> int | None:
        """The camera's process; None while there is none."""
        return self._follower.process_id if self._follower else None

    @property
    def is_open(self) -> bool:
        """Whether more windows may come."""
        return self._thread is not None and self._handout.is_open

    @property
    def has_window(self) -> bool:
        """Whether one waits to be asked for."""
        return self._handout.has_window

    def start(self) -> None:
        """Begin to follow the camera, which need not be there yet.

        Raises:
            RuntimeError: It was started before.
            ImportError: It is a GStreamer pipeline, and GStreamer's Python package is not installed.
        """
        if kind_of(self._settings.source) == "gstreamer":
            check_gstreamer()
        if self._thread is not None:
            raise RuntimeError(f"{self.name} was started before; make another Camera")
        self._thread = threading.Thread(target=self._run, name=f"approxbit-camera {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the camera's process; safe at any time."""
        self._closing.set()
        self._handout.close()
        if self._thread is not None:
            self._thread.join()

    def windows(self) -> Iterator[Window]:
        """The newest window, whenever there is one, until the camera is closed.

        Raises:
            RuntimeError: The camera was not started.
        """
        return iter(self.wait, None)

    def wait(self, timeout_s: float | None = None) -> Window | None:
        """The newest window, once there is one; None after `timeout_s`, and when the camera is closed.

        Raises:
            RuntimeError: The camera was not started.
        """
        if self._thread is None:
            raise RuntimeError(f"{self.name} has no windows before start()")
        with CHANGED:
            CHANGED.wait_for(lambda: self.has_window or not self.is_open, timeout_s)
            return self.take()

    def take(self) -> Window | None:
        """The newest window, if one waits."""
        return self._handout.take()

    def _run(self) -> None:
        failure = None
        try:
            self._follow()
        except BaseException as error:  # a thread has nobody to tell: whoever asks for a window hears it
            failure = error
        finally:
            self._handout.close(failure)

    def _follow(self) -> None:
        size, num_frames = self._settings.size, self._settings.ring_frames
        descriptor = FrameRing.make(num_frames, size)
        try:
            ring = FrameRing(descriptor, num_frames, size)
            self._maker = WindowMaker(self.name, ring, self._num_frames, self._stride, self._handout)
            settings = replace(self._settings, descriptor=descriptor)
            self._follower = Follower(settings, self._maker, self._closing)
            self._follower.run()
        finally:
            os.close(descriptor)
