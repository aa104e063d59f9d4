"""Video files and class indices as a torch data set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from approxbit.errors import VideoError
from approxbit.files import PathLike
from approxbit.video.reader import read_clip
from approxbit.video.sampling import IndexRule, uniform_indices


class VideoDataset(Dataset[tuple[Any, int]]):
    """One clip and its class index for each video of a list: the paper's protocol, one clip per video.

    A video that cannot be read stops an evaluation with an error that names it. In training,
    `on_error="skip"` gives the next good video of the list in its place, warns once for each bad file, and
    counts them in `num_skipped`. Which sample stands at an index never depends on what was read before, and
    the count is shared by all loader workers.

    Example:
        >>> from approxbit.datasets.transforms import clip_transform
        >>> transform = clip_transform(224, mean=(0.45,) * 3, std=(0.225,) * 3, training=True)
        >>> dataset = VideoDataset([("push.webm", 3)], num_frames=32, transform=transform, on_error="skip")
        >>> len(dataset), dataset.num_skipped
        (1, 0)
    """

    def __init__(
        self,
        samples: Sequence[tuple[PathLike, int]],
        num_frames: int,
        transform: Callable[[Any], Tensor] = torch.as_tensor,
        on_error: str = "raise",
        index_rule: IndexRule = uniform_indices,
        min_frames: int = 1,
    ):
        """A data set.

        Args:
            samples: (path, class index) of each video; a `Listing` is one.
            num_frames: Frames of a clip.
            transform: Takes the frames, uint8 `[num_frames, height, width, 3]`, and gives the clip;
                `clip_transform` makes one. The frames themselves by default.
            on_error: `"raise"`, or `"skip"` for training.
            index_rule: Chooses the frames, see `approxbit.video.sampling`.
            min_frames: A video with fewer frames counts as bad.

        Raises:
            ValueError: There are no samples, or `on_error` is neither `"raise"` nor `"skip"`.
        """
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', found {on_error!r}")
        if len(samples) == 0:
            raise ValueError("samples must hold at least one video, found none")
        self.samples = samples
        self.num_frames = num_frames
        self.transform = transform
        self.on_error = on_error
        self.index_rule = index_rule
        self.min_frames = min_frames
        # Shared memory: a worker's discoveries reach the parent and the other workers.
        self._is_bad = torch.zeros(len(samples), dtype=torch.bool).share_memory_()

    @property
    def num_skipped(self) -> int:
        """How many bad videos were found so far, by this process and its loader workers."""
        return int(self._is_bad.sum())

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Clip and class index.

        Raises:
            VideoError: The video cannot be read and `on_error` is `"raise"`, or none of them can.
            IndexError: `index` is not one of the list.
        """
        path, label = self.samples[index]
        if self.on_error == "raise":
            return self._read(path), label
        for offset in range(len(self)):
            place = (index + offset) % len(self)
            path, label = self.samples[place]
            if self._is_bad[place]:
                continue
            try:
                return self._read(path), label
            except VideoError as error:
                self._is_bad[place] = True
                warnings.warn(f"skipped a video ({self.num_skipped} so far): {error}", stacklevel=2)
        raise VideoError(f"none of the {len(self)} videos can be read, the last one was {os.fspath(path)}")

    def _read(self, path: PathLike) -> Tensor:
        frames = read_clip(path, self.num_frames, min_frames=self.min_frames, index_rule=self.index_rule)
        return self.transform(frames)
