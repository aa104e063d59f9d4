"""Clips of video files: which frames they are made of, and what their task is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from approxbit.datasets.listing import UNLABELED, Listing
from approxbit.datasets.videos import KineticsClips, ListedClips, SomethingSomethingClips, clips_of_files
from approxbit.errors import DatasetError, VideoError
from approxbit.training import ClipData

SEGMENTS = [(0, 4), (4, 8), (8, 11), (11, 15)]
"""Four of a video of 16 frames: SlowFast's bounds, round(15 i / 4), both ends included."""


@pytest.fixture
def source(make_video, tmp_path) -> KineticsClips:
    """Two numbered videos of 16 frames to train with, one to evaluate with; four frames make a clip."""
    header = "label,youtube_id,time_start,time_end\n"
    (tmp_path / "train.csv").write_text(header + "zumba,aaaaaaaaaaa,3,13\nabseiling,bbbbbbbbbbb,0,10\n")
    (tmp_path / "validate.csv").write_text(header + "zumba,ccccccccccc,0,10\n")
    for name in ("aaaaaaaaaaa_000003_000013", "bbbbbbbbbbb_000000_000010", "ccccccccccc_000000_000010"):
        make_video(f"videos/{name}.mp4")
    return KineticsClips(str(tmp_path), num_frames=4, size=32)


def frames_of(loader, read_numbers) -> list[list[int]]:
    """Which frames of their videos the clips of one epoch are made of."""
    clips = [clip for batch, _ in loader for clip in batch]
    return [read_numbers(255 * clip.permute(1, 2, 3, 0).numpy()) for clip in clips]


def test_training_takes_a_random_frame_of_each_segment(source, read_numbers):
    np.random.seed(0)
    data = ClipData(source, batch_size=1)
    clips = [clip for _ in range(12) for clip in frames_of(data.train_dataloader(), read_numbers)]
    for segment, frames in zip(SEGMENTS, zip(*clips, strict=True), strict=True):
        first, last = segment
        assert set(range(first, last + 1)) == set(frames)


def test_evaluation_takes_the_same_middle_frames_every_time(source, read_numbers):
    middle = [(first + last) // 2 for first, last in SEGMENTS]
    data = ClipData(source, batch_size=1)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.loader("test"), data.loader("train")):
        assert {tuple(frames) for _ in range(2) for frames in frames_of(loader, read_numbers)} == {
            tuple(middle)
        }


def test_the_task_of_kinetics_has_the_labels_of_its_train_file(source):
    assert source.task.class_names == ("abseiling", "zumba")
    [(_, labels)] = source.loader("test", batch_size=4)
    assert source.task.class_names[labels[0]] == "zumba"
    assert source.names("test", 1) == [source.listing("validation")[0][0].as_posix()]


@pytest.mark.parametrize(
    ("files", "videos"),
    [
        ("something-something-v2-{}.json", "20bn-something-something-v2"),
        ("labels/{}.json", "videos"),
    ],
)
def test_the_task_of_something_something_is_that_of_its_labels_file(make_video, tmp_path, files, videos):
    make_video(f"{videos}/7.mp4")
    for name, content in (
        ("labels", {"Pulling something": "1", "Holding something": "0"}),
        ("validation", [{"id": "7", "template": "Pulling [something]"}]),
    ):
        path = tmp_path / files.format(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    source = SomethingSomethingClips(str(tmp_path), num_frames=2, size=16)
    assert source.task.class_names == ("Holding something", "Pulling something")
    for split in ("validation", "test"):
        [(clip, labels)] = source.loader(split, batch_size=2)
        assert (clip.shape, labels.tolist()) == ((1, 3, 2, 16, 16), [1])
        assert 0 <= clip.min() <= clip.max() <= 1
    with pytest.raises(DatasetError, match=r"expected something-something-v2-train\.json or labels/train"):
        source.loader("train", 1, training=True)


@pytest.mark.parametrize(("folder", "csv"), [("val", "val.csv"), ("validation", "validation.csv")])
def test_kinetics_may_have_a_folder_for_each_split(make_video, tmp_path, folder, csv):
    row = "label,youtube_id,time_start,time_end\nzumba,{},0,10\n"
    (tmp_path / "train.csv").write_text(row.format("aaaaaaaaaaa"))
    (tmp_path / csv).write_text(row.format("bbbbbbbbbbb"))
    train = make_video("train/zumba/aaaaaaaaaaa_000000_000010.mp4")
    other = make_video(f"{folder}/bbbbbbbbbbb_000000_000010.mp4")
    source = KineticsClips(str(tmp_path))
    assert [source.listing(split).samples for split in source.splits] == [
        ((train, 0),),
        ((other, 0),),
        ((other, 0),),
    ]


def test_clips_take_the_shape_of_the_backbone_wherever_none_was_asked_for(source, make_video):
    listing = {"test": Listing([(make_video("a.mp4"), 0)], ("x",))}
    fitted = ListedClips(listing).fitted((3, 5, 24, 24))
    assert next(iter(fitted.loader("test", 1)))[0].shape == (1, 3, 5, 24, 24)
    assert next(iter(fitted.with_frames(10).loader("test", 1)))[0].shape == (1, 3, 10, 24, 24)
    asked = ListedClips(listing, size=16).fitted((3, 5, 24, 24))
    assert next(iter(asked.loader("test", 1)))[0].shape == (1, 3, 5, 16, 16)
    with pytest.raises(ValueError, match="give num_frames and size, or call fitted"):
        ListedClips(listing).loader("test", 1)


def test_a_listing_of_ones_own_has_the_splits_and_the_classes_it_says(make_video):
    video = make_video("a.mp4")
    listing = Listing([(video, 1)], ("still", "moving"))
    source = ListedClips({"validation": listing}, num_frames=2, size=16)
    assert (source.splits, source.task.class_names) == (("validation",), ("still", "moving"))
    [(_, labels)] = source.loader("validation", 1)
    assert labels.tolist() == [1]
    with pytest.raises(ValueError, match="expected one of the splits validation, found 'train'"):
        source.loader("train", 1)
    with pytest.raises(ValueError, match="listings: expected one or more of the same label names"):
        ListedClips({"train": listing, "test": Listing([(video, 0)], ("moving", "still"))})
    with pytest.raises(ValueError, match="listings: expected one or more of the same label names"):
        ListedClips({})


def test_files_without_labels_are_clips_too(make_video, damaged_video):
    paths = [make_video("a.mp4"), make_video("b.mp4")]
    source = clips_of_files(paths, (3, 4, 16, 16))
    [(clip, labels)] = source.loader("video", 2)
    assert (clip.shape, labels.tolist()) == ((2, 3, 4, 16, 16), [UNLABELED] * 2)
    assert source.names("video", 2) == [str(path) for path in paths]
    with pytest.raises(VideoError):
        next(iter(clips_of_files([damaged_video], (3, 4, 16, 16)).loader("video", 1)))


def test_only_training_skips_a_bad_video(make_video, damaged_video):
    listing = Listing([(damaged_video, 0), (make_video("a.mp4"), 1)], ("x", "y"))
    source = ListedClips({"train": listing}, num_frames=2, size=16)
    with pytest.warns(UserWarning, match="skipped a video"):
        [(_, labels)] = source.loader("train", 2, training=True)
    assert torch.equal(labels, torch.tensor([1, 1]))
    with pytest.raises(VideoError):
        list(source.loader("train", 2))


def test_a_split_without_videos_is_named():
    source = ListedClips({"train": Listing([], ["wave"])})
    with pytest.raises(DatasetError, match="own files: expected videos in the split train, found none"):
        source.listing("train")
