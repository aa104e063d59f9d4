"""Whether an engine computes what the trained model computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from approxbit.engines.artefact import Card, Reference
from approxbit.engines.runner import EdgeRunner, Runner, ServerRunner, WholeRunner

# A bit is near the threshold if its margin is below this share of the median margin: rounding may flip it.
NEAR = 0.1


@dataclass(frozen=True)
class EdgeCheck:
    """How an edge engine's codes compare with the reference.

    Attributes:
        num_bits: Bits of all reference codes.
        num_flipped: Bits that differ.
        num_far: Those of them that are not near the threshold: rounding does not explain them.
        largest_margin: The largest margin of a bit that differs, in units of the median margin of all bits.
        max_flipped_share: The limit.
    """

    num_bits: int
    num_flipped: int
    num_far: int
    largest_margin: float
    max_flipped_share: float

    @property
    def flipped_share(self) -> float:
        """Share of the bits that differ."""
        return self.num_flipped / self.num_bits

    @property
    def passed(self) -> bool:
        """Whether the share is within the limit."""
        return self.flipped_share <= self.max_flipped_share

    def lines(self) -> Iterator[str]:
        """The report in words."""
        yield (
            f"code: {self.num_flipped} of {self.num_bits} bits differ, {self.flipped_share:.4%} "
            f"(limit {self.max_flipped_share:.4%})"
        )
        if self.num_flipped:
            yield (
                f"{self.num_flipped - self.num_far} of them are near the threshold, as rounding explains; "
                f"{self.num_far} are not (largest margin {self.largest_margin:.2f} of the median)"
            )


@dataclass(frozen=True)
class AnswerCheck:
    """How the answers of a server engine, or of an unsplit model's, compare with the reference.

    Attributes:
        num_answers: Reference answers.
        num_agreeing: Those whose largest value stands at the same place.
        answer_error: Largest difference, in units of the reference's largest magnitude; NaN if the engine
            gave one.
        max_answer_error: The limit.
    """

    num_answers: int
    num_agreeing: int
    answer_error: float
    max_answer_error: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the limit."""
        return self.answer_error <= self.max_answer_error  # false for NaN

    def lines(self) -> Iterator[str]:
        """The report in words."""
        yield (
            f"answer: error {self.answer_error:.2e} of the largest value "
            f"(limit {self.max_answer_error:.2e}), "
            f"the same class for {self.num_agreeing} of {self.num_answers}"
        )


def check_runner(runner: Runner, reference: Reference, card: Card) -> EdgeCheck | AnswerCheck:
    """Compare what a runner of an artefact gives with the reference.

    Args:
        runner: Of any of the three roles.
        reference: Of the same artefact.
        card: Of the same artefact: says the limits.

    Raises:
        ValueError: The runner is one of the unsplit model, and the reference holds no answers of it.
    """
    if isinstance(runner, EdgeRunner):
        payloads = [np.frombuffer(runner.run(clip).payload, np.uint8) for clip in reference.clip]
        return compare_codes(np.stack(payloads), reference, card)
    if isinstance(runner, WholeRunner):
        expected = reference.arrays_of("whole")["answer"]
        return compare_answers(runner.run(reference.clip).logits, expected, card)
    assert isinstance(runner, ServerRunner)
    answers = runner.run([packed.tobytes() for packed in reference.packed]).logits
    return compare_answers(answers, reference.answer, card)


def compare_codes(packed: np.ndarray, reference: Reference, card: Card) -> EdgeCheck:
    """How the packed codes of the reference's clips, uint8 `[n, payload_bytes]`, compare with it."""
    num_bits = reference.margin.shape[1]
    flipped = np.unpackbits(packed ^ reference.packed, axis=1)[:, :num_bits].astype(bool)
    margin = reference.margin.astype(np.float64)
    relative = margin[flipped] / (float(np.median(margin)) or 1.0)
    return EdgeCheck(
        num_bits=flipped.size,
        num_flipped=int(flipped.sum()),
        num_far=int((relative >= NEAR).sum()),
        largest_margin=float(relative.max(initial=0.0)),
        max_flipped_share=card.tolerance.max_flipped_share,
    )


def compare_answers(found: np.ndarray, expected: np.ndarray, card: Card) -> AnswerCheck:
    """How answers, float32 `[n, ...]`, compare with the expected ones."""
    rows, wanted = (each.reshape(len(expected), -1).astype(np.float64) for each in (found, expected))
    scale = float(np.abs(wanted).max()) or 1.0
    return AnswerCheck(
        num_answers=len(expected),
        num_agreeing=int((rows.argmax(axis=1) == wanted.argmax(axis=1)).sum()),
        answer_error=float(np.abs(rows - wanted).max()) / scale,
        max_answer_error=card.tolerance.max_answer_error,
    )
