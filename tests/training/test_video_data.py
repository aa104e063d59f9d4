from __future__ import annotations

import numpy as np
import pytest

from approxbit.training.video_data import KineticsData

SEGMENTS = [(0, 4), (4, 8), (8, 11), (11, 15)]
"""Four of a video of 16 frames: SlowFast's bounds, round(15 i / 4), both ends included."""


@pytest.fixture
def data(make_video, tmp_path) -> KineticsData:
    """Two numbered videos of 16 frames to train with, one to evaluate with; four frames make a clip."""
    header = "label,youtube_id,time_start,time_end\n"
    (tmp_path / "train.csv").write_text(header + "zumba,aaaaaaaaaaa,3,13\nabseiling,bbbbbbbbbbb,0,10\n")
    (tmp_path / "validate.csv").write_text(header + "zumba,ccccccccccc,0,10\n")
    for name in ("aaaaaaaaaaa_000003_000013", "bbbbbbbbbbb_000000_000010", "ccccccccccc_000000_000010"):
        make_video(f"videos/{name}.mp4")
    splits = (str(tmp_path / "train.csv"), str(tmp_path / "validate.csv"))
    return KineticsData(str(tmp_path / "videos"), *splits, num_frames=4, size=32, batch_size=1, num_workers=0)


def frames_of(loader, read_numbers) -> list[list[int]]:
    """Which frames of their videos the clips of one epoch are made of."""
    clips = [clip for batch, _ in loader for clip in batch]
    return [read_numbers(255 * clip.permute(1, 2, 3, 0).numpy()) for clip in clips]


def test_training_takes_a_random_frame_of_each_segment(data, read_numbers):
    np.random.seed(0)
    clips = [clip for _ in range(12) for clip in frames_of(data.train_dataloader(), read_numbers)]
    for segment, frames in zip(SEGMENTS, zip(*clips, strict=True), strict=True):
        first, last = segment
        assert set(range(first, last + 1)) == set(frames)


def test_evaluation_takes_the_same_middle_frames_every_time(data, read_numbers):
    middle = [(first + last) // 2 for first, last in SEGMENTS]
    for loader in (data.val_dataloader(), data.test_dataloader(), data.loader("test"), data.loader("train")):
        assert {tuple(frames) for _ in range(2) for frames in frames_of(loader, read_numbers)} == {
            tuple(middle)
        }
