from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from approxbit.backbones.splitting.layout import GridLayout, TokenLayout

LENGTHS = {"B": 2, "C": 5, "T": 3, "H": 4, "W": 6}


@settings(deadline=None, max_examples=60)
@given(st.permutations("CTHW").flatmap(lambda axes: st.integers(1, 4).map(lambda n: "".join(axes)[:n])))
def test_a_grid_in_any_order_of_axes_comes_back(axes):
    if "C" not in axes:
        axes = f"C{axes}"
    value = torch.rand([LENGTHS[axis] for axis in f"B{axes}"])
    layout = GridLayout(f"B{axes}")
    feature = layout.to_feature(value, 2)
    assert feature.grid.shape == tuple(LENGTHS[axis] if axis in f"B{axes}" else 1 for axis in "BCTHW")
    assert feature.tokens.shape == (2, 0, 5)
    assert torch.equal(layout.to_tensor(feature), value)


def test_channels_last_means_what_it_says():
    value = torch.rand(2, 3, 4, 6, 5)
    grid = GridLayout("BTHWC").to_feature(value, 2).grid
    assert grid[1, 4, 2, 3, 0] == value[1, 2, 3, 0, 4]


def test_frames_in_the_batch_axis_become_time():
    value = torch.rand(2 * 3, 5, 4, 6)
    layout = GridLayout("(BT)CHW")
    feature = layout.to_feature(value, 2)
    assert feature.grid.shape == (2, 5, 3, 4, 6)
    assert torch.equal(feature.grid[1, :, 0], value[3])
    assert torch.equal(layout.to_tensor(feature), value)


@pytest.mark.parametrize("num_class_tokens", [0, 1, 3])
@pytest.mark.parametrize("has_frames_in_batch", [False, True])
def test_tokens_come_back(num_class_tokens, has_frames_in_batch):
    layout = TokenLayout((3, 4, 6), num_class_tokens, has_frames_in_batch)
    clips = (6, num_class_tokens + 24) if has_frames_in_batch else (2, num_class_tokens + 72)
    value = torch.rand(*clips, 5)
    feature = layout.to_feature(value, 2)
    assert feature.grid.shape == (2, 5, 3, 4, 6)
    assert feature.tokens.shape == (2, num_class_tokens * (3 if has_frames_in_batch else 1), 5)
    assert torch.equal(layout.to_tensor(feature), value)


def test_tokens_follow_each_other_along_the_width():
    value = torch.arange(13.0).view(1, 13, 1)
    feature = TokenLayout((1, 3, 4), num_class_tokens=1).to_feature(value, 1)
    assert feature.tokens.tolist() == [[[0.0]]]
    assert feature.grid[0, 0, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]


def test_a_token_layout_takes_the_size_of_another_clip():
    layout = TokenLayout((1, 2, 2))
    feature = layout.to_feature(torch.rand(1, 12, 5), 1, size=(3, 2, 2))
    assert feature.grid.shape == (1, 5, 3, 2, 2)


@pytest.mark.parametrize("axes", ["", "BTHW", "CBTHW", "BCTHX", "BCCHW", "(BT)CTHW"])
def test_axes_that_make_no_sense_are_refused(axes):
    with pytest.raises(ValueError, match="each once and B first, such as 'BCTHW'"):
        GridLayout(axes)


def test_a_layout_refuses_a_tensor_of_other_axes():
    with pytest.raises(
        ValueError, match=r"layout '\(BT\)CHW' is for tensors of 4 axes, found shape \(2, 5\)"
    ):
        GridLayout("(BT)CHW").check((2, 5))


def test_a_token_layout_refuses_another_number_of_tokens():
    layout = TokenLayout((2, 3, 4), num_class_tokens=1)
    with pytest.raises(ValueError, match=r"tensors \[batch, 25, channel\], found shape \(1, 24, 5\)"):
        layout.to_feature(torch.rand(1, 24, 5), 1)
