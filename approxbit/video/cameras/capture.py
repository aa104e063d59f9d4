"""The process of one camera: connect, read, scale, write into shared memory, and connect again."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import numpy as np

from approxbit.errors import VideoError
from approxbit.processes import say
from approxbit.video.cameras.picture import Picture
from approxbit.video.cameras.protocol import Settings
from approxbit.video.cameras.retry import Retry
from approxbit.video.cameras.ring import FrameRing
from approxbit.video.cameras.sources import read_pictures
from approxbit.video.cameras.timeline import Timeline
from approxbit.video.converter import Converter
from approxbit.video.orientation import Orientation, orientation_of
from approxbit.video.preprocess import centre_crop, resize_short_side

_BREATH_S = 1.0
"""How often a process that waits says that it lives."""


def capture(settings: Settings) -> None:
    """Follow a camera for ever, and say in lines of `Message` what comes of it."""
    ring = FrameRing(settings.descriptor, settings.ring_frames, settings.size)
    say()
    retry = Retry(settings.policy.first_retry_s, settings.policy.longest_retry_s)
    while True:
        began_s, connection = time.monotonic(), Connection(settings, ring)
        try:
            connection.follow()
        except (VideoError, ImportError, ValueError) as error:
            say(cut="reconnect", reason=str(error))
        if connection.num_frames and time.monotonic() - began_s > settings.policy.longest_retry_s:
            retry.reset()  # it has held
        _wait(retry.next_wait_s())


def _wait(wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _BREATH_S))
        say()


class Connection:
    """One connection to a camera.

    Args:
        settings: What to connect to, and how long to wait.
        ring: Where the frames go.
    """

    def __init__(self, settings: Settings, ring: FrameRing):
        self.num_frames = 0
        self._settings = settings
        self._ring = ring
        self._timeline = self._new_timeline()
        self._scaler = Scaler(settings.size)
        self._last: tuple[np.ndarray, float] | None = None  # and when it was captured
        self._useful_s = time.monotonic()

    def follow(self) -> None:
        """Read until the camera is lost.

        Raises:
            VideoError: It is, or nothing that can be used came for too long, or what came lags behind.
        """
        limit_s, damage = self._settings.policy.read_timeout_s, ""
        say()
        with closing(read_pictures(self._settings)) as readings:
            for number, reading in enumerate(readings):
                if number == 0:
                    self._useful_s = time.monotonic()  # connected
                if reading.damage:
                    damage = f"; the last one: {reading.damage}"
                    self._timeline = self._new_timeline()
                    self._cut("damage", reading.damage)
                for picture in reading.pictures:
                    self._take(picture)
                if time.monotonic() - self._useful_s > limit_s:
                    raise VideoError(f"no frame that can be used came for {limit_s:g} s{damage}")

    def _take(self, picture: Picture) -> None:
        place = self._timeline.place(picture.time_s, picture.arrived_s)
        lag_s = time.monotonic() - place.captured_s
        if lag_s > self._settings.policy.max_lag_s:
            raise VideoError(f"the frames lag {lag_s:.1f} s behind")
        if place.jumped:
            self._cut("gap", "the camera's clock jumped")
        if place.num_frames == 0:
            return
        if self.num_frames == 0:
            say(connected=True)
        frame = self._scaler(picture.frame)
        last, self._last = self._last, (frame, place.captured_s)
        for pixels, captured_s in [last or self._last] * (place.num_frames - 1) + [self._last]:
            say(frame=self._ring.append(pixels), captured_s=captured_s)
        self.num_frames += place.num_frames
        self._useful_s = time.monotonic()

    def _cut(self, cause: str, reason: str) -> None:
        if self._last is not None:  # or nothing has come since the last cut
            say(cut=cause, reason=reason)
        self._last = None

    def _new_timeline(self) -> Timeline:
        return Timeline(self._settings.frame_rate, self._settings.policy.max_gap_s)


class Scaler:
    """Makes pictures as small as the model sees them: short side resized, turned upright, centre cropped.

    The first picture says how all of them are turned.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: int):
        self._size = size
        self._shrink, self._colour = Converter(), Converter()
        self._orientation: Orientation | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """RGB, uint8, `[size, size, 3]`.

        Luma and chroma are scaled apart, and only the small picture becomes RGB: that is four times cheaper
        than the other way round for 1920x1080, and differs from it by 1.2 grey levels on average, 5 at most.
        """
        if frame.format.is_rgb:
            rgb = frame.to_ndarray(format="rgb24")
        else:
            shorter = min(frame.width, frame.height)
            width, height = (side * self._size // shorter for side in (frame.width, frame.height))
            rgb = self._colour(self._shrink(frame, "yuv444p", width, height), "rgb24").to_ndarray()
        if self._orientation is None:
            self._orientation = orientation_of(frame)
        upright = self._orientation.apply(resize_short_side(rgb[None], self._size)[0])
        picture: np.ndarray = centre_crop(upright[None], self._size)[0]
        return picture
