from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from approxbit.backbones.splitting import (
    GridLayout,
    split,
)

CLIP = (2, 3, 4, 16, 16)


def frame_wise(self, clip):
    """A 2-D model on every frame: batch and time come back at the end."""
    batch, channels, time, height, width = clip.shape
    frames = clip.transpose(1, 2).reshape(batch * time, channels, height, width)
    return self.head(self.image(frames).mean((2, 3)).view(batch, time, -1).mean(1))


def test_frames_in_the_batch_axis_are_found_and_their_number_comes_back_on_the_server(function, assert_same):
    image = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 3))
    model = function(frame_wise, image=image, head=nn.Linear(6, 5))
    backbone = split(model, ["image.0", "image"], torch.rand(CLIP))
    assert backbone.layout("image") == GridLayout("(BT)CHW")
    assert backbone.feature_shape("image", (3, 4, 16, 16)) == (6, 4, 5, 5)
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))


def pixel_shuffle_back(self, clip):
    """Sizes of the clip itself, and what is computed of them, after the cut."""
    _, _, time, height, width = clip.size()
    feature = self.stem(clip)
    mask = torch.zeros(1, 1, time, height // 2, width // 2, device=clip.device, dtype=clip.dtype) + 1
    scale = math.sqrt(time * (height // 2) * (width // 2))
    return self.head((feature * mask).flatten(2).sum(2) / scale)


def test_sizes_that_the_model_took_before_the_cut_are_read_off_the_feature(function, assert_same):
    model = function(pixel_shuffle_back, stem=nn.Conv3d(3, 4, 1, stride=(1, 2, 2)), head=nn.Linear(4, 2))
    backbone = split(model, "stem", torch.rand(CLIP))
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))


def test_tensors_that_the_model_makes_of_nothing_are_made_again(function, assert_same):
    def forward(self, clip):
        weights = torch.tensor([1.0, 2.0, 3.0, 4.0]) / torch.arange(1, 5)
        return self.head(self.stem(clip).mean((2, 3, 4)) * weights * self.scales[1])

    model = function(forward, stem=nn.Conv3d(3, 4, 1), head=nn.Linear(4, 2))
    model.scales = [torch.rand(4), torch.rand(4)]
    backbone = split(model, "stem", torch.rand(CLIP))
    assert_same(backbone, torch.rand(3, 3, 7, 12, 20))
    assert sum(each.numel() for each in backbone.server_half("stem").parameters()) == 4 * 2 + 2


def test_a_size_that_the_feature_does_not_show_is_named(function):
    model = function(
        lambda self, clip: self.head(self.pool(clip).flatten(1)) / clip.shape[3],
        pool=nn.AdaptiveAvgPool3d(1),
        head=nn.Linear(3, 2),
    )
    with pytest.raises(
        ValueError, match=r"the shape of the clip itself is a size of the clip that the model needs"
    ):
        split(model, "pool", torch.rand(CLIP))


class Padded(nn.Module):
    """Pads clips of odd sizes, as Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 1)

    def forward(self, x):
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        return self.conv(x)


def test_a_module_that_decides_by_sizes_may_decide_otherwise_for_other_clips(net, assert_same):
    backbone = split(net(Padded(), nn.ReLU()).eval(), "blocks.0", torch.rand(CLIP))
    for width in (8, 16, 18):
        assert_same(backbone, torch.rand(1, 3, 4, 16, width))


def test_a_cut_inside_such_a_module_holds_for_clips_that_decide_alike_and_refuses_others(
    net, function, assert_same
):
    model = function(
        lambda self, clip: self.head(self.padded(clip).mean((2, 3, 4))),
        padded=PaddedBetween(),
        head=nn.Linear(4, 2),
    )
    backbone = split(model, "padded.first", torch.rand(CLIP))
    assert_same(backbone, torch.rand(1, 3, 4, 8, 8))
    with pytest.raises(ValueError, match="this decision was False for the example that it was split with"):
        backbone.server_half("padded.first")(backbone.edge_half("padded.first")(torch.rand(1, 3, 4, 8, 9)))


class PaddedBetween(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 4, 1)
        self.second = nn.Conv3d(4, 4, 1)

    def forward(self, x):
        x = self.first(x)
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        for frame in range(int(x.shape[2] > 2)):
            x = x + frame
        return self.second(x)


class Chosen(nn.Module):
    """Looks at the pixels, which no graph can hold."""

    def forward(self, x):
        return x[x > 0.5].mean() + x if bool((x > 0.5).any()) else x


def test_a_module_that_decides_by_pixels_is_kept_whole(net, assert_same):
    model = net(Chosen(), nn.Conv3d(4, 4, 1)).eval()
    backbone = split(model, "blocks.1", torch.rand(CLIP))
    for clip in (torch.rand(CLIP), -10 * torch.rand(CLIP)):
        assert_same(backbone, clip)
