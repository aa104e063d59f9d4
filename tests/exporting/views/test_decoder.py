"""The decoder with its products written out gives what the codec decodes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from approxbit.backbones.feature import FeatureShape
from approxbit.codec import Codec
from approxbit.codec.code import Code
from approxbit.configuration import Configuration
from approxbit.exporting.views.decoder import DecoderView, WindowMean


@pytest.mark.parametrize("num_tokens", [0, 1, 3])
@pytest.mark.parametrize(
    ("shape", "configuration"),
    [
        (FeatureShape(40, 3, 5, 4), "5-Enc-B1"),
        (FeatureShape(40, 4, 7, 8), "8-NoEnc-B1"),
        (FeatureShape(16, 5, 11, 9), "3-NoEnc-B1"),
    ],
)
@torch.inference_mode()
def test_the_view_decodes_as_the_codec_does(shape: FeatureShape, configuration: str, num_tokens: int) -> None:
    torch.manual_seed(0)
    codec = Codec(shape, Configuration.parse(configuration), num_tokens).eval()
    statistics = [torch.randn(shape.channels), 1 + torch.rand(shape.channels)]
    codec.fit_statistics(*statistics, *(statistics if num_tokens else ()))
    grid_size = codec.configuration.grid_size(shape.size)
    num_bits = codec.configuration.codebook_size
    code = Code(
        torch.randint(0, 2, (2, num_bits, *grid_size)), torch.randint(0, 2, (2, num_tokens, num_bits))
    )
    expected = codec.decode(code)
    found = DecoderView(codec)(code.to_planes().flatten(1).float())
    torch.testing.assert_close(found.grid, expected.grid, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "size_out"),
    [((2, 7, 8), (2, 7, 8)), ((16, 14, 14), (8, 7, 7)), ((5, 11, 9), (3, 6, 5)), ((1, 50, 21), (1, 25, 11))],
)
def test_means_over_windows_do_not_count_what_is_beyond_the_end(
    size: tuple[int, int, int], size_out: tuple[int, int, int]
) -> None:
    grid = torch.randn(2, 3, *size)
    view = WindowMean(size)
    assert view.size_out == size_out
    expected = F.avg_pool3d(grid, view.window, ceil_mode=True)
    torch.testing.assert_close(view(grid), expected)
