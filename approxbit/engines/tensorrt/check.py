"""Whether an engine computes what the trained model computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator

import numpy as np

from approxbit.engines.artefact import Card, Reference
from approxbit.engines.tensorrt.session import EngineSession

# A bit is near the threshold if its margin is below this share of the median margin: rounding may flip it.
NEAR = 0.1

Run = Callable[[np.ndarray], np.ndarray]


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


def run_edge(session: EngineSession, clip: np.ndarray) -> np.ndarray:
    """The packed code of one clip `[3, time, height, width]`, uint8 `[payload_bytes]`.

    Args:
        session: Of an edge engine.
        clip: float32.

    Returns:
        A view of the session's memory, except for an engine that gives the bytes as int32.
    """
    packed: np.ndarray = session.run({"clip": clip[None]})["packed"][0]
    return packed.astype(np.uint8, copy=False)


def check_edge(run: Run, reference: Reference, card: Card) -> EdgeCheck:
    """Compare codes with the reference.

    Args:
        run: A clip -> its packed code, as `run_edge` does.
        reference: Clips, their codes and margins.
        card: Says how many bits a code has, and the limit.
    """
    num_bits = reference.margin.shape[1]
    copies = [np.array(run(clip)) for clip in reference.clip]  # the next run writes over what `run` gives
    packed = np.stack(copies)
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


def run_whole(session: EngineSession, clip: np.ndarray) -> np.ndarray:
    """The unsplit model's answer to one clip `[3, time, height, width]`.

    Args:
        session: Of an engine of the unsplit model.
        clip: float32.

    Returns:
        A view of the session's memory.
    """
    answer: np.ndarray = session.run({"clip": clip[None]})["answer"][0]
    return answer


def check_server(run: Run, reference: Reference, card: Card) -> AnswerCheck:
    """Compare answers with the reference, in batches as large as the graph takes.

    Args:
        run: Packed codes, uint8 `[batch, payload_bytes]` -> answers, float32 `[batch, ...]`.
        reference: Codes and their answers.
        card: Says the largest batch, and the limit.
    """
    starts = range(0, len(reference), card.max_batch)
    batches = [np.array(run(reference.packed[start : start + card.max_batch])) for start in starts]
    return _compare_answers(np.concatenate(batches), reference.answer, card)


def check_whole(run: Run, reference: Reference, card: Card) -> AnswerCheck:
    """Compare the answers of the unsplit model with the reference.

    Args:
        run: A clip -> its answer, as `run_whole` does.
        reference: Clips and the unsplit model's answers to them.
        card: Says the limit.

    Raises:
        ValueError: The reference holds no such answers.
    """
    expected = reference.arrays_of("whole")["answer"]
    return _compare_answers(np.stack([np.array(run(clip)) for clip in reference.clip]), expected, card)


def _compare_answers(found: np.ndarray, expected: np.ndarray, card: Card) -> AnswerCheck:
    rows, wanted = (each.reshape(len(expected), -1).astype(np.float64) for each in (found, expected))
    scale = float(np.abs(wanted).max()) or 1.0
    return AnswerCheck(
        num_answers=len(expected),
        num_agreeing=int((rows.argmax(axis=1) == wanted.argmax(axis=1)).sum()),
        answer_error=float(np.abs(rows - wanted).max()) / scale,
        max_answer_error=card.tolerance.max_answer_error,
    )
