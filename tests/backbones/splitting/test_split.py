from __future__ import annotations

import copy
import io

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from approxbit.backbones.splitting import (
    offload_points,
    split,
)

CLIP = (2, 3, 4, 16, 16)


def test_the_halves_give_the_answer_of_the_whole_for_clips_of_any_size(net, residual, assert_same):
    model = net(residual(4), residual(4)).eval()
    backbone = split(model, at=["blocks.0", "stem"], example=torch.rand(CLIP))
    assert backbone.offload_points == ("stem", "blocks.0")
    assert backbone.clip_shape == (3, 4, 16, 16)
    assert backbone.num_classes == 5
    for shape in (CLIP, (1, 3, 7, 9, 12), (3, 3, 1, 32, 8)):
        assert_same(backbone, torch.rand(shape))


@st.composite
def layers(draw):
    makers = {
        "conv": lambda: nn.Conv3d(4, 4, 3, padding=1, bias=False),
        "norm": lambda: nn.BatchNorm3d(4),
        "relu": lambda: nn.ReLU(inplace=True),
        "pool": lambda: nn.MaxPool3d(3, stride=2, padding=1),
        "dropout": lambda: nn.Dropout3d(0.5),
        "identity": nn.Identity,
        "residual": None,
    }
    return [(name, makers[name]) for name in draw(st.lists(st.sampled_from(sorted(makers)), max_size=5))]


@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=layers())
def test_every_point_that_is_listed_splits_bit_for_bit(made, net, residual, assert_same):
    model = net(*(residual(4) if make is None else make() for _, make in made)).eval()
    example = torch.rand(CLIP)
    points = offload_points(model, example)
    assert "stem" in [point.name for point in points]
    backbone = split(model, {f"P{number}": point.name for number, point in enumerate(points)}, example)
    assert_same(backbone, torch.rand(1, 3, 5, 12, 20))
    for number, point in enumerate(points):
        assert backbone.feature_shape(f"P{number}") == point.feature_shape


def test_each_half_shares_and_holds_only_the_parameters_that_it_uses(net, residual):
    model = net(residual(4), residual(4)).eval()
    backbone = split(model, "blocks.0", torch.rand(CLIP))
    edge = {id(each) for each in backbone.edge_half("blocks.0").parameters()}
    server = {id(each) for each in backbone.server_half("blocks.0").parameters()}
    early = [*model.stem.parameters(), *model.blocks[0].parameters()]
    assert edge == {id(each) for each in early}
    assert edge | server == {id(each) for each in model.parameters()}
    assert not edge & server


def test_splitting_leaves_the_model_as_it_was(net, residual):
    model = net(residual(4)).eval()
    model.clips_seen = None
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attributes = [dict(module.__dict__) for module in model.modules()]
    split(model, "blocks.0", torch.rand(CLIP))
    assert attributes == [module.__dict__ for module in model.modules()]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_a_saved_edge_half_has_only_its_own_weights_and_computes_the_same(net, residual):
    model = net(*(residual(4) for _ in range(2)), nn.Conv3d(4, 4, 9, padding=4)).eval()
    half = split(model, "blocks.0", torch.rand(CLIP)).edge_half("blocks.0")
    file = io.BytesIO()
    torch.save(half, file)
    assert file.tell() < 0.5 * 4 * sum(each.numel() for each in model.parameters())
    file.seek(0)
    clip = torch.rand(1, 3, 5, 8, 8)
    assert torch.equal(torch.load(file, weights_only=False)(clip).grid, half(clip).grid)


def test_a_saved_half_for_tokens_still_reads_their_size_off_the_clip(token_model):
    backbone = split(token_model(0), "norm", torch.rand(CLIP))
    file = io.BytesIO()
    torch.save(backbone.edge_half("norm"), file)
    file.seek(0)
    assert torch.load(file, weights_only=False)(torch.rand(1, 3, 6, 24, 8)).grid.shape == (1, 8, 3, 6, 2)


