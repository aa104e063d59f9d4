from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from approxbit.backbones.movinet import MoViNet, movinet, movinet_small
from approxbit.backbones.movinet_layers import (
    ConvolutionUnit,
    SameAveragePool,
    SameConv3d,
    round_to_eight,
    same_padding,
)
from approxbit.backbones.movinet_table import ARCHITECTURES

POINTS = ("B1", "B2", "B3", "B4", "B5", "B6")


@torch.no_grad()
def test_the_reference_answers_the_same(golden):
    case = golden.load_case("movinet_a0_base_small")
    model = movinet("a0").eval()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in case.weights.items()}, strict=True)
    outputs: dict[str, torch.Tensor] = {}
    taps: dict[str, nn.Module] = {"block1": model.conv1, "conv7": model.conv7}
    taps |= {f"block{i + 2}": model.blocks[end - 1] for i, end in enumerate((1, 4, 7, 11, 15))}
    for name, module in taps.items():
        module.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output}))
    outputs["logits"] = model(torch.from_numpy(case.clip))
    outputs["pooled"] = outputs["conv7"].mean(dim=(2, 3, 4))
    found = golden.errors(case, outputs)
    assert len(found) == 9 + 7  # taps with statistics count twice
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize(
    ("name", "num_parameters", "num_keys"),
    [
        ("a0", 3_111_799, 385),
        ("a1", 4_690_296, 592),
        ("a2", 5_249_562, 638),
        ("a3", 7_397_545, 805),
        ("a4", 11_349_463, 1121),
        ("a5", 18_650_523, 1403),
    ],
)
def test_every_architecture_has_its_published_size(name, num_parameters, num_keys):
    with torch.device("meta"):
        model = movinet(name, num_classes=600)
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters
    assert len(model.state_dict()) == num_keys


@pytest.mark.parametrize(
    ("name", "clip_shape"),
    [
        ("a0", (3, 50, 172, 172)),
        ("a1", (3, 50, 172, 172)),
        ("a2", (3, 50, 224, 224)),
        ("a3", (3, 120, 256, 256)),
        ("a4", (3, 80, 290, 290)),
        ("a5", (3, 120, 320, 320)),
    ],
)
def test_clips_are_of_the_published_shape_unless_told_otherwise(name, clip_shape):
    with torch.device("meta"):
        assert movinet(name).clip_shape == clip_shape
        assert movinet(name, clip_shape=(3, 8, 64, 96)).clip_shape == (3, 8, 64, 96)


def test_a2_has_the_feature_shapes_of_the_paper():
    with torch.device("meta"):
        model = movinet("a2")
    assert model.offload_points == POINTS
    assert [model.feature_shape(point) for point in POINTS] == [
        (16, 50, 112, 112),
        (16, 50, 56, 56),
        (40, 50, 28, 28),
        (72, 50, 14, 14),
        (72, 50, 14, 14),
        (144, 50, 7, 7),
    ]
    assert model.feature_shape("B5", (3, 9, 173, 100)) == (72, 9, 11, 7)


@torch.no_grad()
@pytest.mark.parametrize("size", [(5, 27, 22), (4, 32, 32), (1, 33, 17), (3, 1, 2)])
def test_the_halves_make_the_whole_bit_for_bit(tiny_models, size):
    model = tiny_models.movinet(num_classes=7)
    clip = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    logits = model(clip)
    assert logits.shape == (2, 7)
    for point in POINTS:
        feature = model.edge_half(point)(clip)
        assert feature.grid.shape[1:] == model.feature_shape(point, (3, *size))
        assert (
            feature.tokens.shape
            == (2, model.num_tokens(point), feature.grid.shape[1])
            == (2, 0, feature.grid.shape[1])
        )
        assert torch.equal(model.server_half(point)(feature), logits)


def test_the_halves_hold_the_parameters_of_the_whole_once_each(tiny_models):
    model = MoViNet(tiny_models.MOVINET, num_classes=7)
    whole = {id(parameter) for parameter in model.parameters()}
    for point in POINTS:
        edge = {id(parameter) for parameter in model.edge_half(point).parameters()}
        server = {id(parameter) for parameter in model.server_half(point).parameters()}
        assert edge | server == whole
        assert not edge & server


