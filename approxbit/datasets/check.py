"""Whether clips are those that a backbone takes; asked before anything is computed."""

from __future__ import annotations

from typing import Protocol

import torch

from approxbit.datasets.source import ClipShape, ClipSource, Source
from approxbit.tasks import QuestionAnswering, Task, match_tasks, require_classification

_SLACK = 1e-3  # of an interpolation that overshoots


class TakesClips(Protocol):
    """Of a backbone, what its clips must be like."""

    clip_shape: ClipShape
    num_classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def match_source(source: Source, split: str, task: Task, backbone: TakesClips) -> tuple[Source, Task]:
    """Clips for a backbone, of its shape wherever none was asked for, and what an answer to them means.

    Args:
        source: Of the clips.
        split: Whose first clip is looked at.
        task: Of the backbone.
        backbone: Which takes the clips.

    Returns:
        The source, and the task of the backbone, or of the clips where the backbone's classes have no names
        or where questions are answered.

    Raises:
        ValueError: The classes of the data are not those of the backbone, only one of them is for questions,
            or as for `check_clips`. The message says the cure.
        DatasetError: The files of the data are not there, or not in their format.
        VideoError: The first video cannot be read.
    """
    if source.task.json_kind != task.json_kind:
        raise ValueError(
            f"expected data of {task.json_kind}, which is what the model answers, found {source.title} of "
            f"{source.task.json_kind}: take others (on a command line, by --data)"
        )
    if isinstance(task, QuestionAnswering):
        return fit_source(source, split, backbone), source.task
    of_data, of_backbone = require_classification(source.task), require_classification(task)
    if of_data.num_classes and backbone.num_classes != of_data.num_classes:
        raise ValueError(
            f"expected data of the backbone's {backbone.num_classes} classes, found {of_data.num_classes} in "
            f"{source.title}: build the backbone with num_classes={of_data.num_classes} (in a recipe, "
            f"arguments: {{num_classes: {of_data.num_classes}}}), or take data of its own classes"
        )
    matched = match_tasks(of_backbone, of_data, backbone.num_classes)
    return fit_source(source, split, backbone), matched


def check_clips(source: ClipSource, split: str, backbone: TakesClips) -> None:
    """Look at the first clip of a split: its shape, its values, and whether normalising it makes sense.

    Raises:
        ValueError: A clip is not what the backbone takes. The message says the cure.
        DatasetError: The files of the data are not there, or not in their format.
        VideoError: The first video cannot be read.
    """
    check_normalisation(backbone.mean, backbone.std)
    loader = source.loader(split, 1, num_clips=1)
    if len(loader) == 0:
        raise ValueError(f"expected clips in the split {split} of {source.title}, found none")
    clip = next(iter(loader))[0][0]
    if tuple(clip.shape) != tuple(backbone.clip_shape):
        raise ValueError(_explain_shape(source, tuple(clip.shape), backbone.clip_shape))
    if not clip.is_floating_point() or clip.min() < -_SLACK or clip.max() > 1 + _SLACK:
        kind = str(clip.dtype).partition(".")[2]
        raise ValueError(
            f"expected clips of RGB in [0, 1], found {kind} from {clip.min():.3g} to {clip.max():.3g} in "
            f"{source.title}: {_explain_range(clip)}"
        )


def fit_source(source: Source, split: str, backbone: TakesClips) -> Source:
    """A source of clips for a backbone, of its shape wherever none was asked for; raises as `check_clips`."""
    fitted = source.fitted(backbone.clip_shape)
    check_clips(fitted, split, backbone)
    return fitted


def check_normalisation(mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
    """Make sure that a backbone's mean and std are for RGB in [0, 1].

    Raises:
        ValueError: They cannot be.
    """
    if not all(0 <= each <= 1 for each in mean) or not all(0 < each <= 1 for each in std):
        is_of_bytes = max(*mean, *std) > 1 and min(*mean, *std) >= 0
        cure = "divide both by 255" if is_of_bytes else "give those that the model was trained with"
        raise ValueError(
            "expected a backbone whose mean and std are for RGB in [0, 1], found "
            f"mean={tuple(mean)} and std={tuple(std)}: {cure}"
        )


def _explain_shape(source: ClipSource, found: tuple[int, ...], expected: ClipShape) -> str:
    channels, num_frames, height, width = expected
    takes = f"the backbone takes clips of {num_frames} frames of {height}x{width}"
    if len(found) != 4 or found[0] != channels:
        return (
            f"{takes}, [{channels}, {num_frames}, {height}, {width}], found clips {list(found)} in "
            f"{source.title}: a source gives [3, time, height, width]"
        )
    cure = "leave num_frames and size of the source out, and it takes them from the backbone"
    if height != width:
        cure = "video files become square clips, so write a source of your own"
    return (
        f"{takes}, found {found[1]} frames of {found[2]}x{found[3]} in {source.title}: {cure}; or build the "
        f"backbone with clip_shape=({', '.join(map(str, found))})"
    )


def _explain_range(clip: torch.Tensor) -> str:
    if clip.min() < -_SLACK:
        return "leave the normalisation out, which is done for the backbone with its own mean and std"
    return "divide them by 255"
