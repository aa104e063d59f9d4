"""Frames in memory that two processes share; nothing but their numbers crosses a pipe."""

from __future__ import annotations

import mmap
import os

import numpy as np

_HEADER_BYTES = 64
"""The number of frames that were ever written, as int64; padded to a line of the processor's cache."""


class FrameRing:
    """The last frames of a camera, each with a number that never comes again.

    One process appends and another one reads. The memory has no name: it is gone with the last process that
    has it, however that one ended.

    Args:
        descriptor: Of memory from `make`; this object keeps none of its own.
        num_frames: How many frames it holds.
        size: Height and width of each.
    """

    def __init__(self, descriptor: int, num_frames: int, size: int):
        memory = mmap.mmap(descriptor, _num_bytes(num_frames, size))
        self._num_written = np.frombuffer(memory, np.int64, count=1)
        pixels = np.frombuffer(memory, np.uint8, offset=_HEADER_BYTES)
        self._frames = pixels.reshape(num_frames, size, size, 3)

    @staticmethod
    def make(num_frames: int, size: int) -> int:
        """A descriptor of fresh memory for so many frames; the caller closes it."""
        descriptor = os.memfd_create("approxbit-camera")
        os.ftruncate(descriptor, _num_bytes(num_frames, size))
        return descriptor

    def append(self, frame: np.ndarray) -> int:
        """Write a frame, uint8 `[size, size, 3]`, in place of the oldest one; returns its number."""
        number = int(self._num_written[0])
        self._frames[number % len(self._frames)] = frame
        self._num_written[0] = number + 1
        return number

    def read(self, first: int, num_frames: int) -> np.ndarray | None:
        """A copy of neighbouring frames, uint8 `[num_frames, size, size, 3]`.

        None if one of them was not written, or is overwritten by now: the writer may be at work on the frame
        after the last one.
        """
        copy = self._frames[np.arange(first, first + num_frames) % len(self._frames)]
        num_written = int(self._num_written[0])
        if first + num_frames > num_written or first <= num_written - len(self._frames):
            return None
        return copy


def _num_bytes(num_frames: int, size: int) -> int:
    return _HEADER_BYTES + num_frames * size * size * 3
