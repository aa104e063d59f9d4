from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from approxbit.backbones import MViTv2, movinet, mvitv2_tiny
from approxbit.backbones.feature import FeatureShape
from approxbit.backbones.mvitv2_table import ARCHITECTURES
from approxbit.backbones.splitting import (
    OffloadPoint,
    TokenLayout,
    choose_offload_points,
    offload_points,
    split,
)


def point(name: str, share: float, channels: int = 1) -> OffloadPoint:
    return OffloadPoint(name, FeatureShape(channels, 1, 1, 1), 0, 0, share)


def test_operations_are_two_for_each_multiply_add():
    model = nn.Sequential(
        nn.Conv3d(3, 4, 1, bias=False),  # 3 * 4 multiply-adds at each of 2 * 4 * 4 positions
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4, 8),
    ).eval()
    points = offload_points(model, torch.rand(2, 3, 2, 4, 4))
    assert [each.name for each in points] == ["0", "1", "2", "3"]
    assert [each.edge_flops for each in points] == [2 * 12 * 32] * 4
    assert points[0].edge_flops_share == 12 * 32 / (12 * 32 + 32)
    assert points[0].feature_shape == (4, 2, 4, 4)
    assert [each.feature_bytes for each in points] == [4 * 4 * 32, 4 * 4 * 32, 16, 16]


class Attention(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.patch = nn.Conv3d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if fused else nn.Linear(8, 24)
        self.fused = fused
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 2)

    def forward(self, clip):
        x = self.patch(clip).flatten(2).transpose(1, 2)
        if self.fused:
            x = self.attention(x, x, x, need_weights=False)[0]
        else:
            x = F.scaled_dot_product_attention(*self.attention(x).chunk(3, dim=-1))
        return self.head(self.norm(x).mean(1))


@pytest.mark.parametrize("fused", [True, False])
def test_the_products_inside_of_attention_count(fused):
    points = offload_points(Attention(fused).eval(), torch.rand(1, 3, 4, 16, 16))
    by_name = {each.name: each.edge_flops for each in points}
    num_tokens, width = 16, 8
    linear = (4 if fused else 3) * width * width * num_tokens
    assert by_name["norm"] - by_name["patch"] == 2 * (linear + 2 * width * num_tokens**2)


def test_a_layout_serves_where_none_can_be_inferred():
    class Registers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv3d(3, 8, 4, stride=4)
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, 2)

        def forward(self, clip):
            x = self.patch(clip).flatten(2).transpose(1, 2)
            return self.head(self.norm(torch.cat([x[:, :5], x], dim=1)).mean(1))

    model, example = Registers().eval(), torch.rand(1, 3, 4, 16, 16)
    assert [each.name for each in offload_points(model, example)] == ["patch"]
    points = offload_points(model, example, layout=TokenLayout((1, 4, 4), num_class_tokens=5))
    assert [(each.name, each.num_tokens) for each in points] == [("patch", 0), ("norm", 5)]
    assert points[1].feature_bytes == 4 * 8 * (16 + 5)


def test_an_operation_that_has_no_shape_without_values_is_counted_with_values(net):
    class Crops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 4, 1)

        def forward(self, x):
            return self.conv(x[:, :, (x.mean((0, 1, 3, 4)) > -1).nonzero()[:, 0]])

    model, example = net(Crops(), nn.ReLU()).eval(), torch.rand(1, 3, 4, 8, 8)
    names = [each.name for each in offload_points(model, example)]
    assert names == ["stem", "blocks.0", "blocks"]
    split(model, "blocks.0", example)


def test_our_own_movinet_has_the_shares_that_were_published():
    with torch.device("meta"):
        backbone = movinet("a2").eval()
    points = offload_points(backbone, torch.empty(1, 3, 50, 224, 224, device="meta"))
    assert [each.name for each in points] == list(backbone.offload_points)
    published = [0.023, 0.167, 0.369, 0.548, 0.746, 0.980]
    assert [each.edge_flops_share for each in points] == pytest.approx(published, abs=0.01)
    assert [each.feature_shape for each in points] == [
        backbone.feature_shape(name) for name in backbone.offload_points
    ]
    assert [each.name for each in choose_offload_points(points)] == ["B3", "B5"]


