"""What happened to each clip of a run and the question about it: what plots and files are made of."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from approxbit.files import PathLike


@dataclass(frozen=True)
class AskedRecord:
    """One clip that was sent, and the late question about it.

    Attributes:
        second: When it was sent, counted from the start of the trace.
        number: Of the clip; several arms may have answered one and the same.
        video: Name of its file.
        true_mbps: What the link carried at that second, on average over the segment.
        measured_mbps: What the edge believed; None where it did not choose.
        arm: What answered, as in the LUT.
        is_chosen: Whether the selector chose the arm; else it had its turn beside it, to be compared.
        send_ms: From the frames until the server had the clip, or the device had looked at it.
        ask_ms: From the question, which came afterwards, to its answer.
        payload_bytes: Of the clip, as it crossed; 0 where nothing did.
        packet_bytes: The same with headers.
        question_bytes: Of the question's message; with the clip's, where the server had forgotten it.
        fell_back: Whether the device answered because the server did not.
        question: In words.
        right_answer: What the script of the scene says.
        answer: What was answered; empty where nothing was.
        reason: Why the device answered by itself, or why nothing answered; else empty.
    """

    second: float
    number: int
    video: str
    true_mbps: float
    measured_mbps: float | None
    arm: str
    is_chosen: bool
    send_ms: float
    ask_ms: float
    payload_bytes: int
    packet_bytes: int
    question_bytes: int
    fell_back: bool
    question: str
    right_answer: str
    answer: str
    reason: str = ""

    @property
    def latency_ms(self) -> float:
        """Of the clip and its question, the time between them left out."""
        return self.send_ms + self.ask_ms

    @property
    def is_answered(self) -> bool:
        """Whether anything answered."""
        return bool(self.answer)

    @property
    def is_right(self) -> bool:
        """Whether the answer is the right one."""
        return self.answer == self.right_answer


def save_records(path: PathLike, records: Sequence[AskedRecord]) -> None:
    """Write a CSV file with one line for each record."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(AskedRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in records)
