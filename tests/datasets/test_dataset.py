from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from approxbit.datasets.dataset import VideoDataset
from approxbit.datasets.transforms import clip_transform
from approxbit.errors import VideoError


@pytest.fixture
def samples(make_video, damaged_video, tmp_path):
    """Good, damaged, missing and good video, with the classes 0 to 3."""
    good = [make_video("first.mp4"), make_video("last.mp4")]
    return [(good[0], 0), (damaged_video, 1), (tmp_path / "absent.mp4", 2), (good[1], 3)]


def test_a_sample_is_a_transformed_clip_and_its_class(samples):
    transform = clip_transform(16, mean=(0.45,) * 3, std=(0.225,) * 3, training=True)
    clip, label = VideoDataset(samples, 8, transform)[3]
    assert (clip.shape, clip.dtype, label) == ((3, 8, 16, 16), torch.float32, 3)


def test_without_a_transform_the_frames_come_out(samples, read_numbers):
    frames, _ = VideoDataset(samples, 4)[0]
    assert read_numbers(frames.numpy()) == [2, 6, 9, 13]


def test_evaluation_stops_at_a_bad_video(samples):
    dataset = VideoDataset(samples, 4)
    with pytest.raises(VideoError, match=r"damaged.mp4: expected a whole video"):
        dataset[1]
    with pytest.raises(VideoError, match=r"absent.mp4: expected a video file, found none"):
        dataset[2]
    assert dataset.num_skipped == 0


def test_training_takes_the_next_good_video_and_warns_once_for_each_file(samples):
    dataset = VideoDataset(samples, 4, on_error="skip")
    with pytest.warns(UserWarning, match="skipped a video") as caught:
        assert dataset[1][1] == 3
    assert [str(warning.message).split(": ")[0] for warning in caught] == [
        "skipped a video (1 so far)",
        "skipped a video (2 so far)",
    ]
    assert "damaged.mp4" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [dataset[index][1] for index in (0, 1, 2, 3)] == [0, 3, 3, 3]
    assert dataset.num_skipped == 2


def test_what_stands_at_an_index_does_not_depend_on_earlier_reads(samples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orders = ([0, 1, 2, 3], [2, 1, 3, 0])
        labels = []
        for order in orders:
            dataset = VideoDataset(samples, 4, on_error="skip")
            labels.append({index: dataset[index][1] for index in order})
    assert labels[0] == labels[1] == {0: 0, 1: 3, 2: 3, 3: 3}


def test_the_next_good_video_of_the_last_is_the_first(samples):
    dataset = VideoDataset(samples[:3], 4, on_error="skip")
    with pytest.warns(UserWarning, match="absent.mp4"):
        assert dataset[2][1] == 0


def test_loader_workers_share_the_count(samples):
    dataset = VideoDataset(samples, 4, on_error="skip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inherited by the workers
        loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="fork")
        labels = [label for _, batch in loader for label in batch.tolist()]
    assert labels == [0, 3, 3, 3]
    assert dataset.num_skipped == 2


def test_a_short_video_counts_as_bad_when_asked_to(samples):
    with pytest.raises(VideoError, match=r"first.mp4: expected at least 17 frames, found 16"):
        VideoDataset(samples, 4, min_frames=17)[0]


def test_a_list_of_bad_videos_is_an_error_even_when_skipping(samples):
    dataset = VideoDataset(samples[1:3], 4, on_error="skip")
    with (
        pytest.warns(UserWarning, match="skipped a video"),
        pytest.raises(VideoError, match=r"none of the 2 videos can be read, the last one was .*damaged.mp4"),
    ):
        dataset[1]


def test_arguments_are_checked(samples):
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', found 'ignore'"):
        VideoDataset(samples, 4, on_error="ignore")
    with pytest.raises(ValueError, match="samples must hold at least one video, found none"):
        VideoDataset([], 4)
    with pytest.raises(IndexError):
        VideoDataset(samples, 4)[4]
