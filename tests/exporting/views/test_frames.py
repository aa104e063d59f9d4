"""A 3D convolution as 2D convolutions of frames."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from approxbit.exporting.views.frames import FrameConvolution, from_frames, to_frames

KERNELS = st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 3), st.integers(1, 3))
SIZES = st.tuples(st.integers(1, 7), st.integers(3, 6), st.integers(3, 6))
STRIDES = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
PADDINGS = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(KERNELS, SIZES, STRIDES, PADDINGS, PADDINGS, st.booleans(), st.booleans())
def test_frames_are_convolved_as_grids_are(
    kernel: tuple[int, int, int],
    size: tuple[int, int, int],
    stride: tuple[int, int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    is_depthwise: bool,
    has_bias: bool,
) -> None:
    torch.manual_seed(0)
    groups = 4 if is_depthwise else 1
    weight = torch.randn(4, 4 // groups, *kernel, dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64) if has_bias else None
    grid = torch.randn(2, 4, *size, dtype=torch.float64)
    padded = F.pad(grid, (*columns, *rows, kernel[0] // 2, kernel[0] // 2))
    expected = F.conv3d(padded, weight, bias, stride, groups=groups)
    view = FrameConvolution(weight, bias, size, stride, rows, columns, groups)
    assert view.size_out == tuple(expected.shape[2:])
    torch.testing.assert_close(from_frames(view(to_frames(grid)), view.size_out[0]), expected)


def test_frames_lie_in_the_batch_axis() -> None:
    grid = torch.arange(24.0).reshape(2, 3, 4, 1, 1)
    frames = to_frames(grid)
    assert frames[5].flatten().tolist() == grid[1, :, 1].flatten().tolist()
    assert torch.equal(from_frames(frames, 4), grid)


@pytest.mark.parametrize("num_frames", [1, 2])
def test_slices_that_no_frame_meets_are_left_out(num_frames: int) -> None:
    view = FrameConvolution(torch.randn(1, 1, 5, 1, 1), None, (num_frames, 1, 1))
    assert view.offsets == [offset for offset in (-1, 1) if num_frames == 2]