def test_a_half_taken_from_a_frozen_model_is_in_its_mode(tiny_models):
    model = MoViNet(tiny_models.MOVINET, num_classes=7).eval()
    assert not model.edge_half("B3").training
    assert not model.server_half("B3").training
    model.train()
    assert model.edge_half("B3").training
    assert model.server_half("B3").training


def test_dropout_acts_only_in_training(tiny_models):
    model = tiny_models.movinet(num_classes=7, dropout=0.5)
    clip = torch.rand(2, 3, 3, 16, 16)
    torch.manual_seed(0)
    assert torch.equal(model(clip), model(clip))
    model.classifier.train()
    assert not torch.equal(model(clip), model(clip))


def test_a_fresh_model_learns_with_every_parameter(tiny_models):
    model = MoViNet(tiny_models.MOVINET, num_classes=7, dropout=0.0)
    model(torch.rand(4, 3, 3, 16, 16)).square().mean().backward()
    silent = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_an_unknown_offload_point_is_refused_by_name(tiny_models):
    model = MoViNet(tiny_models.MOVINET, num_classes=7)
    for use in (model.edge_half, model.server_half, model.feature_shape, model.num_tokens):
        with pytest.raises(
            ValueError, match="MoViNet has the offload points B1, B2, B3, B4, B5, B6, found 'B7'"
        ):
            use("B7")


def test_an_unknown_architecture_is_refused_by_name():
    with pytest.raises(ValueError, match=r"movinet has the architectures a0, a1, .*, found 'A2'"):
        movinet("A2")


