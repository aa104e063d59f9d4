"""A model that a user brings, with a codec in the cut."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.video import r2plus1d_18

from approxbit.backbones.splitting import SplitModel, TokenLayout, split
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.wire import CodeFormat, Packet

CLIP = (2, 3, 4, 32, 32)


@pytest.fixture(scope="module")
def backbone() -> SplitModel:
    torch.manual_seed(0)
    return split(r2plus1d_18(num_classes=7).eval(), at="layer3.0", example=torch.rand(CLIP))


def codec_for(backbone: SplitModel, text: str) -> Codec:
    configuration = Configuration.parse(text)
    point = configuration.offload_point
    return Codec(backbone.feature_shape(point), configuration, backbone.num_tokens(point))


def test_an_offloaded_model_runs(backbone):
    model = OffloadedModel(backbone, codec_for(backbone, "16-Enc-layer3.0"))
    clip = torch.rand(3, 3, 5, 40, 32)
    with torch.no_grad():
        logits = model(clip)
        code = model.encode(clip)
    assert logits.shape == (3, 7)
    assert code.grid.shape == (3, 16, 1, 3, 2)
    assert model.server_half(model.edge_half(clip)).equal(backbone(clip))


def test_a_codec_learns_one_step_through_the_split(backbone):
    model = OffloadedModel(backbone, codec_for(backbone, "8-NoEnc-layer3.0")).train()
    frozen = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.Adam(model.codec.parameters(), lr=1e-3)
    clip, labels = torch.rand(CLIP), torch.tensor([1, 4])
    with torch.no_grad():
        feature = model.edge_half(clip)
    losses = []
    for _ in range(2):
        output = model.codec(feature)
        loss = F.cross_entropy(model.server_half(output.feature), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        assert all(each.grad is not None for each in model.codec.compressor.parameters())
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(torch.equal(value, frozen[name]) for name, value in backbone.state_dict().items())


def test_tokens_of_a_user_go_through_a_codec_with_their_class_token():
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv3d(3, 32, (2, 8, 8), stride=(2, 8, 8))
            self.first = nn.Parameter(torch.zeros(1, 1, 32))
            self.norm = nn.LayerNorm(32)
            self.head = nn.Linear(32, 3)

        def forward(self, clip):
            tokens = self.patch(clip).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.first.expand(tokens.shape[0], -1, -1), tokens], dim=1)
            return self.head(self.norm(tokens).mean(1))

    backbone = split(Tiny().eval(), {"B1": "norm"}, torch.rand(CLIP))
    assert backbone.layout("B1") == TokenLayout((2, 4, 4), num_class_tokens=1)
    model = OffloadedModel(backbone, codec_for(backbone, "16-NoEnc-B1"))
    assert model(torch.rand(CLIP)).shape == (2, 3)


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._blocks = nn.Sequential(nn.Conv3d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv3d(32, 32, 1))
        self.head = nn.Linear(32, 4)

    def forward(self, clip):
        return self.head(self._blocks(clip).mean((2, 3, 4)))


@pytest.mark.parametrize(
    ("model", "point"),
    [
        (nn.Sequential(nn.Conv3d(3, 32, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, 4)), "0"),
        (Blocks(), "_blocks.0"),
    ],
)
def test_names_of_modules_may_begin_with_a_digit_or_an_underscore(model, point):
    backbone = split(model.eval(), at=point, example=torch.rand(CLIP))
    offloaded = OffloadedModel(backbone, codec_for(backbone, f"8-Enc-{point}"))
    code = offloaded.encode(torch.rand(CLIP))
    code_format = CodeFormat(offloaded.codec.configuration, offloaded.codec.feature_shape.size)
    packet = code_format.packet(code.to_planes()[0].numpy())
    assert Packet.from_bytes(packet.to_bytes()).configuration == Configuration.parse(f"8-Enc-{point}")
    assert offloaded.answer(code).shape == (2, 4)
