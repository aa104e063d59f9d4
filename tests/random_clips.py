"""A source of clips that cost nothing: noise, with a target each."""

from __future__ import annotations

import torch
from torch.utils.data import TensorDataset

from approxbit.datasets.source import ClipSource
from approxbit.tasks import Classification


class RandomClips(ClipSource):
    """The same clips at every call; their targets take turns.

    Args:
        task: Of the targets.
        clip_shape: Channels, frames, height and width.
        num_clips: Of each split.
        scale: Of the noise; 1 fills the range of RGB.
    """

    title = "noise"

    def __init__(
        self,
        task: Classification,
        clip_shape: tuple[int, int, int, int] = (3, 4, 32, 32),
        num_clips: int = 6,
        scale: float = 1.0,
    ) -> None:
        self.task, self.clip_shape, self.num_clips, self.scale = task, clip_shape, num_clips, scale

    def clips(self, split: str, training: bool = False) -> TensorDataset:
        generator = torch.Generator().manual_seed(self.splits.index(split))
        clips = self.scale * torch.rand(self.num_clips, *self.clip_shape, generator=generator)
        return TensorDataset(clips, torch.arange(self.num_clips) % max(1, self.task.num_classes))
