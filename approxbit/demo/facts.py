"""What the report says beside the figures: other ways to send a clip, and what a reader must know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from approxbit.datasets.digits import FRAME_RATE
from approxbit.demo.plan import HEADROOM, Plan
from approxbit.report import ClipRecord, Payload
from approxbit.select import EDGE_ONLY, LUT, SERVER_ONLY
from approxbit.video.reader import read_clip
from approxbit.video.writer import encode_video

NUM_REENCODED = 24
CRF = 23


def list_payloads(
    records: Sequence[ClipRecord], lut: LUT, videos: Path, ready: Mapping[str, Any]
) -> list[Payload]:
    """Ways to send a clip: videos, then features, then codes; the latter two from the largest on.

    Args:
        records: The clips that were answered.
        lut: The configurations.
        videos: Folder of the clips' files.
        ready: The device's event of that name.
    """
    names = list(dict.fromkeys(record.video for record in records))
    clips = [read_clip(videos / name, ready["num_frames"]) for name in names[:NUM_REENCODED]]
    codes = {row.arm: row for row in lut.rows if row.configuration is not None}
    features = {
        row.configuration.offload_point: ready["feature_bytes"][arm]
        for arm, row in codes.items()
        if row.configuration is not None
    }
    return [
        Payload(f"raw clip, {ready['num_frames']} frames, uint8", "video", ready["raw_bytes"]),
        Payload("H.264 file, all its frames", "video", mean(record.file_bytes for record in records)),
        Payload(
            f"H.264 of the clip, CRF {CRF}",
            "video",
            mean(len(encode_video(clip, FRAME_RATE, CRF)) for clip in clips),
        ),
        *_largest_first(
            Payload(f"feature at {point}, {name}", "feature", num_bytes / divisor)
            for point, num_bytes in features.items()
            for name, divisor in (("float32", 1), ("float16", 2))
        ),
        *_largest_first(Payload(arm, "code", row.payload_bytes) for arm, row in codes.items()),
    ]


def _largest_first(payloads: Iterable[Payload]) -> list[Payload]:
    return sorted(payloads, key=lambda payload: -payload.num_bytes)


def write_notes(slowdown: float, label_set: str, lut: LUT, plan: Plan, ready: Mapping[str, Any]) -> list[str]:
    """What a reader must know to judge the figures, in plain sentences."""
    (_, tight), (_, loose), (_, low), (_, high) = plan.phases
    num_frames = ready["num_frames"]
    return [
        f"The device is emulated: all that it computes takes {slowdown:g} times as long as on this machine, "
        "which also runs the server. 7 is the ratio of edge-only on a Jetson AGX Orin to server-only on an "
        "A100 without the transfer, 466.9 ms to 67 ms (Table 1, APPROXBIT). Real devices differ in more than "
        "one factor.",
        f"The device computes with {lut.backend}, the server with torch. On the device one graph leads from "
        "the clip to the packed code: all its time counts as edge, and encode is the packet's header alone."
        + _ratio(lut),
        "The link is a relay in user space that shapes the uplink: 50, 3 and 6 Mbps on average, within 10 "
        f"percent, {plan.segment_s:.1f} s each, twice (Fig. 9 of the paper: 50 s each). It loses nothing.",
        "The SLAs follow from the LUT, whose times were measured on this machine just before the run. "
        f"{tight} and {loose} are {HEADROOM:g} times the latency of the fastest and the most accurate "
        f"configuration at 6 Mbps. {low} and {high} lie 1/4 and 3/4 of the way from the least to the most "
        "accurate configuration.",
        f"What the selector takes for an arm's accuracy is its top-1 in the LUT, on {lut.num_clips} "
        f"{lut.split} clips of the label set {label_set}. This run has about {plan.num_clips} clips: its own "
        "accuracies vary by some points from seed to seed.",
        "The videos are Digits-in-Motion, small and simple: 24 actions carry less than 5 bits, so these byte "
        "counts say little about real videos. action_digit, with 240 classes, is the harder question.",
        f"Latency counts from the clip's frames ({num_frames} of the file's 32) to the answer. Reading the "
        "file and probing the link fall into the pause between two clips; probes are counted apart.",
        "Bytes are payloads; a packet adds 38 bytes and the name of the offload point. The H.264 file holds "
        "all 32 frames at CRF 18, with its container and x264's note about its settings, about 700 bytes; "
        f"the other H.264 figure is the {num_frames} frames of the clip at CRF {CRF} with the same overhead.",
    ]


def _ratio(lut: LUT) -> str:
    """How much slower the device is in the end: its engine is another one than the server's."""
    if not {EDGE_ONLY, SERVER_ONLY} <= set(lut.arms):
        return ""
    ratio = lut.row(EDGE_ONLY).edge_ms / lut.row(SERVER_ONLY).server_ms
    return f" The unsplit model takes the device {ratio:.1f} times as long as the server."