def test_an_edge_half_can_be_exported(net, residual):
    half = split(net(residual(4)).eval(), "blocks.0", torch.rand(CLIP)).edge_half("blocks.0")
    clip = torch.rand(CLIP)
    assert torch.equal(torch.export.export(half, (clip,)).module()(clip).grid, half(clip).grid)


def test_a_copy_of_a_split_model_has_weights_of_its_own(net, residual, assert_same):
    model = net(residual(4)).eval()
    copied = copy.deepcopy(split(model, "stem", torch.rand(CLIP)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert_same(copied, torch.rand(CLIP))
    assert copied.edge_half("stem")(torch.rand(CLIP)).grid.abs().sum() > 0


def test_gradients_flow_through_the_server_half_and_its_input_stays_as_it_was(net, residual):
    backbone = split(net(nn.BatchNorm3d(4), nn.ReLU(inplace=True)).eval(), "blocks.0", torch.rand(CLIP))
    feature = backbone.edge_half("blocks.0")(torch.rand(CLIP))
    grid = feature.grid.detach().requires_grad_()
    before = grid.detach().clone()
    backbone.server_half("blocks.0")(feature._replace(grid=grid)).sum().backward()
    assert grid.grad is not None
    assert grid.grad.abs().sum() > 0
    assert torch.equal(grid.detach(), before)


def test_tied_weights_stay_tied(function, assert_same):
    layer = nn.Conv3d(3, 3, 1)
    head = nn.Linear(3, 2)
    model = function(
        lambda self, clip: self.head(self.second(self.first(clip) * self.scale.weight.sum()).mean((2, 3, 4))),
        first=nn.Sequential(layer),
        second=nn.Sequential(nn.ReLU(), layer),
        scale=nn.Linear(1, 1),
        head=head,
    )
    backbone = split(model, "first", torch.rand(CLIP))
    assert_same(backbone, torch.rand(CLIP))
    assert next(backbone.edge_half("first").parameters()) is layer.weight


def test_an_offload_point_may_have_a_name_of_its_own():
    model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    backbone = split(model, {"B1": "0"}, torch.rand(CLIP))
    assert backbone.offload_points == ("B1",)
    with pytest.raises(ValueError, match=r"found 'a-b': give it such a name, as in at={'P1': 'a-b'}"):
        split(model, "a-b", torch.rand(CLIP))
    with pytest.raises(ValueError, match="SplitModel has the offload points B1, found 'B2'"):
        backbone.edge_half("B2")


def test_an_image_model_takes_clips_of_one_frame(function, assert_same):
    image = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = function(lambda self, images: self.head(self.image(images)), image=image, head=nn.Linear(6, 5))
    backbone = split(model, ["image.0", "image"], torch.rand(2, 3, 16, 12))
    assert backbone.clip_shape == (3, 1, 16, 12)
    assert backbone.feature_shape("image.0") == (6, 1, 7, 5)
    assert backbone.feature_shape("image") == (6, 1, 1, 1)
    images = torch.rand(3, 3, 20, 20)
    assert_same(backbone, images)
    edge, server = backbone.edge_half("image"), backbone.server_half("image")
    assert torch.equal(server(edge(images.unsqueeze(2))), backbone(images.unsqueeze(2)))
    with pytest.raises(
        ValueError, match=r"takes clips of one frame, found a batch of shape \(1, 3, 2, 16, 16\)"
    ):
        backbone(torch.rand(1, 3, 2, 16, 16))


def test_shapes_are_enough_on_the_meta_device(net, residual):
    with torch.device("meta"):
        model = net(residual(4)).eval()
    backbone = split(model, "blocks.0", torch.empty(CLIP, device="meta"))
    assert backbone.feature_shape("blocks.0", (3, 32, 224, 224)) == (4, 32, 112, 112)
