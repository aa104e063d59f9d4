"""What a script says of every patch: dense targets, from which a tower learns to read digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from approxbit.datasets.dense import DenseTargets, QuestionTargets
from approxbit.datasets.scenes.clips import Asked, SceneClips, SceneQuestions, Scenes
from approxbit.datasets.scenes.script import ACTIONS, BACKGROUNDS, COLOURS, DIGITS

NUM_CLASSES = {
    "is_digit": 2,
    "value": len(DIGITS),
    "colour": len(COLOURS),
    "action": len(ACTIONS),
    "background": len(BACKGROUNDS),
}
"""Classes of each target of `DenseTargets.classes`: of the digit that a patch shows, what it is, its colour
and what it does in the whole clip; and what is behind all digits, which every patch knows."""
NUM_VALUES = {"offset": 2, "size": 1, "turn": 2, "motion": 2}
"""Numbers of each target of `DenseTargets.values`: where the digit's centre is, seen from the patch; the
logarithm of its size; sine and cosine of its angle; how far it goes until the next patch."""
_UNIT = 0.2


PATCH = (2, 8, 8)


def dense_targets(scenes: Scenes, indices: Tensor, patch: tuple[int, int, int] = PATCH) -> DenseTargets:
    """Targets of some scenes.

    A patch belongs to the digit that fills most of its cells, if it fills a quarter.

    Args:
        scenes: Frames and scripts.
        indices: Which of them.
        patch: Frames, height and width in pixels of a patch; height and width are multiples of 4.
    """
    chosen = indices.numpy()
    owners = torch.from_numpy(scenes.owners[chosen]).long()
    batch, num_frames, rows, columns = owners.shape
    steps = (patch[0], patch[1] // 4, patch[2] // 4)
    grid = (num_frames // steps[0], rows // steps[1], columns // steps[2])
    cells = owners.reshape(batch, grid[0], steps[0], grid[1], steps[1], grid[2], steps[2])
    cells = cells.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, -1, steps[0] * steps[1] * steps[2])
    labels = torch.from_numpy(scenes.table.labels[chosen]).long()
    num_actors = labels.shape[1]
    counts = torch.stack([(cells == actor).sum(dim=-1) for actor in range(num_actors)], dim=-1)
    most, owner = counts.max(dim=-1)
    is_digit = most * 4 >= cells.shape[-1]

    def of_owner(table: Tensor) -> Tensor:
        return table.gather(1, owner)

    nothing = torch.full_like(owner, -1)
    backgrounds = torch.from_numpy(scenes.table.backgrounds[chosen]).long()
    classes = {
        "is_digit": is_digit.long(),
        "value": torch.where(is_digit, of_owner(labels[..., 0]), nothing),
        "colour": torch.where(is_digit, of_owner(labels[..., 1]), nothing),
        "action": torch.where(is_digit, of_owner(labels[..., 3]), nothing),
        "background": backgrounds[:, None].expand_as(owner),
    }
    times = torch.arange(grid[0]).repeat_interleave(grid[1] * grid[2])
    values = _values(scenes, chosen, owner, times * steps[0], steps[0])
    centres = [(torch.arange(number) + 0.5) / number for number in grid[1:]]
    places = torch.stack(torch.meshgrid(*centres, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    places = places.repeat(grid[0], 1)
    x, y, size, angle, dx, dy = values.unbind(dim=-1)
    found = {
        "offset": (torch.stack([x, y], dim=-1) - places) / _UNIT,
        "size": torch.log(size / 0.3).unsqueeze(-1),
        "turn": torch.stack([torch.sin(angle), torch.cos(angle)], dim=-1),
        "motion": torch.stack([dx, dy], dim=-1) / _UNIT,
    }
    unknown = torch.full((), torch.nan)
    shown = is_digit.unsqueeze(-1)
    return DenseTargets(classes, {name: torch.where(shown, value, unknown) for name, value in found.items()})


def _values(scenes: Scenes, chosen: NDArray[np.int64], owner: Tensor, frames: Tensor, step: int) -> Tensor:
    """x, y, size, angle and the way to the next patch of each patch's owner, `[batch, patch, 6]`."""
    curves = torch.from_numpy(scenes.table.curves[chosen])  # [batch, actor, curve, time]
    camera = torch.from_numpy(scenes.table.camera[chosen])[:, None]
    seen = torch.cat([curves[:, :, :2] - camera, curves[:, :, 2:4]], dim=2)
    last = seen.shape[-1] - 1
    middle = 0.5 * (seen + seen[..., (torch.arange(last + 1) + step - 1).clamp(max=last)])
    ahead = middle[:, :, :2, (torch.arange(last + 1) + step).clamp(max=last)] - middle[:, :, :2]
    both = torch.cat([middle, ahead], dim=2)[..., frames]  # [batch, actor, 6, patch]
    index = owner[:, None, None, :].expand(-1, 1, both.shape[2], -1)
    return both.gather(1, index)[:, 0].transpose(1, 2)


class _Numbered(Dataset[tuple[Tensor, list[Asked], int]]):
    """Clips and questions, and which scene they are of."""

    def __init__(self, questions: SceneQuestions) -> None:
        self.questions = questions

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> tuple[Tensor, list[Asked], int]:
        return (*self.questions[index], index)


class DenseSceneClips(SceneClips):
    """As `SceneClips`, with dense targets: a batch is `(clips, QuestionTargets)`.

    Cards know it as `scenes`: these are the same clips.

    Args:
        patch: Frames, height and width in pixels of what a target is of; height and width are multiples of 4.
        **arguments: As for `SceneClips`.
    """

    origin = "scenes"
    local = ("cache", "per_family", "captions", "patch")

    def __init__(self, patch: Sequence[int] = PATCH, **arguments: Any) -> None:
        super().__init__(**arguments)
        frames, height, width = patch
        self.patch = frames, height, width

    def clips(self, split: str, training: bool = False) -> Any:
        """The scenes of a split, their questions and their numbers."""
        return _Numbered(super().clips(split, training))

    def first_clips(self, split: str, num_clips: int) -> Any:
        """As many as one asks for, at most those of the split."""
        return _Numbered(super().first_clips(split, num_clips))

    def loader(self, split: str, *arguments: Any, **named: Any) -> Any:
        """Batches of a split; see `ClipSource.loader`."""
        loader = super().loader(split, *arguments, **named)
        numbered: Any = loader.dataset
        scenes = numbered.questions.scenes

        def collate(samples: Any) -> tuple[Tensor, QuestionTargets]:
            frames, asked, indices = zip(*samples, strict=True)
            clips, _ = SceneClips.to_batch(self, list(zip(frames, asked, strict=True)))
            dense = dense_targets(scenes, torch.tensor(indices), self.patch)
            return clips, QuestionTargets(list(asked), dense, list(indices))

        loader.collate_fn = collate
        return loader
