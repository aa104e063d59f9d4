"""From a classifier's logits to an answer of the wanted kind, and from there to names."""

from __future__ import annotations

import math

import numpy as np

from approxbit.tasks import Classification
from approxbit.wire import AnswerKind, Content, Logits, TopK, Wanted


def content_of(logits: np.ndarray, wanted: Wanted, task: Classification) -> Content:
    """What is said of a clip.

    Logits are those of the model's own classes. The likeliest classes are those of the label set that the
    task asks for, which may be a coarser one.

    Args:
        logits: float32 `[class]` of the model.
        wanted: Which kind of answer.
        task: What the model's classes are.

    Raises:
        ValueError: Logits do not answer what is wanted, are not finite, or are of other classes.

    Example:
        >>> task = Classification.of_names(("cat", "dog"))
        >>> content_of(np.array([0, 2], np.float32), Wanted(), task).best
        1
    """
    if wanted.kind == AnswerKind.TOP_K:
        logits = task.label_set().logits(logits).astype(np.float32)
    return wanted.of_logits(logits)


def rank(content: Content, task: Classification, label_set: str = "") -> list[tuple[str, float]]:
    """Names and probabilities, the likeliest first: of all classes, or of those that the answer holds.

    Args:
        content: What `content_of` gives.
        task: The same task.
        label_set: The one to answer in, by default the one that the task asks for.

    Raises:
        TypeError: The content is no classifier's.
        ValueError: There is no such label set, or the answer holds the likeliest classes of another one.

    Example:
        >>> rank(TopK((1,), (-0.5,)), Classification.of_names(("cat", "dog")))
        [('dog', 0.6065306597126334)]
    """
    asked = task.label_set(label_set)
    if isinstance(content, Logits):
        return asked.rank(asked.logits(content.values))
    if not isinstance(content, TopK):
        raise TypeError(f"expected Logits or TopK, found {type(content).__name__}")
    if asked.name != task.asked:
        raise ValueError(f"answers in {asked.name} need logits, found the likeliest of {task.asked}")
    return [(asked.name_of(index), math.exp(score)) for index, score in zip(content.classes, content.scores)]