class TwoPoints(MViTv2):
    """Only those of the paper, for the sake of time."""

    @property
    def offload_points(self) -> tuple[str, ...]:
        return "B8", "B16"

    def check_point(self, point: str) -> int:
        return int(point[1:]) - 1


def test_our_own_mvitv2_has_the_shares_that_were_counted_for_the_reference():
    with torch.device("meta"):
        backbone = TwoPoints(ARCHITECTURES["b"], 174).eval()
    points = offload_points(backbone, torch.empty(1, 3, 32, 224, 224, device="meta"))
    assert [each.edge_flops_share for each in points] == pytest.approx([0.453, 0.721], abs=0.01)
    assert [each.feature_shape for each in points] == [(384, 16, 14, 14)] * 2
    assert points[0].num_tokens == 1
    assert points[0].feature_bytes == 4 * 384 * (16 * 14 * 14 + 1)


def test_a_backbone_counts_alike_as_any_model(net, residual):
    model, example = net(residual(4), residual(4)).eval(), torch.rand(2, 3, 4, 8, 8)
    listed = offload_points(model, example)
    names = [each.name for each in listed]
    assert names == ["stem", "blocks.0", "blocks"]
    assert offload_points(split(model, names, example), example) == listed


def test_the_point_nearest_to_each_share_is_chosen_and_of_equals_the_smaller_feature():
    points = [point("a", 0.1), point("b", 0.3, 8), point("c", 0.3, 4), point("d", 0.9)]
    assert [each.name for each in choose_offload_points(points)] == ["c", "d"]
    assert [each.name for each in choose_offload_points(points, shares=(0.0, 0.25, 1.0))] == ["a", "c", "d"]
    with pytest.raises(ValueError, match="at least one offload point to choose from, found none"):
        choose_offload_points([])


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda clip: (clip, clip), "a tuple of 2"),
        (lambda clip: clip.mean(2), r"a tensor of shape \(1, 3, 4, 4\)"),  # a segmentation
    ],
)
def test_a_model_that_split_refuses_has_no_points(answer, found, function):
    with pytest.raises(ValueError, match=rf"one tensor of logits \[batch, class\], found {found}: wrap it"):
        offload_points(function(lambda self, clip: answer(clip)), torch.rand(1, 3, 2, 4, 4))


def test_what_is_left_out_is_said_with_the_reason(function):
    def forward(self, clip):
        frames = [self.net(clip[:, :, index]).mean((2, 3)) for index in range(clip.shape[2])]
        return self.head(torch.stack(frames).mean(0))

    model = function(forward, net=nn.Sequential(nn.Conv2d(3, 8, 2), nn.ReLU()), head=nn.Linear(8, 2))
    points = offload_points(model, torch.rand(1, 3, 5, 8, 8))
    assert points == []
    reason = "it runs 5 times, perhaps once a frame, and a cut is made at a module that runs once"
    assert ("net", reason) in points.left_out
    assert repr(points).splitlines()[0] == f"left out 1, such as net: {reason}"
    with pytest.raises(ValueError, match="choose from, found none; left out 1, such as net: it runs 5"):
        choose_offload_points(points)


def test_a_point_is_shown_in_a_line():
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.Flatten(), nn.Linear(128, 2)).eval()
    points = offload_points(model, torch.rand(1, 3, 2, 4, 4))
    assert repr(points).splitlines()[0].startswith("0: feature (4, 2, 4, 4), 512 bytes, ")


def test_training_mode_is_refused_for_our_own_backbones_too():
    with pytest.raises(ValueError, match="must be in eval mode"):
        offload_points(mvitv2_tiny(), torch.rand(1, 3, 16, 64, 64))
