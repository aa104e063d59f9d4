from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

import approxbit
from approxbit.datasets.pytorchvideo import labeled_video_dataset, make_clip_sampler
from approxbit.datasets.transforms import clip_transform
from approxbit.errors import VideoError


@pytest.fixture
def samples(make_video):
    """Two videos of 16 frames in 1.6 seconds."""
    return [(make_video("push.mp4"), 4), (make_video("pull.mp4"), 7)]


def test_uniform_clips_cover_a_video_without_overlap(samples, read_numbers):
    dataset = labeled_video_dataset(samples, make_clip_sampler("uniform", 0.4), num_frames=4)
    clips = list(dataset)
    assert [(clip["label"], clip["clip_index"]) for clip in clips[:5]] == [
        (4, 0),
        (4, 1),
        (4, 2),
        (4, 3),
        (7, 0),
    ]
    numbers = [read_numbers(clip["video"].numpy()) for clip in clips[:4]]
    assert numbers == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


def test_a_constant_number_of_clips_is_spread_over_a_video(samples, read_numbers):
    sampler = make_clip_sampler("constant_clips_per_video", 0.4, 3)
    clips = list(labeled_video_dataset(samples, sampler, num_frames=2))
    assert [clip["video_name"] for clip in clips] == ["push.mp4"] * 3 + ["pull.mp4"] * 3
    assert [read_numbers(clip["video"].numpy()) for clip in clips[:3]] == [[1, 2], [5, 6], [9, 10]]


def test_clips_go_through_our_transforms(samples):
    transform = clip_transform(16, mean=(0.45,) * 3, std=(0.225,) * 3, training=True)
    dataset = labeled_video_dataset(samples, make_clip_sampler("random", 0.4), 4, transform, shuffle=True)
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert (batch["video"].shape, batch["video"].dtype) == ((2, 3, 4, 16, 16), torch.float32)
    assert sorted(batch["label"].tolist()) == [4, 7]


# Python 3.12 warns of any fork of a process with threads, such as torch's; a spawned worker takes seconds.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_loader_workers_share_the_videos(samples):
    dataset = labeled_video_dataset(
        samples, make_clip_sampler("constant_clips_per_video", 0.4, 2), num_frames=2
    )
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert sorted(sample["label"] for sample in loader) == [4, 4, 7, 7]


def test_evaluation_stops_at_a_bad_video(samples, damaged_video):
    dataset = labeled_video_dataset([*samples, (damaged_video, 0)], make_clip_sampler("uniform", 1.6), 2)
    with pytest.raises(VideoError, match=r"damaged.mp4: expected a whole video"):
        list(dataset)


def test_training_skips_a_bad_video_and_warns_once(samples, damaged_video, tmp_path):
    bad = [(damaged_video, 0), (tmp_path / "absent.mp4", 0)]
    dataset = labeled_video_dataset([*bad, *samples], make_clip_sampler("uniform", 1.6), 2, on_error="skip")
    with pytest.warns(UserWarning, match="skipped a video") as caught:
        assert [clip["label"] for clip in dataset] == [4, 7]
    assert len(caught) == 2
    assert "skipped a video (2 so far)" in str(caught[1].message)
    assert "absent.mp4" in str(caught[1].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [clip["label"] for clip in dataset] == [4, 7]


def test_a_window_without_frames_is_bad_too(make_video):
    slow = [(make_video("slow.mp4", num_frames=2, frame_rate=1), 0)]
    evaluated = labeled_video_dataset(slow, make_clip_sampler("uniform", 0.5), 2)
    with pytest.raises(VideoError, match=r"slow.mp4: expected at least 1 frames from 0.5 s to 1 s, found 0"):
        list(evaluated)
    trained = labeled_video_dataset(slow, make_clip_sampler("uniform", 0.5), 2, on_error="skip")
    with pytest.warns(UserWarning, match=r"skipped a video \(1 so far\): .*slow.mp4"):
        assert len(list(trained)) == 1


def test_arguments_are_checked(samples):
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', found 'ignore'"):
        labeled_video_dataset(samples, make_clip_sampler("uniform", 1.0), 2, on_error="ignore")
    with pytest.raises(
        ValueError, match="kind must be one of uniform, random, constant_clips_per_video, found 'all'"
    ):
        make_clip_sampler("all", 1.0)


@pytest.mark.parametrize("absent", ["pytorchvideo", "pytorchvideo.data.utils"])
def test_a_missing_pytorchvideo_or_part_of_it_names_the_extra_to_install(monkeypatch, absent):
    for name in [name for name in sys.modules if name.split(".")[0] == "pytorchvideo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ImportError, match=r"0\.1\.5: pip install 'approxbit\[pytorchvideo\]' .*" + absent):
        make_clip_sampler("uniform", 1.0)


def test_nothing_else_of_the_package_names_pytorchvideo_in_an_import():
    package = Path(approxbit.__file__).parent
    pattern = re.compile(r"^\s*(import|from) pytorchvideo\b", re.MULTILINE)
    found = [path for path in package.rglob("*.py") if pattern.search(path.read_text())]
    assert [path.relative_to(package).as_posix() for path in found] == ["datasets/pytorchvideo.py"]
