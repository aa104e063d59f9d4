"""What an earlier code of a sliding window says of the next one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from approxbit.configuration import Shape3


def count_steps(shift_frames: int, num_frames: int, times: int) -> int:
    """By how many time steps of a code its clip moved on: the nearest whole number.

    Args:
        shift_frames: By how many frames the clip moved.
        num_frames: Frames of a clip.
        times: Time steps of a code.

    Example:
        >>> [count_steps(frames, num_frames=16, times=8) for frames in (0, 4, 8, 9, 16)]
        [0, 2, 4, 5, 8]
    """
    return (2 * shift_frames * times + num_frames) // (2 * num_frames)


class Reference(NamedTuple):
    """A code that both sides have, and how far the clip moved on since.

    Attributes:
        planes: The earlier code, uint8 or bool `[bit, position]`.
        steps: By how many time steps of the code's grid the clip moved on, 0 or more.
    """

    planes: np.ndarray
    steps: int

    def guess(self, grid_size: Shape3) -> np.ndarray:
        """The bits of the time steps that the earlier code saw: uint8 `[bit, position]`, of these alone.

        Example:
            >>> earlier = np.array([[0, 1, 1]], np.uint8)
            >>> Reference(earlier, steps=1).guess((3, 1, 1))
            array([[1, 1]], dtype=uint8)
        """
        times, height, width = grid_size
        return self.planes[:, min(self.steps, times) * height * width : times * height * width]
