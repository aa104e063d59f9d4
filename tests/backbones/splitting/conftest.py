"""Small models of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from approxbit.backbones.splitting import SplitModel


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Residual(nn.Module):
    """A block with a skip connection, in-place activations and squeeze-and-excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Conv3d(channels, channels, 1), nn.Sigmoid())
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.conv2(self.relu(self.norm(self.conv1(x))))
        out = out * self.gate(out)
        out += x
        return self.relu(out)


class Net(nn.Module):
    """Convolutions, then a linear head."""

    def __init__(self, *layers: nn.Module, channels: int = 4, num_classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, channels, 3, stride=(1, 2, 2), padding=1)
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, clip):
        return self.fc(self.blocks(self.stem(clip)).mean((2, 3, 4)))


class Function(nn.Module):
    """A model made of parts and a function of them."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self._function = forward
        for name, part in parts.items():
            self.add_module(name, part)
        self.eval()

    def forward(self, clip):
        return self._function(self, clip)


@torch.no_grad()
def halves_agree(backbone: SplitModel, clip: torch.Tensor) -> None:
    for point in backbone.offload_points:
        feature = backbone.edge_half(point)(clip)
        assert torch.equal(backbone.server_half(point)(feature), backbone.model(clip))
        shape = tuple(clip.shape[1:]) if clip.dim() == 5 else (3, 1, *clip.shape[2:])
        assert tuple(feature.grid.shape[1:]) == backbone.feature_shape(point, shape)
        assert feature.grid.shape[0] == clip.shape[0]
        assert feature.tokens.shape[1] == backbone.num_tokens(point)


def make_token_model(num_class_tokens: int) -> nn.Module:
    def forward(self, clip):
        tokens = self.patch(clip).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.weight[None].expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.head(self.block(self.norm(tokens)).mean(1))

    return Function(
        forward,
        patch=nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4)),
        extra=nn.Embedding(num_class_tokens, 8),
        norm=nn.LayerNorm(8),
        block=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
        ),
        head=nn.Linear(8, 3),
    )


@pytest.fixture
def residual() -> type[Residual]:
    return Residual


@pytest.fixture
def net() -> type[Net]:
    return Net


@pytest.fixture
def function() -> type[Function]:
    return Function


@pytest.fixture
def assert_same() -> Callable[[SplitModel, torch.Tensor], None]:
    """Asserts that the halves answer as the whole does, with features as they were promised."""
    return halves_agree


@pytest.fixture
def token_model() -> Callable[[int], nn.Module]:
    """Builds a transformer with so many class tokens."""
    return make_token_model
