"""Clips that can be made on any machine, for those models whose task they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approxbit.datasets.digits import TASK, DigitsClips
from approxbit.datasets.source import ClipSource
from approxbit.tasks import Task


def make_source(
    task: Task, clip_shape: tuple[int, int, int, int], call: str, num_clips: Mapping[str, int]
) -> ClipSource:
    """The clips of a task that need no download, for want of a source of the user's.

    Args:
        task: Of a model.
        clip_shape: Channels, frames, height and width of its clips.
        call: What takes a source of the user's instead, for the message.
        num_clips: By split; others have as many as they have by default.

    Raises:
        ValueError: Nothing is made here for such a task.
    """
    if getattr(task, "label_sets", ()) != TASK.label_sets:
        sets = ", ".join(each.name for each in getattr(task, "label_sets", ())) or task.json_kind
        raise ValueError(
            f"clips are made here only for the classes of {DigitsClips.title}, found a model of the task "
            f"{sets}: pass a ClipSource of your data (approxbit.datasets.source) to {call}"
        )
    _, num_frames, size, _ = clip_shape
    counts: dict[str, Any] = {f"num_{split}": count for split, count in num_clips.items()}
    return DigitsClips(num_frames=num_frames, size=size, **counts)
