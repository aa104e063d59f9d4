"""The units of a prior that see all bits before, wherever in the code they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from approxbit.wire.frame import check_range, problem

MAX_UNITS = 255
MAX_WEIGHTS = 2**18
"""Most weights from the bits of a code to its global units."""


@dataclass(frozen=True, eq=False)
class GlobalUnits:
    """Integer weights of rectified units, whose sums grow with every bit in the order of coding.

    All arrays are int16, read-only copies, in 1/4096. Larger codes have fewer units, so that no sum of theirs
    can overflow int64.

    Attributes:
        input: `[bit, position, unit]`; class tokens are the last positions.
        bias: `[unit]`, a sum before the first bit.
        output: `[bit, position, unit]`, to the logit of a bit.

    Raises:
        ValueError: An array has another type or shape, or there are too many units.
    """

    input: np.ndarray
    bias: np.ndarray
    output: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.output)
        if len(shape) != 3:
            raise ValueError(problem("output of the global units", "[bit, position, unit]", shape))
        check_num_units(*shape)
        for name, expected in (("input", shape), ("bias", shape[2:]), ("output", shape)):
            object.__setattr__(
                self, name, copy_weights(f"{name} of the global units", getattr(self, name), expected)
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bits, positions and units."""
        bits, positions, units = self.output.shape
        return bits, positions, units

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All arrays, in the order of a file."""
        return self.input, self.bias, self.output


def copy_weights(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only copy of weights.

    Args:
        name: For the message.
        array: The weights.
        shape: That they must have.

    Raises:
        ValueError: They have another, or are not int16.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.int16 or array.shape != shape:
        found = "{} {}".format(getattr(array, "dtype", type(array).__name__), np.shape(array))
        raise ValueError(problem(name, f"int16 {shape}", found))
    copy = np.array(array, np.int16, order="C")
    copy.flags.writeable = False
    return copy


def check_num_units(num_bits: int, num_positions: int, num_units: int) -> None:
    """Let only so many global units pass as a code of some size may have.

    Raises:
        ValueError: There are none, or too many.
    """
    check_range("global units", num_units, 1, MAX_UNITS)
    check_range("weights of the global units", num_bits * num_positions * num_units, 1, MAX_WEIGHTS)
