"""The kernels as they run here: translated by numba where it is installed, else as they stand."""

from __future__ import annotations

import functools
import importlib.util
import os
import types
from typing import Any, Callable, NamedTuple

from approxbit.wire.entropy import kernels

NO_COMPILER = "APPROXBIT_NO_NUMBA"
"""Environment variable; set to 1, the kernels run as they stand even where numba is installed."""

_COMPILED = (  # callees first
    "carry",
    "encode_bit",
    "decode_bit",
    "set_biases",
    "add_products",
    "probability_index",
    "sum_global",
    "see",
    "find_probabilities",
    "add_global",
    "sum_known",
    "find_logit",
    "sum_token",
    "encode_planes",
    "decode_planes",
)
_WITHOUT_COMPILER = ("set_biases", "add_products", "find_probabilities", "sum_global", "see")


class Kernels(NamedTuple):
    """The two entries, see `kernels.py`."""

    encode_planes: Callable[..., bool]
    decode_planes: Callable[..., None]


def has_compiler() -> bool:
    """Whether the kernels run translated by numba: some hundred times faster, to the same bytes."""
    if os.environ.get(NO_COMPILER) == "1":
        return False
    try:
        return importlib.util.find_spec("numba") is not None
    except ImportError:  # a finder of the program's own may say so by an error
        return False


def load_kernels() -> Kernels:
    """The kernels as they run fastest here. The first call imports numba, if it is installed."""
    return compile_kernels() if has_compiler() else plain_kernels()


@functools.lru_cache(maxsize=None)
def compile_kernels() -> Kernels:
    """The kernels, translated. What was translated is kept on disk for the next process.

    Raises:
        ImportError: numba is not installed.
    """
    try:
        from numba import njit
    except ImportError as error:
        raise ImportError("fast entropy coding needs numba: pip install 'approxbit[fast]'") from error
    space: dict[str, Any] = dict(vars(kernels))
    for name in _COMPILED:
        space[name] = njit(cache=True, nogil=True)(_rebound(getattr(kernels, name), space))
    return Kernels(space["encode_planes"], space["decode_planes"])


@functools.lru_cache(maxsize=None)
def plain_kernels() -> Kernels:
    """The kernels as they stand, with whole-array operations in the innermost loops."""
    space: dict[str, Any] = dict(vars(kernels))
    for name in _WITHOUT_COMPILER:
        space[name] = space[name + "_at_once"]
    for name in _COMPILED:
        if name not in _WITHOUT_COMPILER:
            space[name] = _rebound(getattr(kernels, name), space)
    return Kernels(space["encode_planes"], space["decode_planes"])


def _rebound(function: types.FunctionType, space: dict[str, Any]) -> types.FunctionType:
    """The function with `space` for its globals, so that it calls its callees as they are there."""
    copy = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__)
    copy.__module__ = function.__module__
    copy.__qualname__ = function.__qualname__
    return copy
