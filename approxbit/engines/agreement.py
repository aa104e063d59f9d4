"""Whether a graph gives the codes and answers of the trained model: one rule for gate and engines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Union

import numpy as np

from approxbit.engines.artefact import Reference, Tolerance
from approxbit.engines.graph import Graph
from approxbit.errors import GateError

FEW_BITS = 3
"""So many bits next to the threshold may flip in any reference: of a small one, they are a large share."""


@dataclass(frozen=True)
class CodeAgreement:
    """How far codes are from the reference's.

    Attributes:
        num_bits: Bits of all codes.
        num_flipped: Bits that differ.
        largest_flipped_margin: Largest margin of a bit that differs, in units of the median margin of all
            bits; 0 if no bit differs. Rounding flips bits of small margins, a wrong kernel any.
    """

    num_bits: int
    num_flipped: int
    largest_flipped_margin: float

    @property
    def flipped_share(self) -> float:
        """Share of the bits that differ."""
        return self.num_flipped / self.num_bits

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether few bits differ, and all of them next to the threshold."""
        most = max(FEW_BITS, tolerance.max_flipped_share * self.num_bits)
        return self.num_flipped <= most and self.largest_flipped_margin <= tolerance.max_flipped_margin

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return {"flipped_share": self.flipped_share, **asdict(self)}

    def __str__(self) -> str:
        return (
            f"{self.num_flipped} of {self.num_bits} bits differ, {self.flipped_share:.4%}, "
            f"with margins of up to {self.largest_flipped_margin:.2g} of the median"
        )


@dataclass(frozen=True)
class AnswerAgreement:
    """How far answers are from the reference's.

    Attributes:
        num_answers: Reference answers.
        num_agreeing: Those whose largest value stands at the same place.
        answer_error: Largest absolute difference; NaN if there is one among the answers.
        largest_answer: Largest magnitude of a reference answer, the unit of the tolerance.
    """

    num_answers: int
    num_agreeing: int
    answer_error: float
    largest_answer: float

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether the difference is small enough; one that is no number is not."""
        return self.answer_error <= tolerance.max_answer_error * self.largest_answer

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"answers of up to {self.largest_answer:.2g} differ by up to {self.answer_error:.2g}, "
            f"{self.num_agreeing} of {self.num_answers} have the same class"
        )


Agreement = Union[CodeAgreement, AnswerAgreement]


def measure_agreement(graph: Graph, role: str, reference: Reference) -> Agreement:
    """Run a graph on the reference's clips or codes, in batches as large as it takes.

    Args:
        graph: What computes.
        role: `edge`, `server` or `whole`.
        reference: With answers of the unsplit model for the role `whole`.

    Raises:
        GateError: The graph gives no bytes, or arrays of another shape.
        ValueError: The reference lacks what the role is compared with.
    """
    given, wanted = "packed" if role == "server" else "clip", "packed" if role == "edge" else "answer"
    arrays, size = reference.arrays_of(role), graph.max_batch
    starts = range(0, len(reference), size)
    parts = [graph.run({given: arrays[given][start : start + size]})[wanted] for start in starts]
    found, expected = np.concatenate(parts), arrays[wanted]
    if found.shape != expected.shape:
        raise GateError(f"the {role} graph must give {wanted} {expected.shape}, found {found.shape}")
    if role == "edge":
        return compare_codes(found, expected, reference.margin)
    return compare_answers(found, expected)


def compare_codes(found: np.ndarray, expected: np.ndarray, margin: np.ndarray) -> CodeAgreement:
    """How far packed codes are from those expected.

    Args:
        found: uint8 or int32 `[clip, payload_bytes]`.
        expected: uint8 `[clip, payload_bytes]`.
        margin: `[clip, bit]`, distance of each bit's logit from the threshold.

    Raises:
        GateError: `found` holds no bytes, or does not fill the last byte with zero bits.
    """
    if found.min() < 0 or found.max() > 255:
        raise GateError(f"the edge graph must give bytes, found values from {found.min()} to {found.max()}")
    num_bits = margin.shape[1]
    flipped = np.unpackbits(found.astype(np.uint8) ^ expected, axis=1).astype(bool)
    if flipped[:, num_bits:].any():
        raise GateError("the edge graph must fill the last byte with zero bits, found other bits")
    flipped, margin = flipped[:, :num_bits], margin.astype(np.float64)
    largest = float(margin[flipped].max(initial=0.0)) / (float(np.median(margin)) or 1.0)
    return CodeAgreement(flipped.size, int(flipped.sum()), largest)


def compare_answers(found: np.ndarray, expected: np.ndarray) -> AnswerAgreement:
    """How far answers, float32 `[n, ...]`, are from those expected."""
    rows, wanted = (each.reshape(len(expected), -1).astype(np.float64) for each in (found, expected))
    num_agreeing = int((rows.argmax(axis=1) == wanted.argmax(axis=1)).sum())
    error, largest = float(np.abs(rows - wanted).max()), float(np.abs(wanted).max())
    return AnswerAgreement(len(expected), num_agreeing, error, largest)
