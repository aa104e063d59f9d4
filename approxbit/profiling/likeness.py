"""Which clips have codes alike, and whether they show the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from approxbit.codec.analysis import find_nearest, hamming_distances
from approxbit.tasks import Classification, LabelSet

ANSWER = "answer"
NUM_EXAMPLES = 4
NUM_NEAR = 3
NUM_BINS = 24


def describe_likeness(
    codes: UInt8[Tensor, "clip bit"],
    names: Sequence[str],
    answers: Int64[Tensor, " clip"],
    task: Classification,
    labels: Int64[Tensor, " clip"] | None,
) -> dict[str, Any]:
    """Nearest codes of some clips, how often the nearest one is of the same class, and all distances.

    Args:
        codes: Bits of the first clips, or of all.
        names: Of all clips.
        answers: Classes of the label set that is asked: what counts where there are no labels.
        task: What the answers mean.
        labels: Classes of the model, or None.
    """
    count = len(codes)
    distances = hamming_distances(codes)
    near, apart = find_nearest(distances, NUM_NEAR)
    if labels is None:
        classes, label_set = answers, task.label_set()
        groupings = {ANSWER: classes[:count]}
    else:
        classes, label_set = labels, task.label_sets[0]
        sets = sorted(task.label_sets, key=lambda each: each.name != task.asked)
        groupings = {each.name: torch.as_tensor(each.labels(labels[:count].numpy())) for each in sets}
    shown = range(min(NUM_EXAMPLES, count))
    return {
        "num_clips": count,
        "agreement": {name: _agreement(group, near) for name, group in groupings.items()},
        "chance": {name: _chance(group) for name, group in groupings.items()},
        **_distance_histogram(distances, next(iter(groupings.values()))),
        "examples": [
            {
                **_name(index, names, classes, label_set),
                "nearest": [
                    {**_name(int(other), names, classes, label_set), "distance": int(distance)}
                    for other, distance in zip(near[index], apart[index], strict=True)
                ],
            }
            for index in shown
        ],
    }


def _name(
    index: int, names: Sequence[str], classes: Int64[Tensor, " clip"], label_set: LabelSet
) -> dict[str, str]:
    return {"clip": names[index], "class": label_set.name_of(int(classes[index]))}


def _agreement(classes: Int64[Tensor, " clip"], near: Int64[Tensor, "clip near"]) -> float | None:
    """Share of clips whose nearest code is of their own class; None if there is no other clip."""
    if near.shape[1] == 0:
        return None
    return round((classes[near[:, 0]] == classes).double().mean().item(), 4)


def _chance(classes: Int64[Tensor, " clip"]) -> float | None:
    """The same share for neighbours drawn at random."""
    pairs = len(classes) * (len(classes) - 1)
    sizes = classes.bincount()
    return round(((sizes * (sizes - 1)).sum() / pairs).item(), 4) if pairs else None


def _distance_histogram(
    distances: Int64[Tensor, "clip clip"], classes: Int64[Tensor, " clip"]
) -> dict[str, list[float]]:
    """Shares of the pairs of one class, and of those of two, by their distance."""
    rows, columns = torch.triu_indices(len(distances), len(distances), offset=1)
    apart, is_same = distances[rows, columns], classes[rows] == classes[columns]
    width = max(1, -(-(int(apart.max()) + 1 if len(apart) else 1) // NUM_BINS))
    bins = apart // width
    return {
        "distance_edges": [float(width * edge) for edge in range(NUM_BINS + 1)],
        **{name: _shares(bins[chosen]) for name, chosen in (("same", is_same), ("different", ~is_same))},
    }


def _shares(bins: Int64[Tensor, " pair"]) -> list[float]:
    counts = torch.bincount(bins, minlength=NUM_BINS).double()
    shares: list[float] = (counts / max(1, len(bins))).numpy().round(6).tolist()
    return shares
