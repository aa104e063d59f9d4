"""The plain video transformer: its halves, its shapes, its slices of time."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones import VideoViT
from approxbit.backbones.video_vit import Attention

SHAPE = (3, 4, 16, 24)


@pytest.fixture(scope="module")
def model() -> VideoViT:
    torch.manual_seed(0)
    return VideoViT(SHAPE, width=16, num_layers=4, num_local=2, num_heads=2).eval()


@torch.no_grad()
def test_the_halves_together_are_the_whole_bit_for_bit(model: VideoViT) -> None:
    clip = torch.randn(2, *SHAPE)
    assert model.offload_points == ("L1", "L2", "L3")
    for point in model.offload_points:
        feature = model.edge_half(point)(clip)
        assert feature.grid.shape == (2, *model.feature_shape(point)) == (2, 16, 2, 2, 3)
        assert feature.tokens.shape == (2, model.num_tokens(point), 16) == (2, 0, 16)
        assert torch.equal(model.server_half(point)(feature), model(clip)), point


@torch.no_grad()
def test_tokens_are_in_order_of_time_row_and_column(model: VideoViT) -> None:
    clip = torch.zeros(1, *SHAPE)
    seen = model.embedding(clip)
    clip[:, :, 2:, 8:, 16:] = 1.0  # the last patch alone, but for the border that convolutions share
    changed = (model.embedding(clip) - seen).abs().amax(dim=-1)[0]
    assert model.num_visual_tokens() == changed.numel() == 12
    assert changed.argmax() == 11
    assert not changed[:6].any()  # no patch of the first slice of time


@torch.no_grad()
def test_local_layers_keep_slices_of_time_apart(model: VideoViT) -> None:
    clip = torch.randn(1, *SHAPE)
    other = clip.clone()
    other[:, :, 2:] += 1.0
    both = [model.edge_half("L2")(each).grid for each in (clip, other)]
    assert torch.equal(both[0][:, :, 0], both[1][:, :, 0])
    assert not torch.allclose(both[0][:, :, 1], both[1][:, :, 1])
    later = [model.edge_half("L3")(each).grid for each in (clip, other)]
    assert not torch.allclose(later[0][:, :, 0], later[1][:, :, 0])


@torch.no_grad()
def test_where_all_layers_are_local_a_part_is_seen_as_in_its_clip() -> None:
    torch.manual_seed(0)
    local = VideoViT(SHAPE, width=16, num_layers=2, num_local=2, num_heads=2).eval()
    clip = torch.randn(2, *SHAPE)
    part = local.look_at(clip[:, :, 2:4], first_slice=1)
    torch.testing.assert_close(part, local(clip)[:, 6:])
    assert not torch.allclose(part, local.look_at(clip[:, :, 2:4]))


def test_what_does_not_fit_is_refused(model: VideoViT) -> None:
    with pytest.raises(ValueError, match=r"whole patches of \(2, 8, 8\), found \(3, 5, 16, 16\)"):
        VideoViT((3, 5, 16, 16))
    with pytest.raises(ValueError, match=r"width of whole heads.*found width 20, 3 heads"):
        VideoViT(SHAPE, width=20, num_heads=3)
    with pytest.raises(ValueError, match="5 local layers of 4"):
        VideoViT(SHAPE, width=16, num_layers=4, num_local=5)
    with pytest.raises(ValueError, match=r"expected clips of \(3, 4, 16, 24\), found \(3, 6, 16, 24\)"):
        model(torch.rand(1, 3, 6, 16, 24))
    with pytest.raises(ValueError, match="L1, L2, L3, found 'L4'"):
        model.edge_half("L4")


@torch.no_grad()
def test_layers_that_are_silent_change_nothing() -> None:
    torch.manual_seed(0)
    model = VideoViT((3, 2, 16, 16), width=16, num_layers=3, num_local=1, num_heads=2).eval()
    clip = torch.randn(2, 3, 2, 16, 16)
    before = model.norm(model.layers[0](model.embedding(clip)))
    assert not torch.equal(model(clip), before)
    model.silence_layers(1)
    assert torch.equal(model(clip), before)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_bfloat16_is_that_of_the_fused_operator(masked: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(32, 2)
    tokens = torch.randn(2, 7, 32)
    mask = torch.ones(7, 7, dtype=torch.bool).tril() if masked else None
    expected = attention(tokens, mask=mask)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(tokens, mask=mask)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.02)
