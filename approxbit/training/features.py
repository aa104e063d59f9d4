"""Features of a frozen edge half, computed once instead of once an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float, Int64
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from approxbit.backbones.feature import Feature

Features = tuple[Feature, Int64[Tensor, " batch"]]


class FeatureDataset(Dataset):
    """Features and labels in memory; half precision, since twice the clips help more than the last digits."""

    def __init__(
        self,
        grid: Float[Tensor, "clip channel time height width"],
        tokens: Float[Tensor, "clip token channel"],
        labels: Int64[Tensor, " clip"],
    ) -> None:
        self.grid, self.tokens, self.labels = grid, tokens, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Features:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Features:
        """A whole batch at once."""
        order = torch.as_tensor(np.asarray(indices))
        feature = Feature(self.grid[order].float(), self.tokens[order].float())
        return feature, self.labels[order]


@torch.inference_mode()
def compute_features(edge: Any, batches: Iterable[Any], description: str) -> FeatureDataset:
    """Run `edge` (clip of RGB in [0, 1] -> feature) over all batches of `(clip, labels)`.

    Raises:
        ValueError: There are no batches.
    """
    parts = []
    for clip, labels in track(batches, description):
        feature = edge(clip)
        parts.append((feature.grid.half(), feature.tokens.half(), labels))
    if not parts:
        raise ValueError("expected at least one batch of clips to compute features of, found none")
    grid, tokens, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return FeatureDataset(grid.clone(), tokens.clone(), labels.clone())


class FeatureData(L.LightningDataModule):
    """The features of another DataModule's training and validation clips at one offload point.

    Only for training without augmentation: every epoch sees the same features. The test goes on to use
    clips.

    Args:
        clips: The DataModule of the clips.
        edge: Clip of RGB in [0, 1] -> feature, frozen and in eval mode.
        batch_size: Features of a training batch.
    """

    def __init__(self, clips: Any, edge: Any, batch_size: int) -> None:
        super().__init__()
        self.clips = clips
        self.batch_size = batch_size
        self.train = compute_features(edge, clips.loader("train"), "features for training")
        self.validation = compute_features(edge, clips.loader("validation"), "features for validation")

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of `(feature, labels)`."""
        return DataLoader(
            self.train, batch_size=self.batch_size, shuffle=True, drop_last=True, collate_fn=_itself
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation features in order."""
        return DataLoader(self.validation, batch_size=50, collate_fn=_itself)

    def test_dataloader(self) -> DataLoader[Any]:
        """The test clips in order."""
        return self.clips.test_dataloader()


def _itself(batch: Any) -> Any:
    return batch
