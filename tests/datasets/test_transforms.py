from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from approxbit.datasets.transforms import clip_transform

MEAN, STD = (0.45,) * 3, (0.225,) * 3


def columns(num_frames: int, height: int, width: int) -> np.ndarray:
    """Every pixel holds the number of its column, in all frames and channels."""
    ramp = np.arange(width, dtype=np.uint8)
    return np.broadcast_to(ramp[None, None, :, None], (num_frames, height, width, 3)).copy()


def grey_levels(clip: torch.Tensor) -> torch.Tensor:
    return torch.round((clip * STD[0] + MEAN[0]) * 255).int()


def test_inference_normalises_and_crops_the_centre():
    clip = clip_transform(8, MEAN, STD, training=False)(columns(5, 8, 20))
    assert clip.shape == (3, 5, 8, 8)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()
    assert torch.equal(grey_levels(clip)[0, 0, 0], torch.arange(6, 14, dtype=torch.int))


def test_numbers_worked_by_hand():
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    frames[..., 0], frames[..., 1], frames[..., 2] = 255, 0, 51
    clip = clip_transform(2, (0.5, 0.5, 0.1), (0.25, 0.5, 0.1), training=False)(frames)
    assert clip[:, 0, 0, 0].tolist() == pytest.approx([2.0, -1.0, 1.0])


def test_training_crops_at_random_and_alike_in_all_frames():
    torch.manual_seed(0)
    transform = clip_transform(8, MEAN, STD, training=True)
    lefts = set()
    for _ in range(60):
        levels = grey_levels(transform(columns(4, 8, 20)))
        assert (levels == levels[0, 0, 0]).all()
        assert torch.equal(levels[0, 0, 0].diff(), torch.ones(7, dtype=torch.int))  # never mirrored
        lefts.add(int(levels[0, 0, 0, 0]))
    assert lefts == set(range(13))


def test_the_short_side_is_resized_before_the_crop():
    clip = clip_transform(8, MEAN, STD, training=False, short_side=10)(columns(1, 20, 30))
    levels = grey_levels(clip)[0, 0, 0]
    assert torch.equal(levels.diff(), torch.full((7,), 2, dtype=torch.int))


def test_mirroring_is_on_request_and_only_in_training():
    torch.manual_seed(0)
    transform = clip_transform(8, MEAN, STD, training=True, horizontal_flip=True)
    steps = {int(grey_levels(transform(columns(1, 8, 8)))[0, 0, 0].diff()[0]) for _ in range(20)}
    assert steps == {1, -1}
    with pytest.raises(ValueError, match="horizontal_flip belongs to training, found training=False"):
        clip_transform(8, MEAN, STD, training=False, horizontal_flip=True)


def test_tensors_and_arrays_give_the_same_clip():
    frames = columns(2, 12, 12)
    transform = clip_transform(8, MEAN, STD, training=False)
    assert torch.equal(transform(frames), transform(torch.from_numpy(frames)))


def test_a_transform_travels_to_loader_workers():
    transform = pickle.loads(pickle.dumps(clip_transform(8, MEAN, STD, training=False)))
    assert transform(columns(1, 8, 8)).shape == (3, 1, 8, 8)


def test_a_short_side_below_the_size_is_refused():
    with pytest.raises(ValueError, match="short_side must be at least size=224, found 200"):
        clip_transform(224, MEAN, STD, training=True, short_side=200)
