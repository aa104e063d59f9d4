"""What the user asks for: a latency bound or an accuracy floor."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Union

_NUMBER = r"\s*([0-9]+(?:\.[0-9]*)?)\s*"
_LATENCY = re.compile(r"\s*latency\s*<=" + _NUMBER + r"(?:ms)?\s*")
_ACCURACY = re.compile(r"\s*accuracy\s*>=" + _NUMBER + r"%?\s*")


@dataclass(frozen=True)
class LatencySLA:
    """At most `max_ms` from clip to answer, as accurate as that allows (first form of Eq. 2, APPROXBIT).

    The paper writes `t < t_user`; ours includes the bound itself.

    Raises:
        ValueError: `max_ms` is not a finite number above 0.
    """

    max_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.max_ms < math.inf:
            raise ValueError(f"max_ms: expected a finite number above 0, found {self.max_ms!r}")

    @classmethod
    def parse(cls, text: str) -> "LatencySLA":
        """Read `latency<=60ms`; the inverse of `str()`.

        Raises:
            ValueError: `text` is not of that form.
        """
        match = _LATENCY.fullmatch(text)
        if match is None:
            raise ValueError(f"expected a latency bound such as 'latency<=60ms', found {text!r}")
        return cls(float(match.group(1)))

    def __str__(self) -> str:
        return f"latency<={_plain(self.max_ms)}ms"

    def is_met_by(self, latency_ms: float, accuracy: float) -> bool:
        """Whether an arm of this latency and accuracy keeps the promise."""
        return latency_ms <= self.max_ms


@dataclass(frozen=True)
class AccuracySLA:
    """At least `min_accuracy` percent, as fast as that allows (second form of Eq. 2, APPROXBIT).

    The paper writes `acc > acc_user`; ours includes the floor itself. An arm that cannot be reached
    (its latency is infinite) never keeps the promise.

    Raises:
        ValueError: `min_accuracy` is not in 0 to 100.
    """

    min_accuracy: float

    def __post_init__(self) -> None:
        if not 0 <= self.min_accuracy <= 100:
            raise ValueError(f"min_accuracy: expected 0 to 100 percent, found {self.min_accuracy!r}")

    @classmethod
    def parse(cls, text: str) -> "AccuracySLA":
        """Read `accuracy>=92` or `accuracy>=92%`; the inverse of `str()`.

        Raises:
            ValueError: `text` is not of that form.
        """
        match = _ACCURACY.fullmatch(text)
        if match is None:
            raise ValueError(f"expected an accuracy floor such as 'accuracy>=92', found {text!r}")
        return cls(float(match.group(1)))

    def __str__(self) -> str:
        return f"accuracy>={_plain(self.min_accuracy)}"

    def is_met_by(self, latency_ms: float, accuracy: float) -> bool:
        """Whether an arm of this latency and accuracy keeps the promise."""
        return accuracy >= self.min_accuracy and latency_ms < math.inf


SLA = Union[LatencySLA, AccuracySLA]


def parse_sla(text: str) -> SLA:
    """Read either kind of SLA.

    Raises:
        ValueError: `text` is neither a latency bound nor an accuracy floor.

    Example:
        >>> parse_sla("latency<=60ms")
        LatencySLA(max_ms=60.0)
        >>> parse_sla("accuracy >= 92.5%")
        AccuracySLA(min_accuracy=92.5)
    """
    if _LATENCY.fullmatch(text):
        return LatencySLA.parse(text)
    if _ACCURACY.fullmatch(text):
        return AccuracySLA.parse(text)
    raise ValueError(f"expected an SLA such as 'latency<=60ms' or 'accuracy>=92', found {text!r}")


def _plain(value: float) -> str:
    """The shortest decimal that reads back as `value`, without an exponent."""
    text = format(Decimal(repr(float(value))), "f")
    return text[:-2] if text.endswith(".0") else text
