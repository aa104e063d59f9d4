"""What happened to each clip: the rows that summary, plots and files are made of."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from approxbit.files import PathLike, format_json, to_json, write_whole


@dataclass(frozen=True)
class ClipRecord:
    """One clip that was answered.

    Attributes:
        second: When it was sent, counted from the start of the trace.
        video: Name of its file.
        true_mbps: What the link carried at that second.
        measured_mbps: What the edge believed.
        round_trip_ms: Likewise.
        sla: What the user asked for, as `str(sla)`.
        arm: What answered, as in the LUT.
        arm_accuracy: The arm's accuracy in the LUT, percent.
        payload_bytes: Of what crossed of the clip; 0 where nothing did.
        packet_bytes: The same with headers.
        probe_bytes: Sent before this clip to measure the link.
        feature_bytes: The arm's feature as float32; 0 for arms that send none.
        file_bytes: Of the video file.
        device_ms: Time on the device.
        link_ms: Upload and round trip.
        server_ms: Time on the server.
        latency_ms: From frames to answer.
        expected_ms: The latency that the selector expected; None when it was not asked, or none was finite.
        meets_sla: Whether the SLA was kept.
        sla_is_feasible: Whether the selector found an arm that it expected to keep the SLA.
        fell_back: Whether the device answered because the server did not.
        label: The true class.
        answer: The class that was answered.
        unsplit_answer: The class that the unsplit model answers to the same clip.
    """

    second: float
    video: str
    true_mbps: float
    measured_mbps: float
    round_trip_ms: float
    sla: str
    arm: str
    arm_accuracy: float
    payload_bytes: int
    packet_bytes: int
    probe_bytes: int
    feature_bytes: int
    file_bytes: int
    device_ms: float
    link_ms: float
    server_ms: float
    latency_ms: float
    expected_ms: float | None
    meets_sla: bool
    sla_is_feasible: bool
    fell_back: bool
    label: str
    answer: str
    unsplit_answer: str

    @property
    def is_code(self) -> bool:
        """Whether a code was sent."""
        return self.feature_bytes > 0

    @property
    def is_right(self) -> bool:
        """Whether the answer is the true class."""
        return self.answer == self.label

    @property
    def unsplit_is_right(self) -> bool:
        """Whether the unsplit model's answer is the true class."""
        return self.unsplit_answer == self.label

    @property
    def agrees(self) -> bool:
        """Whether both give the same answer, right or wrong."""
        return self.answer == self.unsplit_answer


@dataclass(frozen=True)
class Payload:
    """One way to send a clip, for the comparison of sizes.

    Attributes:
        name: Such as `raw video` or a configuration.
        kind: `video`, `feature` or `code`.
        num_bytes: For one clip; a mean where it varies.
    """

    name: str
    kind: str
    num_bytes: float


def save_records(path: PathLike, records: Sequence[ClipRecord]) -> None:
    """Write a CSV file with one line per clip."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ClipRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in records)


def save_payloads(path: PathLike, payloads: Sequence[Payload]) -> None:
    """Write a JSON file with one object per way to send a clip."""
    write_whole(path, format_json(to_json(payloads)))
