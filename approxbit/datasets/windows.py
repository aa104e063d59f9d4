"""Windows as they slide over the video of a camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from approxbit.datasets.source import ClipSource


def windows_of(source: ClipSource, num_frames: int) -> Windows | None:
    """Windows that overlap by three quarters and by half; None where they are too short to.

    Args:
        source: Whose videos they slide over.
        num_frames: Frames of a window.
    """
    every = num_frames // 4
    return Windows(source, num_frames, (every, 2 * every), every) if every else None


class Windows:
    """Windows of long clips. Those of a clip start at frames 0, `every`, 2 `every` and so on.

    Args:
        source: Of clips that are twice as long as a window, or of any length that can be changed.
        num_frames: Frames of a window.
        shifts: Frames from one window to the next, multiples of `every`; 4 and 8 of 16 frames are overlaps
            of 75 % and 50 %.
        every: Frames between the starts of neighbouring windows.

    Raises:
        ValueError: A shift is not a multiple of `every` from `every` to `num_frames`.
    """

    def __init__(
        self, source: ClipSource, num_frames: int = 16, shifts: Sequence[int] = (4, 8), every: int = 4
    ) -> None:
        for shift in shifts:
            if shift % every or not every <= shift <= num_frames:
                raise ValueError(f"shifts must be multiples of {every} up to {num_frames}, found {shift}")
        self.source, self.num_frames = source.with_frames(2 * num_frames), num_frames
        self.shifts, self.every = tuple(shifts), every

    @property
    def num_windows(self) -> int:
        """Windows of a clip."""
        return self.num_frames // self.every + 1

    def batches(self, split: str, clips_per_batch: int = 8) -> Iterator[tuple[Tensor, None]]:
        """All windows of one split, clip by clip: `(windows of RGB in [0, 1], None)`.

        Raises:
            ValueError: The clips are not twice as long as a window.
        """
        for clip, _ in self.source.loader(split, clips_per_batch):
            if clip.shape[2] != 2 * self.num_frames:
                raise ValueError(
                    f"windows of {self.num_frames} frames need clips of {2 * self.num_frames}, found "
                    f"{clip.shape[2]} in {self.source.title}: leave windows out (--windows 0)"
                )
            starts = range(0, self.num_frames + 1, self.every)
            windows = [clip[:, :, start : start + self.num_frames] for start in starts]
            yield torch.stack(windows, dim=1).flatten(0, 1), None
