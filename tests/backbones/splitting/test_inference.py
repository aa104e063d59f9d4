from __future__ import annotations

import pytest
import torch
from torch import nn

from approxbit.backbones.splitting import (
    GridLayout,
    TokenLayout,
    UnknownLayoutError,
    split,
)

CLIP = (2, 3, 4, 16, 16)


@pytest.mark.parametrize("num_class_tokens", [0, 1])
def test_tokens_are_laid_out_as_the_convolution_that_made_them(num_class_tokens, assert_same, token_model):
    backbone = split(token_model(num_class_tokens), ["norm", "block.layers.0"], torch.rand(CLIP))
    assert backbone.layout("norm") == TokenLayout((2, 4, 4), num_class_tokens)
    assert backbone.num_tokens("norm") == num_class_tokens
    assert_same(backbone, torch.rand(1, 3, 6, 24, 8))


class CheckedPatches(nn.Module):
    """Refuses sizes that it was not made for, as those of VideoMAE do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4))

    def forward(self, clip):
        if clip.shape[3] != 16:
            raise ValueError("made for a height of 16")
        return self.conv(clip).flatten(2).transpose(1, 2)


def test_a_module_that_decides_by_sizes_is_looked_into_where_it_alone_knows_the_layout(function, assert_same):
    model = function(
        lambda self, clip: self.head(self.norm(self.patches(clip)).mean(1)),
        patches=CheckedPatches(),
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    backbone = split(model, "norm", torch.rand(CLIP))
    assert backbone.layout("norm") == TokenLayout((2, 4, 4))
    assert_same(backbone, torch.rand(1, 3, 6, 16, 24))


def test_tokens_that_could_be_of_two_grids_need_a_layout(function):
    model = function(
        lambda self, clip: self.head(
            self.norm(self.tall(self.wide(clip)).flatten(2).transpose(1, 2)).mean(1)
        ),
        wide=nn.Conv3d(3, 8, (2, 2, 4), stride=(2, 2, 4)),  # 2 x 8 x 4
        tall=nn.Conv3d(8, 8, (1, 3, 1), padding=(1, 0, 1), stride=(1, 2, 1)),  # 4 x 3 x 6
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    twin = function(
        lambda self, clip: self.head(
            self.norm(self.one(clip).flatten(2).mT + self.two(clip).flatten(2).mT).mean(1)
        ),
        one=nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4)),  # 2 x 4 x 4
        two=nn.Conv3d(3, 8, (4, 4, 2), stride=(4, 4, 2)),  # 1 x 4 x 8
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 2),
    )
    assert split(model, "norm", torch.rand(CLIP)).layout("norm") == TokenLayout((4, 3, 6))
    with pytest.raises(
        UnknownLayoutError, match=r"0 class tokens and a grid of \(1, 4, 8\) or 0 class tokens and"
    ):
        split(twin, "norm", torch.rand(CLIP))


def test_more_class_tokens_must_be_said(function, assert_same, token_model):
    model = token_model(3)
    with pytest.raises(
        UnknownLayoutError,
        match=r"how the 35 tokens of shape \(2, 35, 8\) are arranged is unclear, since no conv",
    ):
        split(model, "norm", torch.rand(CLIP))
    backbone = split(model, "norm", torch.rand(CLIP), layout=TokenLayout((2, 4, 4), num_class_tokens=3))
    assert_same(backbone, torch.rand(CLIP))
    counted = function(lambda self, clip: self.model(clip) * clip.shape[0], model=model)
    assert_same(
        split(counted, {"P": "model.norm"}, torch.rand(CLIP), layout=TokenLayout((2, 4, 4), 3)),
        torch.rand(CLIP),
    )
    with pytest.raises(
        ValueError, match=r"at 'norm': a layout of 1 class tokens and a grid of \(2, 4, 4\) is for"
    ):
        split(model, "norm", torch.rand(CLIP), layout=TokenLayout((2, 4, 4), num_class_tokens=1))


def test_channels_last_grids_are_told_by_which_axes_grow_with_the_clip(function, assert_same):
    def forward(self, clip):
        grid = self.patch(clip).permute(0, 2, 3, 4, 1)
        grid = self.merge(grid[:, :, ::2])
        return self.head(self.norm(grid).mean((1, 2, 3)))

    parts = {"patch": nn.Conv3d(3, 4, 2, stride=2), "merge": nn.Linear(4, 8), "norm": nn.LayerNorm(8)}
    backbone = split(function(forward, **parts, head=nn.Linear(8, 2)), ["patch", "merge"], torch.rand(CLIP))
    assert backbone.layout("patch") == GridLayout("BCTHW")
    assert backbone.layout("merge") == GridLayout("BTHWC")
    assert_same(backbone, torch.rand(1, 3, 6, 24, 8))


def test_a_grid_without_a_sign_of_its_axes_needs_a_layout(function, assert_same):
    def forward(self, clip):
        pieces = clip.reshape(clip.shape[0], 3, 2, 2, 8, 2, 8, 2).permute(0, 2, 1, 3, 5, 7, 4, 6)
        return self.head(self.mix(pieces.reshape(clip.shape[0], 2, 24, 8, 8)).flatten(1))

    model = function(forward, mix=nn.ReLU(), head=nn.Linear(2 * 24 * 8 * 8, 2))
    with pytest.raises(
        UnknownLayoutError, match=r"at 'mix': which axes of shape \(2, 2, 24, 8, 8\) are channel"
    ):
        split(model, "mix", torch.rand(CLIP))
    assert_same(split(model, "mix", torch.rand(CLIP), layout=GridLayout("BTCHW")), torch.rand(CLIP))
    with pytest.raises(ValueError, match=r"at 'mix': time and space are not where .*'BTCWH'.* cut elsewhere"):
        split(model, "mix", torch.rand(CLIP), layout=GridLayout("BTCWH"))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ((16, -1, 4), r"first axis of shape \(16, 96, 4\) counts neither the 2 clips"),
        ((2, 1, 2, 2, 2, -1), "no grid of frames"),
    ],
)
def test_a_tensor_that_is_no_feature_is_refused(lengths, message, function):
    model = function(
        lambda self, clip: self.head(self.act(clip.reshape(lengths)).reshape(2, -1)),
        act=nn.ReLU(),
        head=nn.Linear(3 * 4 * 16 * 16, 2),
    )
    with pytest.raises(UnknownLayoutError, match=message):
        split(model, "act", torch.rand(CLIP))
