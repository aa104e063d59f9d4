"""The card of an exported artefact: what its graphs take and give, and how they were made."""

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from approxbit.engines.runner import ClipFormat
from approxbit.errors import ArtefactError
from approxbit.files import sha256_of
from approxbit.wire import CodeFormat

HALVES = ("edge", "server")
WHOLE = "whole"
GRAPHS = (*HALVES, WHOLE)
PRECISIONS = ("fp32", "weak-fp16", "strong-fp16")
CODE_TYPES = ("uint8", "int32")
SHA256 = re.compile("[0-9a-f]{64}")

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def require(holds: bool, entry: str, expected: str, found: object) -> None:
    """Let an entry of the card pass.

    Raises:
        ValueError: It is not as it must be.
    """
    if not holds:
        raise ValueError(f"{entry}: expected {expected}, found {found!r}")


@dataclass(frozen=True)
class TensorCard:
    """One input or output of a graph.

    Attributes:
        name: As in the graph.
        dtype: numpy's name of the type.
        shape: None stands for a dimension that may vary: the batch.
    """

    name: str
    dtype: str
    shape: Tuple[Optional[int], ...]

    def __post_init__(self) -> None:
        are_sizes = all(size is None or size > 0 for size in self.shape)
        require(are_sizes, "shape", "sizes of at least 1, or null for the batch", self.shape)

    def __str__(self) -> str:
        sizes = ", ".join("batch" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} [{sizes}]"


@dataclass(frozen=True)
class GraphCard:
    """One ONNX file of an artefact.

    Attributes:
        file: Its name in the folder.
        sha256: Of the file, 64 hexadecimal digits.
        opset: Of the default operator set, as read from the file.
        ir: ONNX's file version, as read from the file.
        inputs: `clip` of the edge half and of the unsplit model, `packed` of the server half.
        outputs: `packed` of the edge half, `answer` of the server half and of the unsplit model.
        float32_layers: Nodes that must compute in FP32 where TensorRT chooses the types (`weak-fp16`).
        external_data: sha256 by name of the files beside the graph that hold its weights, if they do not
            lie in the graph.
    """

    file: str
    sha256: str
    opset: int
    ir: int
    inputs: Tuple[TensorCard, ...]
    outputs: Tuple[TensorCard, ...]
    float32_layers: Tuple[str, ...] = ()
    external_data: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("opset", "ir"):
            require(getattr(self, name) > 0, name, "a whole number of at least 1", getattr(self, name))
        for entry, names in (("file", [self.file]), ("external_data", self.external_data)):
            for name in names:
                require(_FILE.fullmatch(name) is not None, entry, "the name of a file in the folder", name)
        for entry, digests in (("sha256", [self.sha256]), ("external_data", self.external_data.values())):
            for digest in digests:
                require(SHA256.fullmatch(digest) is not None, entry, "64 hexadecimal digits", digest)

    @property
    def files(self) -> Dict[str, str]:
        """sha256 by name of every file that the graph consists of."""
        return {self.file: self.sha256, **self.external_data}

    @property
    def digest(self) -> str:
        """One sha256 for all files of the graph; that of the file itself where there is only one."""
        if not self.external_data:
            return self.sha256
        return sha256_of("".join(sorted(self.files.values())).encode())


@dataclass(frozen=True)
class Tolerance:
    """How far an engine may be from the reference before it is refused.

    Attributes:
        max_flipped_share: Share of the code's bits that may differ, 0 to 1.
        max_answer_error: Largest difference of an answer, in units of the reference's largest magnitude.
        max_flipped_margin: Largest margin of a bit that may differ, in units of the median margin: what
            rounding flips. Half precision was seen to flip up to 0.011. A bit beyond it is wrong, however
            rare.
    """

    max_flipped_share: float = 0.005
    max_answer_error: float = 0.02
    max_flipped_margin: float = 0.1

    def __str__(self) -> str:
        return (
            f"{self.max_flipped_share:.2%} of the bits with margins of up to {self.max_flipped_margin:g} of "
            f"the median, {self.max_answer_error:.2%} of the largest answer"
        )