def plain(unit: ConvolutionUnit, grid: torch.Tensor) -> torch.Tensor:
    """What the unit computes, one layer after the other, on a padded grid."""
    convolution = unit.conv3d
    edges = []
    for axis in (2, 1):  # F.pad counts from the last axis
        length, stride = grid.shape[axis + 2], convolution.stride[axis]
        total = max((-(-length // stride) - 1) * stride + convolution.kernel_size[axis] - length, 0)
        edges += [total // 2, total - total // 2]
    edges += [convolution.kernel_size[0] // 2] * 2
    weight, bias, groups = convolution.weight, convolution.bias, convolution.groups
    grid = F.conv3d(F.pad(grid, edges), weight, bias, convolution.stride, groups=groups)
    for layer in list(unit)[1:]:
        grid = layer(grid)
    return grid


@torch.no_grad()
@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 5, 5), (3, 3, 3), (5, 3, 3)])
@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("has_norm", [True, False])
def test_a_merged_unit_is_its_layers_one_after_the_other(kernel, groups, has_norm):
    convolution = SameConv3d(6, 6, kernel, (1, 2, 2), groups=groups, bias=not has_norm)
    unit = ConvolutionUnit(convolution, has_norm, has_swish=True).eval()
    for name, value in unit.state_dict().items():
        if name.startswith("norm.") and value.ndim:
            value.copy_(0.5 + torch.rand(6))
    for grid in (torch.randn(2, 6, 4, 9, 8), torch.randn(1, 6, 1, 1, 2)):
        torch.testing.assert_close(unit(grid), plain(unit, grid), atol=1e-5, rtol=1e-5)


def test_norms_take_the_statistics_of_the_batch_in_training():
    unit = ConvolutionUnit(SameConv3d(6, 6, (1, 3, 3), bias=False), has_norm=True, has_swish=True).train()
    grid = torch.randn(2, 6, 4, 9, 8)
    torch.testing.assert_close(unit(grid), plain(unit, grid))
    assert unit.norm.num_batches_tracked == 2


def test_gradients_pass_through_a_merged_unit():
    unit = ConvolutionUnit(
        SameConv3d(6, 6, (1, 3, 3), groups=6, bias=False), has_norm=True, has_swish=True
    ).eval()
    grid = torch.randn(2, 6, 4, 9, 8, requires_grad=True)
    wanted = (grid, *unit.parameters())
    found = torch.autograd.grad(unit(grid).square().mean(), wanted)
    torch.testing.assert_close(found, torch.autograd.grad(plain(unit, grid).square().mean(), wanted))


@torch.no_grad()
def test_an_exported_graph_shows_the_plain_layers(tiny_models):
    edge_half = tiny_models.movinet(num_classes=7).edge_half("B3")
    clip = torch.rand(1, 3, 3, 16, 16)
    exported = torch.export.export(edge_half, (clip,))
    calls = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    modules = list(edge_half.modules())
    assert calls.count("aten.conv3d.default") == sum(isinstance(each, SameConv3d) for each in modules)
    assert not any(call.startswith("aten.conv2d") for call in calls)
    num_norms = sum(isinstance(each, nn.BatchNorm3d) for each in modules)
    assert sum(call.startswith("aten.batch_norm") for call in calls) == num_norms
    torch.testing.assert_close(exported.module()(clip)[0], edge_half(clip).grid, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize(("length", "num_out"), [(3, 4), (1, 4), (1, 2)])
def test_same_convolution_is_a_plain_one_on_a_padded_grid(kernel, stride, size, length, num_out):
    layer = SameConv3d(2, num_out, (length, kernel, kernel), (1, stride, stride), groups=2)
    grid = torch.rand(1, 2, 5, size, size + 1)
    edges = [0, 0, 0, 0, length // 2, length // 2]
    for axis, length in enumerate((size + 1, size)):  # F.pad counts from the last axis
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        edges[2 * axis : 2 * axis + 2] = [total // 2, total - total // 2]
    expected = F.conv3d(F.pad(grid, edges), layer.weight, layer.bias, (1, stride, stride), groups=2)
    torch.testing.assert_close(layer(grid), expected)
    assert expected.shape[3:] == (-(-size // stride), -(-(size + 1) // stride))


def test_an_odd_leftover_of_padding_goes_to_the_bottom_and_right():
    layer = SameConv3d(1, 1, (1, 3, 3), (1, 2, 2), bias=False)
    nn.init.ones_(layer.weight)
    grid = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    # Windows start at rows and columns 0 and 2; the second ones hang over the end.
    assert layer(grid).flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
    assert same_padding(4, kernel=3, stride=2) == (0, 1)


def test_the_average_pool_does_not_count_its_padding():
    pool = SameAveragePool()
    even = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    assert pool(even).flatten().tolist() == pytest.approx([5.0, 6.5, 11.0, 12.5])
    odd = torch.arange(9.0).reshape(1, 1, 1, 3, 3)
    assert pool(odd).flatten().tolist() == pytest.approx([2.0, 3.0, 5.0, 6.0])
    assert pool(torch.ones(1, 1, 2, 1, 8)).shape == (1, 1, 2, 1, 4)


def test_squeeze_widths_are_rounded_as_published():
    expansions = (40, 64, 96, 120, 240, 160, 192, 144, 480, 384, 576)
    assert [round_to_eight(expand / 4) for expand in expansions] == [
        16,
        16,
        24,
        32,
        64,
        40,
        48,
        40,
        120,
        96,
        144,
    ]
    assert round_to_eight(11.9) == 16  # 8 would be more than a tenth too narrow


def test_every_norm_has_the_published_epsilon(tiny_models):
    modules = tiny_models.movinet().modules()
    norms = [module for module in modules if isinstance(module, nn.BatchNorm3d)]
    assert norms
    assert {norm.eps for norm in norms} == {1e-3}


def test_a_deep_copy_is_a_model_of_its_own(tiny_models):
    model = tiny_models.movinet(num_classes=7)
    clip = torch.rand(1, 3, 3, 16, 16)
    twin = copy.deepcopy(model)
    nn.init.zeros_(next(model.conv7.parameters()))
    assert not torch.equal(twin(clip), model(clip))


def test_the_digits_model_is_small_and_cut_at_a_third_and_two_thirds_of_its_work():
    with torch.device("meta"):
        model = movinet_small().eval()
        clip = torch.empty(1, *model.clip_shape)
    assert model.clip_shape == (3, 16, 64, 64)
    assert model.num_classes == 240
    assert model.architecture is ARCHITECTURES["small"]
    assert model.feature_shape("B3").size == (16, 8, 8)
    assert model.feature_shape("B5").size == (16, 4, 4)
    whole = multiplications(model, clip)
    assert whole < 80e6
    assert 0.25 < multiplications(model.edge_half("B3"), clip) / whole < 0.4
    assert 0.6 < multiplications(model.edge_half("B5"), clip) / whole < 0.75


def multiplications(module: nn.Module, clip: torch.Tensor) -> float:
    """Multiply-adds of the convolutions; nothing else of a MoViNet is counted."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(clip)
    return counter.get_total_flops() / 2
