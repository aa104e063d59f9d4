"""MoViNet on frames gives what its 3D modules give."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from approxbit.backbones.movinet_layers import Convolution, SameAveragePool
from approxbit.exporting.views import view_of
from approxbit.exporting.views.movinet import AveragePoolView, MoViNetEdgeView, fold

SHAPES = [(3, 4, 20, 20), (3, 1, 32, 24), (3, 5, 19, 37), (3, 2, 3, 5)]


@pytest.mark.parametrize("clip_shape", SHAPES)
@pytest.mark.parametrize("point", ["B1", "B2", "B3"])
@torch.inference_mode()
def test_the_views_agree_with_the_halves(
    point: str, clip_shape: tuple[int, int, int, int], small: ModuleType
) -> None:
    model = small.make_movinet(clip_shape)
    edge, server = model.edge_half(point), model.server_half(point)
    clip = small.make_clips(model)
    feature = edge(clip)
    found = view_of(edge, clip_shape)(clip)
    torch.testing.assert_close(found.grid, feature.grid, rtol=0, atol=1e-5)
    assert found.tokens.shape == feature.tokens.shape
    answer = view_of(server, model.feature_shape(point))(feature)
    torch.testing.assert_close(answer, server(feature), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 4, 5), (1, 7, 2)])
def test_means_do_not_count_the_padding(size: tuple[int, int, int]) -> None:
    frames = torch.randn(size[0], 3, *size[1:])
    expected = SameAveragePool()(frames.transpose(0, 1)[None])[0].transpose(0, 1)
    view = AveragePoolView(size)
    torch.testing.assert_close(view(frames), expected)
    assert view.size_out == (size[0], *expected.shape[2:])


def test_a_convolution_with_nothing_to_fold_is_shared() -> None:
    convolution = nn.Conv3d(2, 2, 1)
    weight, bias = fold(convolution, None, None)
    assert weight is convolution.weight
    assert bias is convolution.bias


def test_a_convolution_with_a_bias_takes_in_norm_and_scale() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv3d(2, 2, 1), nn.BatchNorm3d(2).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(1, 2)
    grid = torch.randn(1, 2, 1, 1, 1)
    weight, bias = fold(convolution, norm, torch.tensor(3.0))
    torch.testing.assert_close(nn.functional.conv3d(grid, weight, bias), 3 * norm(convolution(grid)))


def test_a_layer_of_another_kind_is_refused(small: ModuleType) -> None:
    half = small.make_movinet().edge_half("B2")
    half.layers.append(nn.Identity())
    with pytest.raises(TypeError, match="a MoViNet has no layer of type Identity"):
        MoViNetEdgeView(half, (3, 4, 20, 20))


def test_the_parts_are_those_of_the_model(small: ModuleType) -> None:
    half = small.make_movinet().edge_half("B2")
    assert isinstance(half.layers[0], Convolution)
    assert isinstance(view_of(half, (3, 4, 20, 20)), MoViNetEdgeView)
