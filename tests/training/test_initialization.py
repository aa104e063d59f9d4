"""What a codec starts from."""

import pytest
import torch

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.training.initialization import start_from_components

SHAPE = FeatureShape(8, 4, 6, 6)


def make_features():
    """Features of 8 channels with 3 directions in which nearly all the variance lies."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    weights = torch.tensor([4.0, 2.0, 1.0, 0.05, 0.05, 0.05, 0.05, 0.05])
    sources = torch.randn(5, 8, 4 * 6 * 6, generator=generator) * weights[:, None]
    grid = (directions @ sources).unflatten(-1, (4, 6, 6)) + 3.0
    return Feature(grid, torch.zeros(5, 0, 8))


@pytest.fixture
def codec():
    torch.manual_seed(0)
    return Codec(SHAPE, Configuration.parse("3-NoEnc-B5")).eval()


def test_bits_are_the_sides_of_the_components(codec):
    feature = make_features()
    start_from_components(codec, [feature])
    logits = codec.compute_logits(feature).grid.transpose(0, 1).flatten(1)
    assert torch.allclose(logits.mean(dim=1), torch.zeros(3), atol=1e-4)
    assert torch.allclose(torch.cov(logits), torch.eye(3), atol=1e-4)


def test_the_codebook_gives_back_more_with_every_bit(codec):
    feature = make_features()
    start_from_components(codec, [feature])
    code = codec.encode(feature)
    errors = [(feature.grid - feature.grid.mean()).square().mean().item()]
    for count in (1, 2, 3):
        first = code.grid[:, :count].float()
        grid = torch.cat([first, torch.full_like(code.grid[:, count:], 0.5, dtype=torch.float)], dim=1)
        found = codec.codebook(type(code)(grid, code.tokens)).grid
        errors.append((found - feature.grid).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_bits_beyond_the_channels_keep_their_random_start():
    codec = Codec(SHAPE, Configuration.parse("10-NoEnc-B5")).eval()
    before = codec.compressor.grid.weight.detach().clone()
    start_from_components(codec, [make_features()])
    assert torch.equal(codec.compressor.grid.weight[8:], before[8:])
    assert not codec.codebook.matrix[:, 8:].any()


def test_no_features_no_components(codec):
    with pytest.raises(ValueError, match="at least one batch of features"):
        start_from_components(codec, [])
