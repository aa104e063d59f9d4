"""Features of a frozen edge half, computed once instead of once an epoch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float, Int64
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature
from approxbit.datasets.source import ClipSource
from approxbit.families.folder import find_cache
from approxbit.offload import OffloadedModel
from approxbit.tasks import Task, require_classification
from approxbit.training.data import ClipData
from approxbit.zoo import compute_fingerprint


class FeatureBatch(NamedTuple):
    """A batch of what a codec learns from."""

    feature: Feature
    labels: Int64[Tensor, " batch"]
    answer: Float[Tensor, "batch class"]
    """Logits of the unsplit model."""


class FeatureDataset(Dataset[FeatureBatch]):
    """Features, labels and answers in memory.

    Features have half precision, since twice the clips help more than the last digits.
    """

    def __init__(
        self,
        grid: Float[Tensor, "clip channel time height width"],
        tokens: Float[Tensor, "clip token channel"],
        labels: Int64[Tensor, " clip"],
        answers: Float[Tensor, "clip class"],
    ) -> None:
        self.grid, self.tokens, self.labels, self.answers = grid, tokens, labels, answers

    @classmethod
    def load(cls, path: Path) -> FeatureDataset:
        """What `save` wrote."""
        return cls(**load_file(path))

    def save(self, path: Path) -> None:
        """Write a safetensors file, all of it or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.partial")  # two trainings may write the same features
        try:
            save_file(vars(self), scratch)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> FeatureBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> FeatureBatch:
        """A whole batch at once."""
        order = torch.as_tensor(np.asarray(indices))
        feature = Feature(self.grid[order].float(), self.tokens[order].float())
        return FeatureBatch(feature, self.labels[order], self.answers[order])


@torch.inference_mode()
def compute_features(edge: Any, server: Any, batches: Iterable[Any], description: str) -> FeatureDataset:
    """Run `edge` and `server` over all batches of `(clip, labels)`.

    Args:
        edge: Clip of RGB in [0, 1] -> feature.
        server: Feature -> answer.
        batches: Clips and labels.
        description: For the progress bar.

    Raises:
        ValueError: There are no batches.
    """
    parts = []
    for clip, labels in track(batches, description):
        feature = edge(clip)
        found = (feature.grid.half(), feature.tokens.half(), labels, server(feature))
        parts.append([values.cpu() for values in found])
    if not parts:
        raise ValueError("expected at least one batch of clips to compute features of, found none")
    return FeatureDataset(*(torch.cat(column).clone() for column in zip(*parts, strict=True)))


def find_features(
    model: OffloadedModel, edge: Any, loader: DataLoader[Any], split: str, cache: Path | None = None
) -> FeatureDataset:
    """The features of a loader's clips, from the cache folder if they were computed before.

    Only of a data set whose `name` says all about its clips; those of another are computed each time.

    Args:
        model: The frozen backbone, and the offload point.
        edge: Its edge half on clips of RGB in [0, 1].
        loader: Batches of `(clip, labels)` in order.
        split: `train`, `validation` or `test`.
        cache: Folder for the features; by default as `find_cache` says.
    """
    name = getattr(loader.dataset, "name", None)
    path = None
    if name is not None:
        point = model.codec.configuration.offload_point
        key = compute_fingerprint(model.backbone.state_dict(), f"{name}/{point}")
        path = find_cache(cache) / f"features-{split}-{key:016x}.safetensors"
        if path.exists():
            return FeatureDataset.load(path)
    found = compute_features(edge, model.server_half, loader, f"features for {split}")
    if path is not None:
        found.save(path)
    return found


class FeatureData(L.LightningDataModule):
    """The features of another DataModule's training and validation clips at one offload point.

    Only for training without augmentation: every epoch sees the same features. The test goes on to use
    clips.

    Args:
        clips: The clips.
        model: The frozen backbone in eval mode, and the offload point.
        edge: Its edge half on clips of RGB in [0, 1].
        batch_size: Features of a training batch.
    """

    def __init__(self, clips: ClipData, model: OffloadedModel, edge: Any, batch_size: int) -> None:
        super().__init__()
        self.clips = clips
        self.batch_size = batch_size
        self.match(require_classification(model.task), model.backbone)
        cache = getattr(
            clips.source, "cache", None
        )  # beside the clips, where these have a folder of their own
        self.train = find_features(model, edge, clips.loader("train"), "train", cache)
        self.validation = find_features(model, edge, clips.loader("validation"), "validation", cache)

    @property
    def source(self) -> ClipSource:
        """Where the clips come from."""
        return self.clips.source

    def match(self, task: Task, backbone: Backbone) -> Task:
        """As `ClipData.match`."""
        return self.clips.match(task, backbone)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches."""
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
