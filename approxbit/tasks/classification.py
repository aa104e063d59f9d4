"""Classes: which ones there are, and the coarser label sets that can be asked of the same logits."""

from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Sequence, Tuple

import numpy as np


@dataclass(frozen=True)
class LabelSet:
    """One way to name what a clip shows.

    Attributes:
        name: Such as `actions`.
        class_names: In the order of the class indices; empty where they are not known.
        class_of: Of a coarser label set, the class that each class of the model belongs to. Empty for the
            model's own classes.

    Raises:
        ValueError: The name is empty, or `class_of` leaves out a class or names one that is not there.

    Example:
        >>> LabelSet("animals", ("cat", "dog"), class_of=(0, 0, 1)).num_classes
        2
    """

    name: str
    class_names: Tuple[str, ...] = ()
    class_of: Tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: expected the name of a label set, found ''")
        if self.class_of and sorted(set(self.class_of)) != list(range(max(self.class_of) + 1)):
            found = sorted(set(self.class_of))[:9]
            raise ValueError(f"class_of of {self.name}: expected every class from 0 on, found {found}")
        if self.class_of and self.class_names and len(self.class_names) != max(self.class_of) + 1:
            expected, found_names = max(self.class_of) + 1, len(self.class_names)
            raise ValueError(f"class_names of {self.name}: expected {expected}, found {found_names}")

    @property
    def num_classes(self) -> int:
        """How many there are; 0 where that is not known."""
        return max(self.class_of) + 1 if self.class_of else len(self.class_names)

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Logits of these classes, of logits of the model's: log sum exp over those that belong to each.

        Args:
            logits: float `[..., class of the model]`.

        Returns:
            float `[..., class]`; the same array for the model's own classes.

        Raises:
            ValueError: The model has another number of classes.

        Example:
            >>> animals = LabelSet("animals", ("cat", "dog"), class_of=(0, 0, 1))
            >>> np.exp(animals.logits(np.log([0.2, 0.3, 0.5]))).round(3).tolist()
            [0.5, 0.5]
        """
        self._check(logits.shape[-1])
        if not self.class_of:
            return logits
        groups = [logits[..., np.equal(self.class_of, index)] for index in range(self.num_classes)]
        return np.stack([_log_sum_exp(group) for group in groups], axis=-1)

    def labels(self, labels: Any) -> Any:
        """Classes of this set, of classes of the model: an int, or a whole integer array.

        Example:
            >>> LabelSet("animals", ("cat", "dog"), class_of=(0, 0, 1)).labels(np.array([2, 1])).tolist()
            [1, 0]
        """
        return np.asarray(self.class_of)[labels] if self.class_of else labels

    def rank(self, logits: np.ndarray) -> List[Tuple[str, float]]:
        """Classes and their probabilities, the likeliest first; of equal ones, the lower index.

        Args:
            logits: float `[class]` of this label set.
        """
        shares = np.exp(logits - logits.max())
        shares = shares / shares.sum()
        return [(self.name_of(index), float(shares[index])) for index in np.argsort(-shares, kind="stable")]

    def name_of(self, index: int) -> str:
        """The name of a class; `class 7` where it has none."""
        return self.class_names[index] if self.class_names else f"class {index}"

    def _check(self, num_model_classes: int) -> None:
        expected = len(self.class_of) or len(self.class_names)
        if expected and num_model_classes != expected:
            raise ValueError(
                f"the label set {self.name} is for {expected} classes, found {num_model_classes} logits"
            )


@dataclass(frozen=True)
class Classification:
    """Which class does a clip show?

    Attributes:
        label_sets: That of the model's own classes, and coarser ones that follow from its logits.
        asked: Name of the label set that a model or codec was trained to answer in.

    Raises:
        ValueError: There is no label set, two have one name, the first is a coarser one, a coarser one is
            for another number of classes, or none is called `asked`.
    """

    json_kind: ClassVar[str] = "classification"
    label_sets: Tuple[LabelSet, ...]
    asked: str = ""

    def __post_init__(self) -> None:
        names = [each.name for each in self.label_sets]
        if not names or len(set(names)) < len(names) or self.label_sets[0].class_of:
            raise ValueError(
                "label_sets: expected that of the model's own classes, then coarser ones, all of different "
                f"names, found {names}"
            )
        for each in self.label_sets[1:]:
            if len(each.class_of) != self.num_classes or not each.class_of:
                raise ValueError(
                    f"class_of of {each.name}: expected a class for each of the {self.num_classes} classes "
                    f"of {names[0]}, found {len(each.class_of)}"
                )
        object.__setattr__(self, "asked", self.asked or names[0])
        self.label_set(self.asked)

    @classmethod
    def of_names(cls, class_names: Sequence[str] = (), name: str = "classes") -> "Classification":
        """The task of a model that has one label set.

        Example:
            >>> Classification.of_names(("cat", "dog")).figures
            ('top1_classes',)
        """
        return cls((LabelSet(name, tuple(class_names)),))

    def label_set(self, name: str = "") -> LabelSet:
        """A label set by its name; the one that is asked by default.

        Raises:
            ValueError: There is none of that name.
        """
        for each in self.label_sets:
            if each.name == (name or self.asked):
                return each
        known = ", ".join(each.name for each in self.label_sets)
        raise ValueError(f"expected one of the label sets {known}, found {name or self.asked!r}")

    def asking(self, name: str) -> "Classification":
        """The same task, with another label set asked for; the same one where the name is empty.

        Raises:
            ValueError: There is none of that name.
        """
        return Classification(self.label_sets, self.label_set(name).name)

    @property
    def class_names(self) -> Tuple[str, ...]:
        """Names of the model's own classes; empty where they are not known."""
        return self.label_sets[0].class_names

    @property
    def num_classes(self) -> int:
        """How many classes the model has; 0 where that is not known."""
        return len(self.class_names) or max(len(each.class_of) for each in self.label_sets)

    def check_model(self, num_classes: int) -> None:
        """Make sure that a model of so many classes can have this task.

        Raises:
            ValueError: The task is for another number of classes.
        """
        if self.num_classes and num_classes != self.num_classes:
            raise ValueError(
                f"the label set {self.label_sets[0].name} has {self.num_classes} classes, "
                f"found a model of {num_classes}"
            )

    def describe(self, answer: Any) -> List[Tuple[str, float]]:
        """Classes of the label set that is asked and their probabilities, the likeliest first.

        Args:
            answer: Logits of the model's classes, float `[class]`.

        Raises:
            ValueError: The logits are of other classes.
        """
        asked = self.label_set()
        return asked.rank(asked.logits(answer))

    @property
    def figures(self) -> Tuple[str, ...]:
        """`top1_<label set>` for each, that of the one asked for first."""
        others = [each.name for each in self.label_sets if each.name != self.asked]
        return tuple(f"top1_{name}" for name in (self.asked, *others))

    def score(self, answers: np.ndarray, targets: np.ndarray) -> Dict[str, float]:
        """Top-1 in percent, in each label set.

        Args:
            answers: Logits of the model's classes, float `[clip, class]`.
            targets: Classes of the model, int `[clip]`.

        Raises:
            ValueError: The logits are of other classes, or there are no clips or not as many targets.

        Example:
            >>> task = Classification((LabelSet("pets"), LabelSet("animals", ("cat", "dog"), (0, 0, 1))))
            >>> task.score(np.eye(3), np.array([0, 0, 2]))
            {'top1_pets': 66.667, 'top1_animals': 100.0}
        """
        if len(answers) == 0 or len(answers) != len(targets):
            raise ValueError(
                f"expected a target for each of one or more answers, found {len(answers)} and {len(targets)}"
            )
        return {
            figure: round(100 * float(is_right.mean()), 3)
            for figure, is_right in self.hits(answers, targets).items()
        }

    def hits(self, answers: np.ndarray, targets: np.ndarray) -> Dict[str, np.ndarray]:
        """Which answers are right, by figure: bool `[clip]`. The arguments are those of `score`."""
        logits, labels, found = np.asarray(answers), np.asarray(targets), {}
        for figure in self.figures:
            each = self.label_set(figure[len("top1_") :])
            found[figure] = each.logits(logits).argmax(axis=-1) == each.labels(labels)
        return found


def require_classification(task: Any) -> Classification:
    """A task, where it is one of classes.

    Raises:
        ValueError: It is another kind of task.
    """
    if not isinstance(task, Classification):
        raise ValueError(f"expected a model that answers with classes, found the task {task.json_kind}")
    return task


def match_tasks(model: Classification, data: Classification, num_classes: int) -> Classification:
    """The task of a model, or that of the data that it is for where the model's has no names.

    Args:
        model: Its task.
        data: Their task, whose targets are the model's own classes.
        num_classes: Of the model.

    Raises:
        ValueError: The classes of the data are not those of the model.
    """
    data.check_model(num_classes)
    if model.class_names and data.class_names and model.class_names != data.class_names:
        found = [f"{', '.join(each.class_names[:3])}, ..." for each in (model, data)]
        raise ValueError(f"expected data of the model's classes {found[0]}, found those of {found[1]}")
    return model if model.class_names else data


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    peak = logits.max(axis=-1)
    total: np.ndarray = peak + np.log(np.exp(logits - peak[..., None]).sum(axis=-1))
    return total
