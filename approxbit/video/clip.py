"""Decoded frames -> one array of a clip, converted, scaled and turned one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from approxbit.video.converter import Converter
from approxbit.video.orientation import Orientation, orientation_of
from approxbit.video.preprocess import resize_short_side

_LARGE_FRAME_BYTES = 32 * 2**20
"""Frames from here on are not turned into RGB before they are scaled."""


class ClipBuilder:
    """The frames of a clip, uint8 `[time, height, width, 3]`, in the order of their places.

    The first frame that is put decides on size and orientation; one of another size is scaled to it.
    """

    frames: np.ndarray

    def __init__(self, num_frames: int, short_side: int | None = None):
        self._num_frames, self._short_side = num_frames, short_side
        self._converter = Converter()
        self._size: tuple[int, int] | None = None
        self._orientation = Orientation()

    def put(self, frame: Any, *places: int) -> None:
        """Convert a decoded frame and copy it to some places of the clip; to none is allowed."""
        if not places:
            return
        is_first = self._size is None
        if self._size is None:
            self._size = frame.width, frame.height
            self._orientation = orientation_of(frame)
        shown = self._shown(frame, *self._size)
        if is_first:
            self.frames = np.empty((self._num_frames, *shown.shape), np.uint8)
        for place in places:
            self.frames[place] = shown

    def _shown(self, frame: Any, width: int, height: int) -> np.ndarray:
        shorter = min(width, height)
        short_side = shorter if self._short_side is None else min(self._short_side, shorter)
        if short_side == shorter or _num_bytes(frame) < _LARGE_FRAME_BYTES:
            colours: np.ndarray = self._orientation.apply(
                _view(self._converter(frame, "rgb24", width, height))
            )
            resized: np.ndarray = resize_short_side(colours[None], short_side)[0]
            return resized
        # By planes of colour, because FFmpeg's scaler halves the chroma of packed RGB.
        small = width * short_side // shorter, height * short_side // shorter
        shown: np.ndarray = self._converter(frame, "gbrp", *small).to_ndarray()
        return self._orientation.apply(shown)


def _num_bytes(frame: Any) -> int:
    return sum(plane.buffer_size for plane in frame.planes)


def _view(frame: Any) -> np.ndarray:
    """The pixels of an rgb24 frame without a copy."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)
