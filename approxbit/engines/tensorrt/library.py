"""TensorRT's Python bindings, and what this version of them can do."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from approxbit.errors import EngineError

# (first version, first version that is good again, what is wrong), as reported in NVIDIA/TensorRT's issues.
_KNOWN_BAD = (
    ((10, 3), (10, 4), "fused attention in FP16 gave wrong answers for vision transformers (issue 4723)"),
    ((10, 4), (10, 5), "fused attention gave wrong answers even in FP32 (issue 4742)"),
    ((10, 7), (10, 8), "fused attention gave wrong answers for vision transformers (issue 4328)"),
)


@dataclass(frozen=True)
class Features:
    """Where the versions from 8.5 to 11.4 differ.

    Attributes:
        explicit_batch: A flag must say that the batch is a dimension (8.x; later it goes without saying).
        strong_types: The graph can say which tensor has which type (10.x; 11.x knows nothing else).
        weak_types: TensorRT can choose types where a flag allows it (8.x, 10.x).
        optimization_level: How long to search can be said (8.6 and later).
    """

    explicit_batch: bool
    strong_types: bool
    weak_types: bool
    optimization_level: bool

    @classmethod
    def of(cls, trt: Any) -> Features:
        """What the imported bindings can do."""
        return cls(
            explicit_batch=hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH"),
            strong_types=hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"),
            weak_types=hasattr(trt.BuilderFlag, "FP16"),
            optimization_level=hasattr(trt.IBuilderConfig, "builder_optimization_level"),
        )

    @classmethod
    def of_version(cls, version: tuple[int, int]) -> Features:
        """What a version can do that is not at hand."""
        return cls(version < (11, 0), version >= (10, 0), version < (11, 0), version >= (8, 6))


def import_tensorrt() -> Any:
    """TensorRT's Python bindings.

    Raises:
        ImportError: They are not installed. The message says how to get them.
    """
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise ImportError(
            f"TensorRT's Python bindings cannot be imported ({error}). JetPack has them for the system's own "
            "python3: sudo apt install python3-libnvinfer. On a server: pip install tensorrt"
        ) from error


def parse_version(text: str) -> tuple[int, int]:
    """The part of a version that decides.

    Raises:
        EngineError: The text does not start with two numbers.

    Example:
        >>> parse_version("8.5.2.2")
        (8, 5)
    """
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise EngineError(f"expected a version of TensorRT such as 10.3.0, found {text!r}")
    return int(match.group(1)), int(match.group(2))


def choose_precision(card_precision: str, features: Features, fp32: bool = False) -> str:
    """What an engine of a graph is built as, on a TensorRT of the given features.

    Args:
        card_precision: `Card.precision`, what the graph was exported for.
        features: What the TensorRT at hand can do.
        fp32: The user asks for FP32.

    Returns:
        `fp32`, `weak-fp16` or `strong-fp16`.

    Raises:
        EngineError: This TensorRT cannot build the graph as it is meant. The message says what to do.
    """
    if card_precision == "strong-fp16":
        if fp32:
            raise EngineError(
                "the types stand in this graph (strong-fp16), --fp32 cannot change them: "
                "export it again with a target whose precision is fp32"
            )
        if not features.strong_types:
            raise EngineError(
                "this graph says its own types (strong-fp16), which TensorRT takes from 10.0 on: "
                "export it again with the target of this JetPack"
            )
    if card_precision == "weak-fp16" and not fp32 and not features.weak_types:
        raise EngineError(
            "TensorRT 11 chooses no types itself, this graph (weak-fp16) would run in FP32: export it again "
            "with a strong-fp16 target such as orin-jp7, or say --fp32"
        )
    return "fp32" if fp32 else card_precision


def known_faults(version: tuple[int, int]) -> list[str]:
    """What is known to be wrong with a version of TensorRT."""
    return [text for first, good, text in _KNOWN_BAD if first <= version < good]
