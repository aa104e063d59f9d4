"""Numbers of any shape, as an answer; see `FORMAT.md`."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from approxbit.errors import WireError
from approxbit.wire.classes import freeze
from approxbit.wire.frame import MAX_PAYLOAD_BYTES, BytesLike, Cursor, check_range, problem

MAX_AXES = 8
DTYPES = ("u1", "i4", "i8", "f2", "f4")
"""Types of a tensor, by their numbers on the wire."""

_HEAD = struct.Struct(">BB")


@dataclass(frozen=True, eq=False)
class TensorAnswer:
    """Numbers of any shape, such as a feature or a map of scores.

    Attributes:
        values: uint8, int32, int64, float16 or float32, of at most 8 axes of at least 1 and 64 MiB, finite;
            kept as a read-only copy.

    Raises:
        ValueError: They are not as described.
    """

    values: np.ndarray

    is_wide = False

    def __post_init__(self) -> None:
        values = self.values
        if not isinstance(values, np.ndarray) or values.dtype.str[1:] not in DTYPES:
            expected = ", ".join(str(np.dtype(each)) for each in DTYPES)
            found = getattr(values, "dtype", type(values).__name__)
            raise ValueError(problem("tensor", f"an array of one of {expected}", found))
        check_range("axes of the tensor", values.ndim, 0, MAX_AXES)
        check_range("bytes of the tensor", values.nbytes, 1, MAX_PAYLOAD_BYTES)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(problem("tensor", "finite numbers", "others"))
        object.__setattr__(self, "values", freeze(values))

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if isinstance(other, TensorAnswer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        name = self.values.dtype.str[1:]
        head = _HEAD.pack(DTYPES.index(name), self.values.ndim)
        shape = np.array(self.values.shape, ">u4").tobytes()
        return head + shape + self.values.astype(">" + name).tobytes()

    @classmethod
    def from_bytes(cls, data: BytesLike, is_wide: bool = False) -> TensorAnswer:
        """Read the tensor.

        Raises:
            ValueError: It is not as described.
            WireError: The same.
        """
        cursor = Cursor(data)
        number, num_axes = cursor.unpack(_HEAD, "head of the tensor")
        check_range("dtype of the tensor", number, 0, len(DTYPES) - 1)
        check_range("axes of the tensor", num_axes, 0, MAX_AXES)
        shape = np.frombuffer(cursor.take(4 * num_axes, "shape of the tensor"), ">u4").tolist()
        dtype = np.dtype(">" + DTYPES[number])
        num_bytes = dtype.itemsize * math.prod(shape)
        check_range("bytes of the tensor", num_bytes, 1, MAX_PAYLOAD_BYTES)
        if cursor.num_left != num_bytes:
            raise WireError(problem("tensor", f"{num_bytes} bytes for {shape}", cursor.num_left))
        values = np.frombuffer(cursor.take_rest(), dtype).reshape(shape)
        return cls(values.astype(dtype.newbyteorder("=")))