@dataclass(frozen=True)
class Card:
    """What an artefact holds and how it was made.

    Attributes:
        name: Checkpoint, such as `digits-movinet/16-Enc-B5`.
        target: The whole target that the graphs were exported for, as in `export/targets`.
        clip_format: What `clip` is; its fingerprint is the backbone's.
        code_format: What `packed` is; its fingerprint is the codec's.
        label_names: Of the answer's classes; empty for a model that does not end in classes.
        graphs: `edge`, `server`, and `whole` if the unsplit model was exported as well.
        tolerance: When to refuse an engine.
        gate: What the check of the graphs reported.
        tools: Version by package.
        date: Day of the export, `YYYY-MM-DD`.

    Raises:
        ArtefactError: The parts do not fit each other. The message names the entry.
    """

    name: str
    target: Dict[str, Any]
    clip_format: ClipFormat
    code_format: CodeFormat
    label_names: Tuple[str, ...]
    graphs: Dict[str, GraphCard]
    tolerance: Tolerance
    gate: Dict[str, Any]
    tools: Dict[str, str]
    date: str

    def __post_init__(self) -> None:
        _check_card(self)

    @property
    def precision(self) -> str:
        """`fp32`, `weak-fp16` (TensorRT chooses types) or `strong-fp16` (the graph says them)."""
        return str(self.target["precision"])

    @property
    def has_whole(self) -> bool:
        """Whether the unsplit model was exported as well."""
        return WHOLE in self.graphs

    @property
    def max_batch(self) -> int:
        """Largest batch of the server half."""
        return int(self.target.get("dynamic_batch") or 1)


def _check_card(card: Card) -> None:
    if set(card.graphs) not in (set(HALVES), set(GRAPHS)):
        raise ArtefactError(f"graphs: expected edge, server and perhaps whole, found {sorted(card.graphs)}")
    _check_target(card.target)
    tolerance = card.tolerance
    others = min(tolerance.max_answer_error, tolerance.max_flipped_margin)
    if not 0 <= tolerance.max_flipped_share <= 1 or not others >= 0:
        expected = "a share from 0 to 1, an error and a margin of at least 0"
        raise ArtefactError(f"tolerance: expected {expected}, found {tolerance}")
    for entry, expected_tensor in _expected_tensors(card).items():
        graph, side = entry.split(".")
        found = getattr(card.graphs[graph], side)
        if found != (expected_tensor,):
            text = "; ".join(map(str, found)) or "nothing"
            raise ArtefactError(f"graphs.{entry}: expected {expected_tensor}, found {text}")


def _check_target(target: Dict[str, Any]) -> None:
    for key, choices in (("precision", PRECISIONS), ("output_type", CODE_TYPES)):
        if target.get(key) not in choices:
            found = repr(target[key]) if key in target else "nothing"
            raise ArtefactError(f"target.{key}: expected one of {', '.join(choices)}, found {found}")
    batch = target.get("dynamic_batch")
    if batch is not None and (type(batch) is not int or batch < 1):
        raise ArtefactError(f"target.dynamic_batch: expected at least 1, or null, found {batch!r}")


def _expected_tensors(card: Card) -> Dict[str, TensorCard]:
    clip, payload_bytes = card.clip_format, card.code_format.payload_bytes
    outputs = card.graphs["server"].outputs
    answer_shape = outputs[0].shape[1:] if outputs else ()  # classes, or tokens and channels
    batch = None if card.target.get("dynamic_batch") else 1
    clip_card = TensorCard("clip", "float32", (1, 3, clip.num_frames, clip.size, clip.size))
    expected = {
        "edge.inputs": clip_card,
        "edge.outputs": TensorCard("packed", card.target["output_type"], (1, payload_bytes)),
        "server.inputs": TensorCard("packed", "uint8", (batch, payload_bytes)),
        "server.outputs": TensorCard("answer", "float32", (batch, *answer_shape)),
    }
    if card.has_whole:
        expected["whole.inputs"] = clip_card
        expected["whole.outputs"] = TensorCard("answer", "float32", (1, *answer_shape))
    return expected
