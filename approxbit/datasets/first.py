"""The first clips of a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset

from approxbit.datasets.source import ClipShape, ClipSource


class FirstClips(ClipSource):
    """The first clips of another source, which are never augmented.

    Args:
        source: The other one.
        num_clips: By split, how many at most; all of the splits that are not there.
    """

    def __init__(self, source: ClipSource, num_clips: Mapping[str, int]) -> None:
        self.source, self.num_clips = source, num_clips
        self.title, self.task, self.splits = source.title, source.task, source.splits
        self.num_frames, self.size = source.num_frames, source.size

    def clips(self, split: str, training: bool = False) -> Dataset[Any]:
        """The samples of a split in order."""
        if split not in self.num_clips:
            return self.source.clips(split)
        return self.source.first_clips(split, self.num_clips[split])

    def to_batch(self, samples: Any) -> Any:
        """A batch of the other source."""
        return self.source.to_batch(samples)

    def names(self, split: str, num_clips: int) -> list[str]:
        """What the other source calls them."""
        return self.source.names(split, num_clips)

    def groups(self, split: str, num_clips: int) -> list[str]:
        """What the other source draws together."""
        return self.source.groups(split, num_clips)

    def answers(self, split: str) -> list[str]:
        """All right answers of the other source."""
        return self.source.answers(split)

    def fitted(self, clip_shape: ClipShape) -> FirstClips:
        """The first clips of the other source in the shape of a backbone's."""
        return FirstClips(self.source.fitted(clip_shape), self.num_clips)

    def with_frames(self, num_frames: int) -> FirstClips:
        """The first clips of the other source with another number of frames."""
        return FirstClips(self.source.with_frames(num_frames), self.num_clips)
