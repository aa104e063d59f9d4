import itertools
import json

import numpy as np
import pytest
import torch

from approxbit.datasets import digits
from approxbit.datasets.digits import (
    ACTION_CLASSES,
    DIGIT_NAMES,
    JOINT_CLASSES,
    TASK,
    DigitsClips,
    DigitsInMotion,
    joint_label,
    write_videos,
)
from approxbit.datasets.digits_actions import ACTIONS
from approxbit.datasets.digits_render import SPLITS, glyphs, render_clip
from approxbit.datasets.something_something import SomethingSomethingV2
from approxbit.video.reader import read_clip


def test_there_are_24_actions_and_240_joint_classes_in_the_same_order():
    assert len(ACTION_CLASSES) == len(set(ACTION_CLASSES)) == 24
    assert len(JOINT_CLASSES) == len(set(JOINT_CLASSES)) == 240
    assert ACTION_CLASSES[2] == "Moving digit up"
    assert JOINT_CLASSES[joint_label(2, 7)] == "Moving seven up"


def test_a_clip_is_the_same_however_often_and_in_whatever_order_it_is_rendered():
    first = render_clip("train", 77)
    render_clip("train", 3)
    again = render_clip("train", 77)
    assert np.array_equal(first.frames, again.frames)
    assert (first.action, first.digit) == (77 % 24, again.digit)


def test_clip_pixels_are_pinned():
    clip = render_clip("test", 5, num_frames=4, size=32)
    # The mean survives the last bit of another libm; a changed generator moves it by far more.
    assert clip.frames.mean() == pytest.approx(71.91, abs=0.05)
    assert (clip.action, clip.digit) == (5, 7)


@pytest.mark.parametrize("action", range(24))
def test_every_action_renders_with_a_visible_digit(action):
    clip = render_clip("train", action)
    assert clip.frames.shape == (16, 64, 64)
    assert clip.frames.dtype == np.uint8
    assert clip.frames.max() > 150


def test_moving_left_and_moving_right_differ_only_in_the_order_of_frames():
    """The centre of brightness travels left in one and right in the other."""
    travel = {}
    for action, name in enumerate(ACTIONS):
        if name.startswith("Moving [digit] to the"):
            ways = []
            for index in range(action, action + 24 * 12, 24):
                bright = (render_clip("train", index).frames.astype(float) - 140).clip(0)
                column = (bright.sum(axis=1) * np.arange(64)).sum(axis=1) / (bright.sum(axis=(1, 2)) + 1e-6)
                ways.append(column[-1] - column[0])
            travel[name] = np.median(ways)
    assert travel["Moving [digit] to the left"] < -3
    assert travel["Moving [digit] to the right"] > 3


def test_splits_use_different_digit_images_and_cover_them_all():
    ranges = list(SPLITS.values())
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(glyphs().value) == 1797
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges))


def test_unknown_splits_and_bad_indices_are_refused():
    with pytest.raises(ValueError, match="expected a split of train, validation, test, found 'dev'"):
        render_clip("dev", 0)
    with pytest.raises(ValueError, match="clip index of at least 0, found -1"):
        render_clip("train", -1)
    with pytest.raises(ValueError, match="at least 1 clip, found num_clips=0"):
        DigitsInMotion("train", 0)


def test_the_dataset_is_cached_and_equals_fresh_clips(tmp_path):
    dataset = DigitsInMotion("validation", 5, num_frames=4, size=32, cache=tmp_path)
    assert len(dataset) == 5
    frames, label = dataset[3]
    fresh = render_clip("validation", 3, num_frames=4, size=32)
    assert torch.equal(frames, torch.from_numpy(fresh.frames))
    assert label == joint_label(fresh.action, fresh.digit)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = DigitsInMotion("validation", 5, num_frames=4, size=32, cache=tmp_path)
    batch, labels = again.__getitems__([3, 0])
    assert torch.equal(batch[0], frames)
    assert labels.shape == (2,)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


def test_nothing_half_written_stays_behind(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(digits.np, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        DigitsInMotion("validation", 2, num_frames=2, size=16, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", ["action_digit", "actions", "digits"])
def test_written_videos_are_read_by_the_something_something_loader(tmp_path, labels):
    paths = write_videos(tmp_path, "test", num_clips=3, num_frames=8)
    dataset = SomethingSomethingV2(
        tmp_path / "videos",
        tmp_path / f"{labels}-labels.json",
        tmp_path / f"{labels}-test.json",
    )
    clip = render_clip("test", 1, num_frames=8)
    joint = joint_label(clip.action, clip.digit)
    expected = {"action_digit": joint, "actions": clip.action, "digits": clip.digit}[labels]
    assert dataset.label_names == TASK.label_set(labels).class_names
    assert dataset[1] == (paths[1], expected)
    decoded = read_clip(paths[1], 8)
    assert decoded.shape == (8, 64, 64, 3)
    assert np.abs(decoded.mean(axis=-1) - clip.frames).mean() < 6


def test_split_files_have_the_official_fields(tmp_path):
    write_videos(tmp_path, "test", num_clips=1, num_frames=2)
    [entry] = json.loads((tmp_path / "action_digit-test.json").read_text())
    assert set(entry) == {"id", "label", "template", "placeholders"}
    assert entry["label"] == entry["template"].replace("[", "").replace("]", "")


def test_the_label_sets_of_the_task_agree_with_one_another():
    own, actions, digits_ = TASK.label_sets
    assert (own.class_names, actions.class_names, digits_.class_names) == (
        JOINT_CLASSES,
        ACTION_CLASSES,
        DIGIT_NAMES,
    )
    for action, digit in itertools.product(range(24), range(10)):
        label = joint_label(action, digit)
        assert (actions.labels(label), digits_.labels(label)) == (action, digit)
        assert DIGIT_NAMES[digit] in JOINT_CLASSES[label]
        assert JOINT_CLASSES[label].replace(DIGIT_NAMES[digit], "digit") == ACTION_CLASSES[action]


def test_a_source_gives_batches_of_rgb_in_the_order_of_the_clips(tmp_path):
    source = DigitsClips(num_validation=3, num_frames=4, size=32, cache=str(tmp_path))
    assert [len(source.first_clips("validation", count)) for count in (2, 9)] == [2, 3]
    assert len(source.first_clips("test", 5)) == 5  # nobody has said how many there are
    [(clip, labels), (rest, _)] = source.loader("validation", batch_size=2)
    assert (clip.shape, rest.shape) == ((2, 3, 4, 32, 32), (1, 3, 4, 32, 32))
    fresh = render_clip("validation", 1, num_frames=4, size=32)
    for channel in clip[1]:
        assert torch.equal(channel, torch.from_numpy(fresh.frames).float() / 255)
    assert labels[1] == joint_label(fresh.action, fresh.digit)
    assert source.task is TASK
