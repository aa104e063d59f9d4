"""What a classifier answers: all logits, or the likeliest classes; see `FORMAT.md`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.frame import BytesLike, check_integer, check_range, problem
from approxbit.wire.ids import are_wide, check_ids, read_ids, write_ids

MAX_CLASSES = 2**16
MAX_TOP = 255
DEFAULT_TOP = 5

_FLOAT16_MIN = -65504.0


@dataclass(frozen=True)
class TopK:
    """The likeliest classes. What they are called is known to the edge, and never sent.

    Attributes:
        classes: Their indices, all different, the likeliest first.
        scores: Their log-probabilities: natural logarithms of the softmax over all classes, 0 at most and not
            rising. Kept as they cross, in half precision; below -65504 they are -65504.

    Raises:
        TypeError: A class is not an integer.
        ValueError: There are not 1 to 255 different classes with one score each, or the scores are not as
            described.

    Example:
        >>> TopK.of_logits(np.array([0, 2, 1], np.float32), 2)
        TopK(classes=(1, 2), scores=(-0.40771484375, -1.4072265625))
    """

    classes: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", check_ids("class", self.classes))
        check_range("number of classes", len(self.classes), 1, MAX_TOP)
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(problem("classes", "different ones", self.classes))
        if len(self.scores) != len(self.classes):
            raise ValueError(
                problem("scores", f"one for each of {len(self.classes)} classes", len(self.scores))
            )
        for score, before in zip(self.scores, (0.0, *self.scores)):
            if not -math.inf < score <= before:
                raise ValueError(problem("scores", "finite, 0 at most, and not rising", self.scores))
        half = np.array([max(score, _FLOAT16_MIN) for score in self.scores], np.float16)
        # Minus zero equals zero, and would give equal answers two byte strings.
        object.__setattr__(self, "scores", tuple((half + np.float16(0)).tolist()))

    @property
    def best(self) -> int:
        """The likeliest class."""
        return self.classes[0]

    @classmethod
    def of_logits(cls, logits: np.ndarray, k: int = DEFAULT_TOP) -> TopK:
        """The `k` classes of the highest logits, or all where there are fewer; of equals, the lowest indices.

        Raises:
            ValueError: The logits are not finite float32 `[class]`, or `k` is out of bounds.
        """
        values = check_logits(logits).astype(np.float64)
        classes = np.argsort(-values, kind="stable")[: check_integer("k", k, 1, MAX_TOP)]
        shifted = values - values.max()
        scores = np.minimum(shifted[classes] - math.log(np.exp(shifted).sum()), 0)
        return cls(tuple(classes.tolist()), tuple(scores.tolist()))

    @property
    def is_wide(self) -> bool:
        """Whether the indices take 32 bits each."""
        return are_wide(self.classes)

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        return write_ids(self.classes) + np.array(self.scores, ">f2").tobytes()

    @classmethod
    def from_bytes(cls, data: BytesLike, is_wide: bool) -> TopK:
        """Read the classes.

        Raises:
            ValueError: They are not as described.
            WireError: The same.
        """
        width = 6 if is_wide else 4
        if len(data) % width or not width <= len(data) <= width * MAX_TOP:
            raise WireError(problem("bytes of the classes", f"{width} for each of 1 to {MAX_TOP}", len(data)))
        num_bytes = (width - 2) * (len(data) // width)
        scores = np.frombuffer(data[num_bytes:], ">f2")
        if np.signbit(scores[scores == 0]).any():
            raise WireError(problem("scores", "no minus zero", "one"))
        return cls(read_ids("classes", data[:num_bytes], is_wide), tuple(scores.tolist()))


@dataclass(frozen=True, eq=False)
class Logits:
    """One number for each class.

    Attributes:
        values: float32 `[class]`, finite; kept as a read-only copy.

    Raises:
        ValueError: They are not as described.
    """

    values: np.ndarray

    is_wide = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(check_logits(self.values)))

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, Logits) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        return self.values.astype(">f4").tobytes()

    @classmethod
    def from_bytes(cls, data: BytesLike, is_wide: bool = False) -> Logits:
        """Read the logits.

        Raises:
            ValueError: One is not finite.
            WireError: The bytes are no whole number of them, or too many.
        """
        if len(data) % 4 or not 4 <= len(data) <= 4 * MAX_CLASSES:
            raise WireError(problem("bytes of the logits", f"4 for each of 1 to {MAX_CLASSES}", len(data)))
        return cls(np.frombuffer(data, ">f4").astype(np.float32))


def check_logits(logits: np.ndarray) -> np.ndarray:
    """Let only finite float32 `[class]` pass.

    Raises:
        ValueError: They are something else.
    """
    if not isinstance(logits, np.ndarray) or logits.dtype != np.float32 or logits.ndim != 1:
        found = "{} {}".format(getattr(logits, "dtype", type(logits).__name__), np.shape(logits))
        raise ValueError(problem("logits", "float32 [class]", found))
    check_range("number of logits", len(logits), 1, MAX_CLASSES)
    if not np.isfinite(logits).all():
        place = int(np.flatnonzero(~np.isfinite(logits))[0])
        raise ValueError(problem("logits", "finite numbers", f"{logits[place]} at class {place}"))
    return logits


def freeze(array: np.ndarray) -> np.ndarray:
    """A copy that nobody can write to."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy
