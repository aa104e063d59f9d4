"""Time and space are where a layout says: real transformers with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from approxbit.backbones.splitting import TokenLayout, UnknownLayoutError, split

transformers = pytest.importorskip("transformers")

CLIP = (2, 3, 8, 32, 32)
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "num_frames": 8,
    "num_labels": 5,
}


class FramesFirst(nn.Module):
    """Clips as transformers takes them, [batch, time, channel, height, width]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(clip.transpose(1, 2)).logits
        return logits


def timesformer() -> nn.Module:
    config = transformers.TimesformerConfig(patch_size=8, **SIZES)
    return FramesFirst(transformers.TimesformerForVideoClassification(config)).eval()


def videomae() -> nn.Module:
    config = transformers.VideoMAEConfig(patch_size=8, tubelet_size=2, **SIZES)
    return FramesFirst(transformers.VideoMAEForVideoClassification(config)).eval()


def vivit() -> nn.Module:
    config = transformers.VivitConfig(tubelet_size=[2, 8, 8], **SIZES)
    return FramesFirst(transformers.VivitForVideoClassification(config)).eval()


KNOWN = [
    (timesformer, "model.timesformer.encoder.layer.", TokenLayout((8, 4, 4), 1, order="HWT"), "THW"),
    (videomae, "model.videomae.encoder.layer.", TokenLayout((4, 4, 4)), "HWT"),
    (vivit, "model.vivit.layers.", TokenLayout((4, 4, 4), 1), "HWT"),
]


@pytest.mark.parametrize("scale", [1, 20])  # large weights mix the positions more
@pytest.mark.parametrize(("make", "layers", "layout", "other"), KNOWN)
def test_the_order_of_tokens_is_told_from_where_a_change_shows(
    make: Callable[[], nn.Module],
    layers: str,
    layout: TokenLayout,
    other: str,
    scale: float,
    assert_same: Any,
) -> None:
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for weight in (each for each in model.parameters() if each.ndim > 1):
            weight.mul_(scale)
    at = [f"{layers}0", f"{layers}1"]
    assert_same(split(model, at, torch.rand(CLIP), layout), torch.rand(CLIP))
    wrong = TokenLayout(layout.size, layout.num_class_tokens, order=other)
    with pytest.raises(ValueError, match=rf"time and space are not where .*; order='{layout.order}' fits"):
        split(model, at[1], torch.rand(CLIP), wrong)


def test_a_grid_with_other_sides_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"layer\.0': time and space are not where TokenLayout\(size=\(4, 2, 8\)"
    ):
        split(videomae(), "model.videomae.encoder.layer.0", torch.rand(CLIP), TokenLayout((4, 2, 8)))


def test_tokens_made_of_single_frames_are_told_with_both_orders() -> None:
    with pytest.raises(
        UnknownLayoutError,
        match=r"TokenLayout\(\(8, 4, 4\), num_class_tokens=1, order='HWT'\), or the same with order='THW'; "
        r"say how it is arranged \(from approxbit import GridLayout, TokenLayout\)",
    ):
        split(timesformer(), "model.timesformer.encoder.layer.1", torch.rand(CLIP))


def test_patch_by_patch_through_time_means_what_it_says() -> None:
    value = torch.arange(13.0).view(1, 13, 1)
    layout = TokenLayout((2, 3, 2), num_class_tokens=1, order="HWT")
    feature = layout.to_feature(value, 1)
    assert feature.grid[0, 0, 0].tolist() == [[1, 3], [5, 7], [9, 11]]
    assert feature.grid[0, 0, 1].tolist() == [[2, 4], [6, 8], [10, 12]]
    assert torch.equal(layout.to_tensor(feature), value)


def test_an_order_is_one_of_the_three_axes() -> None:
    with pytest.raises(ValueError, match="one of T, H and W, such as 'HWT', found 'THWC'"):
        TokenLayout((1, 2, 3), order="THWC")
    with pytest.raises(ValueError, match="frames in the batch axis an order begins with T, found 'HWT'"):
        TokenLayout((1, 2, 3), has_frames_in_batch=True, order="HWT")
