"""Vision towers of transformers with attention written out."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from approxbit.backbones.vlm.tower import FrameLayer
from approxbit.exporting.views import EdgeView, ServerView, view_of
from approxbit.exporting.views.vision_tower import FrameLayerView, view_of_layer

pytest.importorskip("transformers")


@pytest.mark.parametrize("name", ["video_llava", "llava_onevision"])
@torch.inference_mode()
def test_the_views_agree_with_the_halves(name: str, small: ModuleType) -> None:
    backbone = small.make_vlm(name)
    model = small.make_model(backbone, "5-Enc-L2")
    clips = small.make_clips(backbone)
    feature = model.edge_half(clips)
    found = view_of(model.edge_half, backbone.clip_shape)(clips)
    torch.testing.assert_close(found.grid, feature.grid, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.tokens, feature.tokens, rtol=0, atol=1e-4)
    packed = EdgeView(model)(clips)
    expected = model.answer(model.codec.encode(feature))
    torch.testing.assert_close(ServerView(model)(packed), expected, rtol=0, atol=1e-4)


def test_a_layer_of_another_kind_stands_for_itself() -> None:
    for layer in (FrameLayer(nn.Identity()), nn.Identity()):
        assert view_of_layer(layer, 2, 4) is layer


def test_no_layer_of_transformers_is_left(small: ModuleType) -> None:
    backbone = small.make_vlm("llava_onevision")
    layers = view_of(backbone.edge_half("L2"), backbone.clip_shape).layers
    assert [type(layer) for layer in layers] == [FrameLayerView, FrameLayerView]
