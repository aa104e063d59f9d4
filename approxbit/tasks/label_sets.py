"""The two label sets of Digits-in-Motion, on the same videos and out of one model.

A backbone answers with the joint classes, action x acting digit. The answer to the easier question
(which action?) is the marginal of the same logits: log sum exp over the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from approxbit.tasks import classification as tasks

NUM_DIGITS = 10
Labels = TypeVar("Labels")
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
JOINT = "action_digit"
MARGINAL = "actions"


def joint_label(action: int, digit: int) -> int:
    """Index of an (action, digit) pair among the joint classes.

    Example:
        >>> joint_label(2, 7)
        27
    """
    return action * NUM_DIGITS + digit


def action_of(label: Labels) -> Labels:
    """The action of a joint class; of an int, or of a whole array or tensor of them.

    Example:
        >>> action_of(27)
        2
    """
    return label // NUM_DIGITS  # type: ignore[operator, return-value]


@dataclass(frozen=True)
class LabelSet:
    """Names of the classes, and templates from which they are made."""

    name: str
    templates: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the class indices."""
        plain = [template.replace("[", "").replace("]", "") for template in self.templates]
        if self.name == MARGINAL:
            return tuple(plain)
        return tuple(text.replace("digit", word) for text in plain for word in DIGIT_NAMES)


def label_set(name: str, templates: Sequence[str]) -> LabelSet:
    """The label set called `name`.

    Raises:
        ValueError: `name` is neither `actions` nor `action_digit`.
    """
    if name not in (MARGINAL, JOINT):
        raise ValueError(f"expected the label set {MARGINAL!r} or {JOINT!r}, found {name!r}")
    return LabelSet(name, tuple(templates))


def action_logits(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Log sum exp over the digits: joint logits `[..., 10 * action]` -> action logits `[..., action]`.

    Example:
        >>> joint = np.log(np.array([0.1] * 4 + [0.0125] * 16 + [0.02] * 10))
        >>> np.exp(action_logits(joint)).round(3).tolist()
        [0.475, 0.125, 0.2]
    """
    grouped = logits.reshape(*logits.shape[:-1], -1, NUM_DIGITS)
    peak = grouped.max(axis=-1)
    return peak + np.log(np.exp(grouped - peak[..., None]).sum(axis=-1))


def classification(
    own: str, asked: str, num_classes: int, class_names: Sequence[str] = (), action_names: Sequence[str] = ()
) -> tasks.Classification:
    """The task of a model whose own label set is `own`, where another one may be asked.

    Args:
        own: Label set of the model's classes.
        asked: `actions`, where the model's own are `action_digit`; else `own`.
        num_classes: Of the model.
        class_names: Of them; empty if they are not known.
        action_names: Likewise.
    """
    sets = [tasks.LabelSet(own or "classes", tuple(class_names))]
    if (own, asked) == (JOINT, MARGINAL):
        class_of = tuple(action_of(label) for label in range(num_classes))
        sets.append(tasks.LabelSet(MARGINAL, tuple(action_names), class_of))
    return tasks.Classification(tuple(sets), sets[-1].name)
