import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import Decoder, ResBlock, SelfAttention, Upsampler
from approxbit.codec.decoder import MAX_KEYS, _pool


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (5, 27, 27), (3, 1, 28)])
def test_the_deconvolution_restores_the_exact_size(size):
    half = [(length + 1) // 2 for length in size]
    assert Upsampler(4)(torch.zeros(2, 4, *half), size).shape == (2, 4, *size)


def test_a_block_adds_to_its_input():
    block = ResBlock(6, 8)
    torch.nn.init.zeros_(block.expand.weight)
    torch.nn.init.zeros_(block.expand.bias)
    grid = torch.randn(2, 6, 3, 3, 3)
    assert torch.equal(block(grid), grid)


def test_attention_equals_its_formula():
    torch.manual_seed(0)
    attention = SelfAttention(12, 64)
    feature = Feature(torch.randn(2, 12, 3, 2, 4), torch.randn(2, 3, 12))
    sequence = torch.cat([feature.tokens, feature.grid.flatten(2).transpose(1, 2)], dim=1)
    expected = sequence.clone()
    normed = attention.norm(sequence)
    for clip in range(2):
        heads = []
        for channels in (slice(0, 32), slice(32, 64)):
            query, key, value = (
                layer(normed[clip])[:, channels]
                for layer in (attention.query, attention.key, attention.value)
            )
            heads.append(torch.softmax(query @ key.T / 32**0.5, dim=1) @ value)
        expected[clip] += attention.output(torch.cat(heads, dim=1))
    found = attention(feature)
    torch.testing.assert_close(found.tokens, expected[:, :3])
    torch.testing.assert_close(found.grid.flatten(2).transpose(1, 2), expected[:, 3:])


@pytest.mark.parametrize("attention_channels", [0, 16, 48])
def test_attention_channels_are_whole_heads(attention_channels):
    with pytest.raises(ValueError, match=f"must be a positive multiple of 32, found {attention_channels}"):
        SelfAttention(12, attention_channels)


@pytest.mark.parametrize(
    ("size", "pooled"),
    [
        ((8, 7, 7), (8, 7, 7)),
        ((16, 14, 14), (8, 7, 7)),
        ((16, 8, 8), (8, 4, 4)),
        ((32, 27, 27), (8, 7, 7)),
        ((1, 1, 401), (1, 1, 201)),
        ((1, 1, 1), (1, 1, 1)),
    ],
)
def test_keys_are_averaged_until_few_are_left(size, pooled):
    assert pooled[0] * pooled[1] * pooled[2] <= MAX_KEYS
    grid = _pool(torch.ones(1, 1, *size))
    assert grid.shape[2:] == pooled
    assert torch.equal(grid, torch.ones_like(grid))


@pytest.mark.parametrize(("upsample", "size"), [(True, (5, 7, 4)), (False, (3, 4, 2))])
def test_the_decoder_ends_in_an_upsampling_or_in_nothing(upsample, size):
    decoder = Decoder(channels=8, hidden_channels=4, attention_channels=32, upsample=upsample)
    feature = decoder(Feature(torch.randn(2, 8, 3, 4, 2), torch.randn(2, 1, 8)), size)
    assert (decoder.upsampler is not None) == upsample
    assert feature.grid.shape == (2, 8, *size)
    assert feature.tokens.shape == (2, 1, 8)
