from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torchvision.models.video import mvit_v2_s
from torchvision.models.video.mvit import MViT

from approxbit.backbones.feature import Feature
from approxbit.backbones.mvitv2 import (
    MViTv2,
    classify,
    embed,
    mvitv2_b,
    mvitv2_s,
    mvitv2_tiny,
    run_through,
    to_feature,
    to_tokens,
)
from approxbit.backbones.official.files import Content
from approxbit.backbones.official.origins import convert

CLIP_SHAPES = [(3, 16, 64, 64), (3, 15, 61, 67), (3, 3, 33, 90), (3, 1, 17, 17)]


@pytest.fixture(scope="module")
def digits() -> MViTv2:
    torch.manual_seed(0)
    return mvitv2_tiny(num_classes=24).eval()


def on_meta(build, *arguments) -> MViTv2:
    with torch.device("meta"):
        return build(*arguments)


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def clip_of(clip_shape, batch=2) -> torch.Tensor:
    return torch.randn(batch, *clip_shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_mvitv2_b_answers_what_slowfast_answers(golden):
    case = golden.load_case("mvit_b_112")
    model = on_meta(mvitv2_b, 174, (3, 8, 112, 112)).eval()
    weights = {key: torch.from_numpy(value) for key, value in case.weights.items()}
    converted = convert("the golden weights", Content("torch", weights), model.state_dict().keys())
    assert (converted.origin, converted.unexpected) == ("slowfast", ())
    model.load_state_dict(converted.tensors, assign=True)

    tokens, size = embed(torch.from_numpy(case.clip), model.conv_proj, model.pos_encoding)
    grids = {"patch_embed": to_feature(tokens, size).grid}
    class_tokens = {}
    for point, block in zip(model.offload_points, model.blocks, strict=True):
        tokens, size = run_through([block], tokens, size)
        feature = to_feature(tokens, size)
        index = int(point[1:]) - 1
        assert feature.grid.shape[1:] == model.feature_shape(point)
        assert tuple(feature.grid.shape) == tuple(case.golden["blocks.shape"][index])
        expected = case.golden["blocks.stats"][index]
        assert golden.largest_difference(golden.statistics(feature.grid.numpy()), expected) < 1e-4
        if point in ("B8", "B16"):
            grids[f"block{point[1:]}"] = feature.grid
            class_tokens[f"block{point[1:]}.cls"] = feature.tokens[:, 0]
    logits = classify(tokens, model.norm, model.head)
    pre_head = model.norm(tokens)[:, 0]

    assert max(golden.errors(case, {**grids, **class_tokens, "pre_head": pre_head}).values()) < 1e-4
    assert golden.errors(case, {"logits": logits})["logits"] < 1e-5


@pytest.mark.parametrize(
    ("build", "num_classes", "expected"),
    [
        (mvitv2_b, 174, 51_056_334),
        (mvitv2_b, 400, 51_230_128),
        (mvitv2_b, 600, 51_383_928),
        (mvitv2_s, 400, 34_537_744),
    ],
)
def test_parameter_counts_are_the_published_ones(build, num_classes, expected):
    assert num_parameters(on_meta(build, num_classes)) == expected


def test_blocks_of_mvitv2_b_have_the_published_sizes():
    blocks = on_meta(mvitv2_b).blocks
    early = [144_480] * 2 + [429_888] + [466_752] * 2 + [1_643_520]
    assert [num_parameters(block) for block in blocks] == (
        early + [1_790_976] * 15 + [6_514_560] + [7_101_696] * 2
    )
    assert [len(block.attn.rel_pos_h) for block in blocks] == [111] * 2 + [55] * 3 + [27] * 17 + [13] * 2
    assert {block.attn.rel_pos_t.shape for block in blocks} == {(31, 96)}


def test_features_of_mvitv2_b_are_those_of_the_paper():
    model = on_meta(mvitv2_b)
    assert model.feature_shape("B8") == model.feature_shape("B16") == (384, 16, 14, 14)
    assert model.feature_shape("B2") == (96, 16, 56, 56)
    assert model.feature_shape("B24") == (768, 16, 7, 7)
    assert model.feature_shape("B8", (3, 8, 112, 112)) == (384, 4, 7, 7)
    assert model.offload_points == tuple(f"B{number}" for number in range(1, 25))
    assert model.num_tokens("B8") == 1


def test_features_of_the_digits_variant_are_equal_at_both_offload_points():
    model = on_meta(mvitv2_tiny)
    assert model.offload_points == ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8")
    assert model.feature_shape("B1") == (32, 4, 16, 16)
    assert model.feature_shape("B3") == model.feature_shape("B6") == (64, 4, 8, 8)
    assert model.feature_shape("B8") == (128, 4, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("clip_shape", CLIP_SHAPES)
def test_the_halves_together_are_the_whole_bit_for_bit(digits, clip_shape):
    clip = clip_of(clip_shape)
    logits = digits(clip)
    assert logits.shape == (2, 24)
    for point in digits.offload_points:
        feature = digits.edge_half(point)(clip)
        assert feature.grid.shape == (2, *digits.feature_shape(point, clip_shape))
        assert feature.tokens.shape == (2, digits.num_tokens(point), feature.grid.shape[1])
        assert feature.grid.is_contiguous()
        assert torch.equal(digits.server_half(point)(feature), logits), point


@torch.no_grad()
def test_the_forward_is_torchvisions_bit_for_bit(digits):
    clip = clip_of(digits.clip_shape)
    assert torch.equal(digits(clip), MViT.forward(digits, clip))


@torch.no_grad()
def test_mvitv2_s_is_torchvisions_mvit_v2_s():
    theirs = mvit_v2_s().eval()
    theirs.pos_encoding.temporal_size, theirs.pos_encoding.spatial_size = 2, (16, 16)  # a small clip's grid
    ours = on_meta(mvitv2_s).eval()
    ours.load_state_dict(theirs.state_dict(), assign=True)
    clip = clip_of((3, 4, 64, 64), batch=1)
    assert torch.equal(ours(clip), theirs(clip))


def test_features_and_tokens_are_inverse():
    tokens = torch.arange(2 * 25 * 3.0).reshape(2, 25, 3)
    feature = to_feature(tokens, (2, 3, 4))
    assert feature.grid[1, :, 1, 2, 3].tolist() == tokens[1, 24].tolist()
    assert feature.grid[0, :, 0, 0, 1].tolist() == tokens[0, 2].tolist()
    assert feature.tokens[:, 0].tolist() == tokens[:, 0].tolist()
    again, size = to_tokens(feature)
    assert size == (2, 3, 4)
    assert torch.equal(again, tokens)


def test_the_head_sees_nothing_but_the_class_token(digits):
    feature = digits.edge_half("B8")(clip_of(digits.clip_shape))
    server_half = digits.server_half("B8")
    blank = Feature(torch.zeros_like(feature.grid), feature.tokens)
    assert torch.equal(server_half(blank), server_half(feature))


def test_halves_share_their_parameters_with_the_whole(digits):
    whole = {id(parameter) for parameter in digits.parameters()}
    halves = [*digits.edge_half("B3").parameters(), *digits.server_half("B3").parameters()]
    assert {id(parameter) for parameter in halves} == whole


def test_gradients_of_the_server_half_reach_the_grid_and_the_class_token(digits):
    with torch.no_grad():
        feature = digits.edge_half("B3")(clip_of(digits.clip_shape))
    feature = Feature(feature.grid.requires_grad_(), feature.tokens.clone().requires_grad_())
    digits.server_half("B3")(feature).square().sum().backward()
    assert feature.grid.grad.abs().sum() > 0
    assert feature.tokens.grad.abs().sum() > 0
    digits.zero_grad()


def test_rates_of_training_are_passed_on():
    model = on_meta(mvitv2_b)
    assert model.head[0].p == 0.5
    assert [round(block.stochastic_depth.p, 6) for block in model.blocks[:: len(model.blocks) - 1]] == [
        0,
        0.4,
    ]
    model = on_meta(mvitv2_tiny, 24, (3, 16, 64, 64), 0.1, 0.2)
    assert (model.head[0].p, model.blocks[-1].stochastic_depth.p) == (0.1, 0.2)
    assert on_meta(mvitv2_tiny).head[0].p == 0.0


@pytest.mark.parametrize(("build", "num_blocks"), [(mvitv2_b, 24), (mvitv2_s, 16)])
def test_layer_norms_have_slowfasts_epsilon(build, num_blocks):
    # With PyTorch's 1e-5 the logits move by 2e-5 only: the golden case would not notice.
    norms = [module for module in on_meta(build).modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == num_blocks * 5 + 1
    assert {norm.eps for norm in norms} == {1e-6}


@torch.no_grad()
def test_logits_come_before_any_softmax(digits):
    clip = clip_of(digits.clip_shape)
    twice = copy.deepcopy(digits)
    twice.head[1].weight.mul_(2)
    twice.head[1].bias.mul_(2)
    assert torch.equal(twice(clip), 2 * digits(clip))
    assert (digits(clip) < 0).any()


def test_blocks_of_mvitv2_s_have_tables_of_the_published_sizes():
    model = on_meta(mvitv2_s)
    assert [len(block.attn.rel_pos_h) for block in model.blocks] == [111, 55, 55] + [27] * 12 + [13]
    assert [len(block.attn.rel_pos_w) for block in model.blocks] == [111, 55, 55] + [27] * 12 + [13]
    assert {block.attn.rel_pos_t.shape for block in model.blocks} == {(15, 96)}
    assert model.offload_points == tuple(f"B{number}" for number in range(1, 17))
    assert model.feature_shape("B4") == model.feature_shape("B14") == (384, 8, 14, 14)


def test_clips_are_normalised_as_slowfast_does():
    assert MViTv2.mean == (0.45, 0.45, 0.45)
    assert MViTv2.std == (0.225, 0.225, 0.225)


@pytest.mark.parametrize("method", ["feature_shape", "num_tokens", "edge_half", "server_half"])
@pytest.mark.parametrize("point", ["B0", "B9", "b3", ""])
def test_unknown_offload_points_are_refused(digits, method, point):
    with pytest.raises(ValueError, match=r"MViTv2 has the offload points B1, .*B8, found '" + point):
        getattr(digits, method)(point)
