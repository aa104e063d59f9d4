"""What the report says beside the figures: what held the device back, what to know, some clips to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from approxbit.demo.plan import Plan
from approxbit.report import AskedRecord
from approxbit.select import EDGE_ONLY, LUT
from approxbit.video.reader import read_clip

NUM_STRIPS, NUM_SHOWN = 6, 8


@dataclass(frozen=True)
class Timed:
    """What was measured before the link was shaped.

    Attributes:
        unslowed: Of the device with all of a core.
        slow: Of the same device, held back.
        how: What holds it back, in words.
    """

    unslowed: LUT
    slow: LUT
    how: str

    @property
    def slowdown(self) -> float:
        """How many times longer the device's own work took, on the median arm."""
        ratios = []
        for row in self.unslowed.rows:
            other = self.slow.row(row.arm)
            ratios.append((other.edge_ms + other.encode_ms) / max(1e-3, row.edge_ms + row.encode_ms))
        return float(np.median(ratios))


def find_strips(records: Sequence[AskedRecord], videos: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of some clips, spread over the run."""
    compared = [each.number for each in records if not each.is_chosen]
    numbers = list(dict.fromkeys(compared)) or [records[0].number]
    chosen = {numbers[place * len(numbers) // NUM_STRIPS] for place in range(NUM_STRIPS)}
    video_of = {record.number: record.video for record in records}
    for number in sorted(chosen):
        yield number, read_clip(videos / video_of[number], NUM_SHOWN)


def write_notes(seed: int, plan: Plan, timed: Timed) -> list[str]:
    """What a reader must know to judge the figures, in plain sentences."""
    lut = timed.slow
    alone = "" if EDGE_ONLY in lut.arms else " The device does not hold the whole model."
    return [
        f"The device is slow because it is held back: {timed.how}. Its own work takes {timed.slowdown:.1f} "
        f"times as long as without, as measured on every arm. No time is multiplied.{alone}",
        "Server and device compute with the same library on the same kind of core, and share this machine "
        "with whatever else runs here.",
        f"Scores are those of the LUT, on {lut.num_clips} {lut.split} clips ({lut.figures[0]}). This run "
        "asks too few questions to score an arm.",
        f"Good enough is what scores at least {plan.floor:.1f} %, a point less than the best arm.",
        "Each question is drawn when its clip has crossed. Latency is that of clip and question, without the "
        "pause between them. A question crosses alone; the server kept what it needs to answer it.",
        "The link is a relay in user space that shapes the uplink: 50, 3 and 6 Mbps on average, within 10 "
        f"percent, {plan.segment_s:.0f} s each. It loses nothing. Probes that measure it are in no figure.",
        "The videos are Scenes, drawn handwritten digits at 64 pixels, written as H.264 files. Bytes say "
        "little about real videos; the order of the arms says more.",
        f"Everything was drawn by seed {seed}: the same videos and questions come again.",
    ]
