from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from approxbit.backbones.vlm.layout import TokenLayout

SIZES = st.integers(1, 4)


@given(SIZES, SIZES, SIZES, SIZES, SIZES, st.integers(0, 3))
def test_features_and_tokens_are_inverse(batch, channels, time, height, width, num_class_tokens):
    layout = TokenLayout(channels, (8, 8), (height, width), num_class_tokens)
    tokens = torch.randn(batch, time, num_class_tokens + height * width, channels)
    feature = layout.to_feature(tokens)
    assert feature.grid.shape == (batch, *layout.feature_shape((3, time, 8, 8)))
    assert feature.tokens.shape == (batch, time * num_class_tokens, channels)
    assert feature.grid.is_contiguous()
    assert torch.equal(layout.to_tokens(feature), tokens)
    assert layout.to_tokens(feature).is_contiguous()


def test_class_tokens_come_first_and_patches_row_by_row():
    layout = TokenLayout(channels=5, frame_size=(16, 24), grid_size=(2, 3), num_class_tokens=1)
    tokens = torch.arange(2 * 4 * 7 * 5.0).reshape(2, 4, 7, 5)
    feature = layout.to_feature(tokens)
    assert feature.tokens[1, 3].tolist() == tokens[1, 3, 0].tolist()
    assert feature.grid[1, :, 3, 0, 2].tolist() == tokens[1, 3, 3].tolist()
    assert feature.grid[0, :, 2, 1, 0].tolist() == tokens[0, 2, 4].tolist()


@pytest.mark.parametrize("clip_shape", [(3, 4, 16, 16), (3, 4, 24, 16)])
def test_frames_of_another_size_are_refused(clip_shape):
    layout = TokenLayout(channels=5, frame_size=(16, 24), grid_size=(2, 3))
    with pytest.raises(ValueError, match=r"takes clips of \(time, height, width\) \(4, 16, 24\), found \(4,"):
        layout.feature_shape(clip_shape)


def test_a_fixed_number_of_frames_is_kept():
    layout = TokenLayout(channels=5, frame_size=(16, 24), grid_size=(2, 3), num_frames=8)
    assert layout.feature_shape((3, 8, 16, 24)) == (5, 8, 2, 3)
    with pytest.raises(ValueError, match=r"\(8, 16, 24\), found \(4, 16, 24\)"):
        layout.feature_shape((3, 4, 16, 24))
