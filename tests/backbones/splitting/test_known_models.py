"""The models that people bring: torchvision's and pytorchvideo's, at sizes that one core can run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torchvision.models import video
from torchvision.models.video.mvit import MSBlockConfig, MViT

from approxbit.backbones.splitting import GridLayout, NotCleanError, TokenLayout, offload_points, split

CONVOLUTION = GridLayout("BCTHW")


class Known(NamedTuple):
    build: Callable[[], nn.Module]
    clip: tuple[int, ...]
    at: dict[str, Any]
    not_clean: str
    other_clip: tuple[int, ...]


def s3d() -> nn.Module:
    """With a pool that takes clips smaller than 224x224."""
    model = video.s3d()
    model.avgpool = nn.AdaptiveAvgPool3d(1)
    return model


def import_pytorchvideo(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks fvcore, which asks torch.jit
        return pytest.importorskip(f"pytorchvideo.models.{name}")


def x3d() -> nn.Module:
    return import_pytorchvideo("x3d").create_x3d(input_clip_length=4, input_crop_size=64, depth_factor=1.0)


def mvit(version: int) -> Callable[[], nn.Module]:
    """Three blocks as torchvision's `mvit_v1_b` and `mvit_v2_s` have them, for clips smaller than 224x224."""
    blocks = [
        MSBlockConfig(1, 96, 192, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 4, 4]),
        MSBlockConfig(2, 192, 192, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
        MSBlockConfig(2, 192, 192, [3, 3, 3] if version == 2 else [], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
    ]
    if version == 1:
        return lambda: MViT(
            (64, 64),
            4,
            blocks,
            residual_pool=False,
            residual_with_cls_embed=True,
            rel_pos_embed=False,
            proj_after_attn=False,
        )
    return lambda: MViT(
        (64, 64),
        4,
        blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
    )


RESNET = {"stem": CONVOLUTION, "layer1.0": CONVOLUTION, "layer3": CONVOLUTION}
KNOWN = {
    "r2plus1d_18": Known(video.r2plus1d_18, (1, 3, 4, 32, 32), RESNET, "layer3.1.conv1", (2, 3, 5, 24, 20)),
    "r3d_18": Known(video.r3d_18, (1, 3, 4, 32, 32), RESNET, "layer2.0.downsample", (2, 3, 5, 24, 20)),
    "mc3_18": Known(video.mc3_18, (1, 3, 4, 32, 32), RESNET, "layer4.0.conv2.1", (2, 3, 5, 24, 20)),
    "s3d": Known(
        s3d,
        (1, 3, 8, 32, 32),
        {"features.2.0": CONVOLUTION, "features.6": CONVOLUTION},
        "features.5.branch1",
        (2, 3, 9, 40, 32),
    ),
    "swin3d_t": Known(
        video.swin3d_t,
        (1, 3, 4, 32, 32),
        {"features.0.0": GridLayout("BTHWC"), "features.4.2": GridLayout("BTHWC")},
        "features.2.1.attn",
        (2, 3, 3, 40, 28),
    ),
    "mvit v1": Known(
        mvit(1),
        (1, 3, 4, 64, 64),
        {"pos_encoding": TokenLayout((2, 16, 16), 1), "blocks.1": TokenLayout((2, 8, 8), 1)},
        "blocks.2.mlp",
        (2, 3, 4, 64, 64),
    ),
    "mvit v2": Known(
        mvit(2),
        (1, 3, 4, 64, 64),
        {"blocks.0": TokenLayout((2, 16, 16), 1), "blocks.1": TokenLayout((2, 8, 8), 1)},
        "blocks.1.attn",
        (2, 3, 4, 64, 64),
    ),
    "x3d": Known(
        x3d,
        (1, 3, 4, 64, 64),
        {"blocks.0": CONVOLUTION, "blocks.3.res_blocks.1": CONVOLUTION},
        "blocks.3.res_blocks.1.branch2.conv_a",
        (2, 3, 4, 64, 64),
    ),
}


@pytest.mark.parametrize("name", sorted(KNOWN))
@torch.no_grad()
def test_a_known_model_splits_bit_for_bit(name):
    known = KNOWN[name]
    model = known.build().eval()
    points = {f"P{number}": module for number, module in enumerate(known.at)}
    backbone = split(model, points, torch.rand(known.clip))
    assert {points[point]: backbone.layout(point) for point in backbone.offload_points} == known.at
    clip = torch.rand(known.other_clip)
    answer = model(clip)
    for point in backbone.offload_points:
        assert torch.equal(backbone.server_half(point)(backbone.edge_half(point)(clip)), answer)


@pytest.mark.parametrize("name", ["r2plus1d_18", "swin3d_t", "mvit v2", "x3d"])
def test_a_known_model_lists_its_clean_cuts_and_no_others(name):
    known = KNOWN[name]
    with torch.device("meta"):
        model = known.build().eval()
    points = {point.name: point for point in offload_points(model, torch.empty(known.clip, device="meta"))}
    assert set(known.at) <= set(points)
    assert known.not_clean not in points
    shares = [point.edge_flops_share for point in points.values()]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert shares[-1] <= 1
    with pytest.raises(NotCleanError, match="is not clean: a skip connection or a second pathway crosses it"):
        split(model, {"P": known.not_clean}, torch.empty(known.clip, device="meta"))


def test_the_published_mvitv2_splits_at_its_full_size():
    with torch.device("meta"):
        model = video.mvit_v2_s().eval()
    backbone = split(model, {"B10": "blocks.9"}, torch.empty(1, 3, 16, 224, 224, device="meta"))
    assert backbone.layout("B10") == TokenLayout((8, 14, 14), num_class_tokens=1)
    assert backbone.feature_shape("B10") == (384, 8, 14, 14)


class OneClip(nn.Module):
    """SlowFast on one clip, of which the slow pathway sees every fourth frame."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.model([clip[:, :, ::4], clip])


@pytest.fixture(scope="module")
def slowfast() -> nn.Module:
    create = import_pytorchvideo("slowfast").create_slowfast
    with torch.device("meta"):
        return create(head_pool_kernel_sizes=((2, 2, 2), (8, 2, 2)), model_depth=50).eval()


def test_the_two_inputs_of_slowfast_are_refused(slowfast):
    pathways = [torch.empty(1, 3, 2, 64, 64), torch.empty(1, 3, 8, 64, 64)]
    with pytest.raises(ValueError, match=r"found a list of 2; .* \(such as the two pathways of SlowFast\)"):
        split(slowfast, "blocks.1", pathways)
    with pytest.raises(ValueError, match="found a list of 2"):
        offload_points(slowfast, pathways)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("model.blocks.1", "'model.blocks.1' returns 2 tensors, and exactly one can cross a cut"),
        (
            "model.blocks.1.multipathway_blocks.0",
            "a skip connection or a second pathway crosses it: the output",
        ),
    ],
)
def test_the_two_pathways_of_slowfast_are_refused(slowfast, at, message):
    with pytest.raises(NotCleanError, match=message):
        split(OneClip(slowfast).eval(), at, torch.empty(1, 3, 8, 64, 64, device="meta"))
