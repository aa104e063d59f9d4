"""Small models of every kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn


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


@pytest.fixture
def residual() -> type[Residual]:
    return Residual


@pytest.fixture
def net() -> type[Net]:
    return Net
