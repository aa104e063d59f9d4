"""The published sizes, on the meta device: shapes and counts without weights."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones.vlm.llava_onevision import llava_onevision
from approxbit.backbones.vlm.video_llava import video_llava
from approxbit.configuration import Configuration


@pytest.fixture(scope="module")
def video_llava_7b():
    with torch.device("meta"):
        return video_llava()


@pytest.fixture(scope="module")
def llava_onevision_05b():
    with torch.device("meta"):
        return llava_onevision()


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_video_llava_has_the_published_sizes(video_llava_7b):
    assert video_llava_7b.clip_shape == (3, 8, 224, 224)
    assert video_llava_7b.offload_points == tuple(f"L{number}" for number in range(1, 24))
    assert video_llava_7b.num_visual_tokens() == 2056 == video_llava_7b.model.config.video_seq_length
    assert num_parameters(video_llava_7b.model.model.video_tower) == 303_179_776
    assert num_parameters(video_llava_7b) == 7_366_279_168


def test_llava_onevision_has_the_published_sizes(llava_onevision_05b):
    assert llava_onevision_05b.clip_shape == (3, 32, 384, 384)
    assert llava_onevision_05b.offload_points == tuple(f"L{number}" for number in range(1, 27))
    assert llava_onevision_05b.num_visual_tokens() == 6273
    assert num_parameters(llava_onevision_05b.model.model.vision_tower) == 397_747_744
    assert num_parameters(llava_onevision_05b) == 893_675_552


def test_the_edge_part_of_video_llava_has_101_6_million_parameters(video_llava_7b):
    assert num_parameters(video_llava_7b.edge_half("L8")) == 101_638_144


def test_the_edge_part_of_llava_onevision_has_123_4_million_parameters(llava_onevision_05b):
    assert num_parameters(llava_onevision_05b.edge_half("L8")) == 123_434_368


@pytest.mark.parametrize(
    ("model", "grid", "num_tokens", "visual"),
    [
        ("video_llava_7b", (1024, 8, 16, 16), 8, (2056, 4096)),
        ("llava_onevision_05b", (1152, 32, 27, 27), 0, (6273, 896)),
    ],
)
def test_features_have_the_shapes_of_the_paper(request, model, grid, num_tokens, visual):
    backbone = request.getfixturevalue(model)
    for point in ("L1", "L8", backbone.offload_points[-1]):
        assert backbone.feature_shape(point) == grid
        assert backbone.num_tokens(point) == num_tokens
    feature = backbone.edge_half("L8")(torch.empty(1, *backbone.clip_shape, device="meta"))
    assert feature.grid.shape == (1, *grid)
    assert feature.tokens.shape == (1, num_tokens, grid[0])
    assert backbone.server_half("L8")(feature).shape == (1, *visual)


@pytest.mark.parametrize(
    ("model", "configuration", "payload_bytes"),
    [
        ("video_llava_7b", "128-Enc-L8", 4096),
        ("video_llava_7b", "128-NoEnc-L8", 32768),
        ("video_llava_7b", "256-Enc-L8", 8192),
        ("video_llava_7b", "256-NoEnc-L8", 65536),
        ("llava_onevision_05b", "128-Enc-L8", 50176),
        ("llava_onevision_05b", "128-NoEnc-L8", 373248),
        ("llava_onevision_05b", "256-Enc-L8", 100352),
        ("llava_onevision_05b", "256-NoEnc-L8", 746496),
    ],
)
def test_payloads_are_those_of_the_paper(request, model, configuration, payload_bytes):
    shape = request.getfixturevalue(model).feature_shape("L8")
    assert Configuration.parse(configuration).payload_bytes(shape) == payload_bytes


@pytest.mark.parametrize(("configuration", "payload_bytes"), [("128-Enc-L8", 4224), ("128-NoEnc-L8", 32896)])
def test_the_class_tokens_of_video_llava_add_128_bytes(video_llava_7b, configuration, payload_bytes):
    shape, num_tokens = video_llava_7b.feature_shape("L8"), video_llava_7b.num_tokens("L8")
    assert Configuration.parse(configuration).payload_bytes(shape, num_tokens) == payload_bytes


def test_the_means_are_those_of_the_towers(video_llava_7b, llava_onevision_05b):
    assert video_llava_7b.mean == pytest.approx((0.4815, 0.4578, 0.4082), abs=1e-4)
    assert video_llava_7b.std == pytest.approx((0.2686, 0.2613, 0.2758), abs=1e-4)
    assert llava_onevision_05b.mean == llava_onevision_05b.std == (0.5, 0.5, 0.5)
