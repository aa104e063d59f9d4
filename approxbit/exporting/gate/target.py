"""What one target takes: the files of `export/targets`, read and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from approxbit.engines.finding import find_targets
from approxbit.exporting.gate.operators import OPERATOR_TABLES, OperatorTable
from approxbit.files import load_json

EXPORTERS = ("torchscript", "dynamo")
PRECISIONS = ("fp32", "weak-fp16", "strong-fp16")
LAYER_NORMS = ("decomposed", "native")
OUTPUT_TYPES = ("uint8", "int32")

_FIRST_OPSET_WITH_LAYER_NORM = 17
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "exporter": EXPORTERS,
    "precision": PRECISIONS,
    "layer_norm": LAYER_NORMS,
    "output_type": OUTPUT_TYPES,
    "operator_table": tuple(OPERATOR_TABLES),
}
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_FORMS = (
    ("name", re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "letters, digits, '_', '.' and '-'"),
    ("device", re.compile(r".+"), "some words"),
    ("jetpack", re.compile(r".+"), "some words, or null"),
    ("python", _VERSION, "a version such as '3.8'"),
    ("tensorrt", _VERSION, "a version such as '8.5.2', or null"),
)


@dataclass(frozen=True)
class Target:
    """One target: how a graph is exported for it, and what its parser takes.

    Attributes:
        name: Letters, digits, `_`, `.` and `-`.
        device: The machine, in words.
        jetpack: Versions of JetPack, in words; None for what is no Jetson.
        tensorrt: The oldest version of TensorRT that the target is for; None for ONNX Runtime.
        python: The Python that the target brings.
        exporter: `torchscript` or `dynamo`: the two of `torch.onnx.export`.
        opset: Version of the standard operators that the file must have.
        ir: Newest IR version that the file may have.
        precision: `fp32`; `weak-fp16`: a float32 graph, in which the builder may choose FP16; `strong-fp16`:
            a mixed graph whose types are kept as they are.
        layer_norm: `native` (one operator) or `decomposed` (means, differences and quotients).
        output_type: Type of the packed code, `uint8` or `int32`.
        dynamic_batch: Largest batch of the server graph; None for a fixed batch of 1.
        operator_table: Key of `OPERATOR_TABLES`.
        notes: What a user of the target should know.

    Raises:
        ValueError: A value is of the wrong kind or out of range, or two do not go together.
    """

    name: str
    device: str
    jetpack: str | None
    tensorrt: str | None
    python: str
    exporter: str
    opset: int
    ir: int
    precision: str
    layer_norm: str
    output_type: str
    dynamic_batch: int | None
    operator_table: str
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _invalid(name, f"one of {', '.join(allowed)}", getattr(self, name))
        for name in ("opset", "ir", "dynamic_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise _invalid(name, "a whole number of at least 1", value)
        for name, form, words in _FORMS:
            value = getattr(self, name)
            if value is not None and form.fullmatch(value) is None:
                raise _invalid(name, words, value)
        self._check_that_the_table_fits()

    def _check_that_the_table_fits(self) -> None:
        oldest, newest = self.table.opsets
        if not oldest <= self.opset <= newest:
            raise _invalid("opset", f"{oldest} to {newest}, which {self.table.parser} documents", self.opset)
        if self.precision not in self.table.precisions:
            expected = f"what {self.table.parser} can build ({', '.join(sorted(self.table.precisions))})"
            raise _invalid("precision", expected, self.precision)
        if self.layer_norm == "native" and self.opset < _FIRST_OPSET_WITH_LAYER_NORM:
            expected = f"'decomposed' below opset {_FIRST_OPSET_WITH_LAYER_NORM}"
            raise _invalid("layer_norm", expected, self.layer_norm)
        if (self.tensorrt is None) != (self.operator_table == "onnxruntime"):
            expected = "null with the operator_table 'onnxruntime', else a version"
            raise _invalid("tensorrt", expected, self.tensorrt)

    @property
    def table(self) -> OperatorTable:
        """The operators that the target takes."""
        return OPERATOR_TABLES[self.operator_table]

    @property
    def reader(self) -> str:
        """What reads the graph, such as `TensorRT 8.5.2`."""
        return "ONNX Runtime" if self.tensorrt is None else f"TensorRT {self.tensorrt}"


def target_names() -> tuple[str, ...]:
    """Names that `load_target` takes.

    Raises:
        ValueError: The folder of targets is missing.
    """
    return tuple(sorted(path.stem for path in find_targets().glob("*.json")))


def load_target(name_or_path: str | os.PathLike[str]) -> Target:
    """One of the targets that come with approxbit, or a file of your own.

    Args:
        name_or_path: A name such as `orin-jp6`, or the path of a file that ends in `.json`.

    Raises:
        ValueError: There is no such target, or the file holds none. The message names the file and the key.

    Example:
        >>> load_target("xavier-jp5").reader
        'TensorRT 8.5.2'
    """
    path = _locate(name_or_path)
    target = load_json(path, Target, ValueError)
    if target.name != path.stem:
        raise ValueError(f"{path}: name: expected {path.stem!r}, as the file is, found {target.name!r}")
    return target


def _locate(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".json":
        return path
    names = target_names()
    if str(name_or_path) not in names:
        expected = f"a target ({', '.join(names)}) or the path of a .json file"
        raise ValueError(f"expected {expected}, found {str(name_or_path)!r}")
    return find_targets() / f"{name_or_path}.json"


def _invalid(name: str, expected: str, found: object) -> ValueError:
    return ValueError(f"{name}: expected {expected}, found {found!r}")
