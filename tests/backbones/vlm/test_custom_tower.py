"""A tower of the kind that Video-LLaVA was published with, plugged in: every layer attends over time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from approxbit.backbones.vlm.layout import TokenLayout
from approxbit.backbones.vlm.tower import VisionTower
from approxbit.backbones.vlm.video_llava import VideoLlava, video_llava

NUM_FRAMES, CHANNELS, GRID = 4, 32, (2, 2)


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(CHANNELS))
        self.patches = nn.Conv2d(3, CHANNELS, 8, stride=8)
        self.positions = nn.Parameter(torch.randn(5, CHANNELS))

    def forward(self, clip):
        batch, _, time, _, _ = clip.shape
        patches = self.patches(clip.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        class_tokens = self.class_token.expand(batch * time, 1, -1)
        return (torch.cat((class_tokens, patches), dim=1) + self.positions).unflatten(0, (batch, time))


class TemporalLayer(nn.Module):
    """Attention over the frames of each position, with an embedding of their time, then over each frame."""

    def __init__(self):
        super().__init__()
        self.times = nn.Parameter(torch.randn(NUM_FRAMES, 1, CHANNELS))
        self.temporal_norm, self.spatial_norm = nn.LayerNorm(CHANNELS), nn.LayerNorm(CHANNELS)
        self.temporal_attention = nn.MultiheadAttention(CHANNELS, 4, batch_first=True)
        self.spatial_attention = nn.MultiheadAttention(CHANNELS, 4, batch_first=True)

    def forward(self, tokens):
        batch, time, _, _ = tokens.shape
        tracks = (tokens + self.times).transpose(1, 2).flatten(0, 1)
        mixed = self.attend(self.temporal_attention, self.temporal_norm(tracks))
        tokens = tokens + mixed.unflatten(0, (batch, -1)).transpose(1, 2)
        frames = self.spatial_norm(tokens).flatten(0, 1)
        return tokens + self.attend(self.spatial_attention, frames).unflatten(0, (batch, time))

    @staticmethod
    def attend(attention, tokens):
        return attention(tokens, tokens, tokens, need_weights=False)[0]


class TemporalTower(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = Embedding()
        self.layers = nn.ModuleList(TemporalLayer() for _ in range(3))


def temporal_tower() -> VisionTower:
    module = TemporalTower()
    return VisionTower(
        module=module,
        embedding=module.embedding,
        layers=tuple(module.layers),
        layout=TokenLayout(CHANNELS, (16, 16), GRID, num_class_tokens=1, num_frames=NUM_FRAMES),
        mixes_frames=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


@pytest.fixture(scope="module")
def backbone(tiny) -> VideoLlava:
    torch.manual_seed(0)
    return video_llava(tiny.video_llava_config(), num_frames=NUM_FRAMES, tower=temporal_tower())


@torch.no_grad()
def test_it_is_split_bit_for_bit(backbone, tiny):
    clip = tiny.clips_of(backbone)
    visual = backbone(clip)
    assert backbone.clip_shape == (3, NUM_FRAMES, 16, 16)
    assert visual.shape == (2, backbone.num_visual_tokens(), 48) == (2, NUM_FRAMES * 5, 48)
    for point in backbone.offload_points:
        feature = backbone.edge_half(point)(clip)
        assert feature.grid.shape == (2, *backbone.feature_shape(point)) == (2, CHANNELS, NUM_FRAMES, *GRID)
        assert feature.tokens.shape == (2, backbone.num_tokens(point), CHANNELS)
        assert torch.equal(backbone.server_half(point)(feature), visual)


@torch.no_grad()
def test_the_language_model_answers_from_it(backbone, tiny):
    questions = tiny.questions_of(backbone)
    answer = backbone.generate(backbone(tiny.clips_of(backbone)), questions, max_new_tokens=3)
    assert answer.shape == (2, questions.shape[1] + 3)


@torch.no_grad()
def test_its_frames_see_each_other_and_it_says_so(backbone, tiny):
    assert backbone.tower.mixes_frames
    clip = tiny.clips_of(backbone)
    other = clip.clone()
    other[:, :, 3] = 0
    edge_half = backbone.edge_half("L1")
    assert (edge_half(clip).grid[:, :, 0] != edge_half(other).grid[:, :, 0]).any()


def test_clips_of_another_length_are_refused(backbone):
    with pytest.raises(ValueError, match=r"takes clips of \(time, height, width\) \(4, 16, 16\), found \(3,"):
        backbone.edge_half("L1")(torch.zeros(1, 3, 3, 16, 16))


def test_it_takes_the_place_of_the_models_own_tower(backbone):
    names = set(dict(backbone.named_parameters()))
    assert "model.model.video_tower.layers.0.times" in names
    assert not any(".video_tower.encoder." in name for name in names)
    assert not backbone.tower.module.training
