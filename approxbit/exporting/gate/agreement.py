"""Whether a graph gives the numbers of the model it was exported from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from approxbit.engines.artefact_card import Tolerance
from approxbit.errors import GateError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class CodeAgreement:
    """How far the codes of an edge graph are from its model's.

    Attributes:
        flipped_share: Share of the bits that differ.
        largest_flipped_margin: Largest distance of a differing bit's logit from the threshold; 0 if no bit
            differs. A small one is rounding; a large one is a wrong graph.
    """

    flipped_share: float
    largest_flipped_margin: float

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether few enough bits differ."""
        return self.flipped_share <= tolerance.max_flipped_share

    def as_dict(self) -> dict[str, Any]:
        """What a card holds, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"a share of {self.flipped_share:.6f} of the bits differs, "
            f"with logits up to {self.largest_flipped_margin:.2g} from the threshold"
        )


@dataclass(frozen=True)
class AnswerAgreement:
    """How far the answers of a server graph, or of a whole one, are from its model's.

    Attributes:
        answer_error: Largest absolute difference.
        largest_answer: Largest magnitude of an expected answer, the unit of the tolerance.
    """

    answer_error: float
    largest_answer: float

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether the difference is small enough; one that is no number is not."""
        return self.answer_error <= tolerance.max_answer_error * self.largest_answer

    def as_dict(self) -> dict[str, Any]:
        """What a card holds, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"answers of up to {self.largest_answer:.2g} differ by up to {self.answer_error:.2g}"


Agreement = CodeAgreement | AnswerAgreement


def measure_agreement(
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str] | Arrays,
    tolerance: Tolerance | None = None,
) -> Agreement:
    """Run a graph under ONNX Runtime on the CPU, and compare it with what torch gave.

    Args:
        path: An edge, a server or a whole graph; the names of its input and its output say which.
        reference: `reference.npz`, or its arrays: `clip` and `packed` with the `margin` of each bit for an
            edge graph, `packed` and `answer` for a server graph, `clip` and `answer` for a whole one. The
            answers are those to the same arrays: a whole model's are not those to its codes.
        tolerance: What is still agreement; by default what a card allows an engine in half precision, so
            pass a smaller one for a float32 graph.

    Raises:
        GateError: ONNX Runtime refuses the graph, or the graph differs by more than the tolerance.
        ValueError: The reference lacks an array, or its arrays do not fit together.
        OSError: The reference cannot be read.
        ImportError: onnxruntime is not installed.
    """
    tolerance = Tolerance() if tolerance is None else tolerance
    session = _open_session(path)
    agreement = _compare(path, session, reference)
    if not agreement.is_within(tolerance):
        raise GateError(
            f"{path} is not the model it was exported from: {agreement}; the limit is {tolerance}"
        )
    return agreement


def compare_codes(found: np.ndarray, expected: np.ndarray, margin: np.ndarray) -> CodeAgreement:
    """How far packed codes are from those expected.

    Args:
        found: uint8 or int32 `[clip, payload_bytes]`.
        expected: uint8 `[clip, payload_bytes]`.
        margin: `[clip, bit]`, distance of each bit's logit from the threshold.

    Raises:
        GateError: `found` holds no bytes of that shape, or does not fill the last byte with zero bits.
        ValueError: `expected` and `margin` do not fit together.
    """
    num_bits = margin.shape[-1]
    if margin.ndim != 2 or expected.shape != (len(margin), (num_bits + 7) // 8):
        raise ValueError(
            f"expected packed codes of ceil(bits / 8) bytes for each margin, found packed of shape "
            f"{expected.shape} and margin of shape {margin.shape}"
        )
    if found.shape != expected.shape or found.min() < 0 or found.max() > 255:
        raise GateError(
            f"the edge graph must give bytes of shape {expected.shape}, found values from {found.min()} to "
            f"{found.max()} of shape {found.shape}"
        )
    bits = np.unpackbits(found.astype(np.uint8) ^ expected, axis=1).astype(bool)
    if bits[:, num_bits:].any():
        raise GateError("the edge graph must fill the last byte with zero bits, found other bits")
    flipped = bits[:, :num_bits]
    return CodeAgreement(float(flipped.mean()), float(margin[flipped].max(initial=0)))


def _compare(
    path: str | os.PathLike[str], session: Any, reference: str | os.PathLike[str] | Arrays
) -> Agreement:
    names = session.get_inputs()[0].name, session.get_outputs()[0].name
    if names == ("clip", "packed"):
        clip, packed, margin = _take(reference, "clip", "packed", "margin")
        return compare_codes(_run(path, session, clip), packed, margin)
    if names not in (("packed", "answer"), ("clip", "answer")):
        raise GateError(
            f"{path} must make packed of clip (edge), answer of packed (server) or answer of clip (whole), "
            f"found {names[1]} of {names[0]}"
        )
    given, answer = _take(reference, *names)
    found = _run(path, session, given)
    if found.shape != answer.shape:
        raise GateError(f"{path} must give answers of shape {answer.shape}, found {found.shape}")
    return AnswerAgreement(float(np.abs(found - answer).max()), float(np.abs(answer).max()))


def _open_session(path: str | os.PathLike[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        message = "comparing a graph with its model needs onnxruntime: pip install 'approxbit[export]'"
        raise ImportError(message) from error
    options = onnxruntime.SessionOptions()
    if hasattr(os, "sched_getaffinity"):  # its own default is all cores, also those that we may not use
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
    with _refusals(path):
        return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def _run(path: str | os.PathLike[str], session: Any, batch: np.ndarray) -> np.ndarray:
    """The first output for all rows: at once where the batch is open, else in parts of the graph's batch."""
    first = session.get_inputs()[0]
    size = first.shape[0] if isinstance(first.shape[0], int) else len(batch)
    if len(batch) == 0 or len(batch) % size:
        raise ValueError(f"{path} takes batches of {size}, found a reference of {len(batch)}")
    with _refusals(path):
        parts = [session.run(None, {first.name: part})[0] for part in np.split(batch, len(batch) // size)]
    return np.concatenate(parts)


@contextmanager
def _refusals(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors have no common root below this one
        raise GateError(f"ONNX Runtime refuses {path}: {error}") from error


def _take(reference: str | os.PathLike[str] | Arrays, *names: str) -> list[np.ndarray]:
    if isinstance(reference, (str, os.PathLike)):
        with np.load(reference) as file:
            return _take(dict(file), *names)
    missing = [name for name in names if name not in reference]
    if missing:
        raise ValueError(f"the reference must hold {', '.join(names)}; {', '.join(missing)} is missing")
    return [np.asarray(reference[name]) for name in names]
