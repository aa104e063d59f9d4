from __future__ import annotations

import numpy as np
import pytest

from approxbit.video.sampling import (
    evenly_spaced,
    random_in_segments,
    segment_centres,
    segment_starts_and_half,
    uniform_indices,
)

RULES = [uniform_indices, segment_centres, segment_starts_and_half, random_in_segments, evenly_spaced]
COUNTS = [1, 2, 3, 7, 8, 31, 32, 33, 49, 50, 51, 100, 299, 300]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("num_frames", [1, 8, 32, 50])
def test_indices_are_in_range_and_never_decrease(rule, num_frames):
    for num_video_frames in COUNTS:
        indices = rule(num_video_frames, num_frames)
        assert indices.shape == (num_frames,)
        assert indices.dtype == np.int64
        assert 0 <= indices[0] <= indices[-1] < num_video_frames
        assert (np.diff(indices) >= 0).all()


@pytest.mark.parametrize("rule", [uniform_indices, segment_centres, segment_starts_and_half, evenly_spaced])
def test_a_video_twice_as_long_as_the_clip_never_repeats_a_frame(rule):
    assert len(set(rule(66, 32).tolist())) == 32


@pytest.mark.parametrize("num_frames", [1, 8, 16, 32, 50])
def test_a_video_as_long_as_the_clip_is_the_clip(num_frames):
    assert uniform_indices(num_frames, num_frames).tolist() == list(range(num_frames))


def test_segment_centres_worked_by_hand():
    # N = 10, n = 4: segment 2.25, bounds round(0, 2.25, 4.5, 6.75, 9) = 0 2 4 7 9 (4.5 rounds to even)
    assert segment_centres(10, 4).tolist() == [1, 3, 5, 8]


def test_segment_starts_and_half_worked_by_hand():
    # same bounds; floor(2.25 / 2) = 1 is added to each start
    assert segment_starts_and_half(10, 4).tolist() == [1, 3, 5, 8]
    # N = 7, n = 4: segment 1.5, bounds 0 2 3 4 6, floor(0.75) = 0
    assert segment_starts_and_half(7, 4).tolist() == [0, 2, 3, 4]


def test_both_segment_rules_agree_within_one_frame():
    for num_video_frames in COUNTS:
        difference = segment_centres(num_video_frames, 32) - segment_starts_and_half(num_video_frames, 32)
        assert np.abs(difference).max() <= 1


def test_centres_agree_with_the_rule_written_as_a_loop():
    for num_video_frames in COUNTS:
        segment = (num_video_frames - 1) / 50
        expected = []
        for i in range(50):
            start, end = round(segment * i), round(segment * (i + 1))
            expected.append((start + end) // 2)
        assert segment_centres(num_video_frames, 50).tolist() == expected


def test_random_frames_stay_in_their_segments_and_reach_both_ends():
    drawn = np.stack([random_in_segments(17, 4, np.random.default_rng(seed)) for seed in range(200)])
    assert drawn.min(axis=0).tolist() == [0, 4, 8, 12]
    assert drawn.max(axis=0).tolist() == [4, 8, 12, 16]


def test_random_frames_follow_the_global_seed():
    np.random.seed(3)
    first = random_in_segments(300, 32)
    np.random.seed(3)
    assert np.array_equal(first, random_in_segments(300, 32))
    assert not np.array_equal(first, random_in_segments(300, 32))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("counts", [(0, 4), (4, 0)])
def test_empty_videos_and_clips_are_refused(rule, counts):
    with pytest.raises(ValueError, match=rf"found num_frames={counts[1]} and num_video_frames={counts[0]}"):
        rule(*counts)
