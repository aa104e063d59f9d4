"""Tiny models with the features of their families, and weights of which each counts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import MoViNet
from approxbit.backbones.movinet_stream import MoViNetStream
from approxbit.backbones.movinet_table import Architecture as MoViNetArchitecture
from approxbit.backbones.movinet_table import block
from approxbit.backbones.mvitv2 import MViTv2
from approxbit.backbones.mvitv2_table import Architecture as MViTv2Architecture
from approxbit.backbones.mvitv2_table import blocks

NUM_CLASSES = 5
MVIT = MViTv2Architecture(
    clip_shape=(3, 4, 16, 16),
    blocks=blocks(8, (1, 8, 1, (1, 2, 2)), (1, 16, 2, (1, 1, 1))),
    dropout=0.0,
    stochastic_depth=0.0,
)
# Every rule of the family in a few thousand parameters: kernels without time, of 3 and of 5 frames, and a
# block (b3) whose skip changes channels without a stride.
MOVINET = MoViNetArchitecture(
    clip_shape=(3, 5, 27, 22),
    stem_channels=4,
    blocks=(
        block(4, 2, "8:1x5x5"),
        block(6, 2, "12:3x3x3 8:3x3x3"),
        block(8, 2, "16:5x3x3"),
        block(10, 1, "16:5x3x3 8:1x5x5"),
        block(12, 2, "24:3x3x3"),
    ),
    head_channels=16,
    hidden_channels=24,
)


def mvit(seed: int = 0, num_classes: int = NUM_CLASSES, clip_shape=None) -> MViTv2:
    return lively(MViTv2(MVIT, num_classes, clip_shape), seed)


def movinet(seed: int = 0, num_classes: int = NUM_CLASSES, dropout: float = 0.2) -> MoViNet:
    return lively(MoViNet(MOVINET, num_classes, dropout=dropout), seed)


def stream(seed: int = 0, num_classes: int = NUM_CLASSES) -> MoViNetStream:
    return lively(MoViNetStream(MOVINET, num_classes), seed)


def lively(model: Backbone, seed: int) -> Backbone:
    """`model` in eval mode with all its numbers drawn anew, so that each of them counts."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            scale = 0.3 if value.ndim > 1 else 0.1
            centre = 1.0 if name.endswith(("norm.weight", "running_var", "alpha")) else 0.0
            value.copy_((centre + scale * noise).abs() if centre else scale * noise)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_models() -> SimpleNamespace:
    """The tiny models, and the architecture of the MoViNets; test files cannot import each other."""
    return SimpleNamespace(MOVINET=MOVINET, mvit=mvit, movinet=movinet, stream=stream)
