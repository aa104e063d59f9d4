"""The vector-quantised codec: indices as bits, and the promises of every codec."""

from __future__ import annotations

import pytest
import torch

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.baselines.vq import VQCodec, compute_perplexity, from_index_bits, to_index_bits
from approxbit.codec import Code
from approxbit.configuration import Configuration
from approxbit.wire import pack, unpack

SHAPE = FeatureShape(12, 4, 5, 6)


def make_codec(configuration: str = "5-Enc-B5", num_tokens: int = 0, **options: float) -> VQCodec:
    torch.manual_seed(0)
    return VQCodec(SHAPE, Configuration.parse(configuration), num_tokens, code_channels=4, **options).eval()


def make_feature(num_clips: int = 3, num_tokens: int = 0, seed: int = 1) -> Feature:
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randn(num_clips, *SHAPE, generator=generator)
    return Feature(grid, torch.randn(num_clips, num_tokens, SHAPE.channels, generator=generator))


@pytest.mark.parametrize("num_bits", [1, 3, 10, 16])
def test_every_index_survives_as_bits(num_bits: int) -> None:
    indices = torch.randperm(2**num_bits)[:1000].reshape(-1, 2)
    bits = to_index_bits(indices, num_bits)
    assert bits.shape == (*indices.shape, num_bits)
    assert torch.equal(from_index_bits(bits), indices)
    assert torch.equal(from_index_bits(bits.float()), indices)


def test_the_first_bit_is_the_most_significant() -> None:
    assert to_index_bits(torch.tensor([1, 512, 1023]), 10)[:, 0].tolist() == [0, 1, 1]


def test_the_entry_of_every_position_is_the_nearest() -> None:
    codec, feature = make_codec(num_tokens=2), make_feature(num_tokens=2)
    vectors, code = codec.compute_logits(feature), codec.encode(feature)
    indices = from_index_bits(code.to_planes().transpose(1, 2))
    for clip in range(3):
        single = torch.cat([vectors.grid[clip].flatten(1).T, vectors.tokens[clip]])
        for vector, index in zip(single, indices[clip], strict=True):
            assert ((codec.entries - vector) ** 2).sum(dim=1).argmin() == index


@pytest.mark.parametrize(("configuration", "num_tokens"), [("5-Enc-B5", 0), ("5-NoEnc-B5", 2)])
def test_a_pass_is_an_encoding_and_a_decoding(configuration: str, num_tokens: int) -> None:
    codec, feature = make_codec(configuration, num_tokens), make_feature(num_tokens=num_tokens)
    output, code = codec(feature), codec.encode(feature)
    assert torch.equal(output.code.to_planes(), code.to_planes())
    decoded = codec.decode(code)
    assert torch.allclose(output.feature.grid, decoded.grid, atol=1e-6)
    assert torch.allclose(output.feature.tokens, decoded.tokens, atol=1e-6)
    assert decoded.grid.shape == feature.grid.shape
    assert decoded.tokens.shape == feature.tokens.shape
    assert output.commitment == 0


def test_indices_cross_the_link_like_any_code() -> None:
    """Ten bits a position: 3 x 3 x 2 positions and a token are 190 bits."""
    codec, feature = make_codec("10-Enc-B5", num_tokens=1), make_feature(num_tokens=1)
    code = codec.encode(feature)
    payload = pack(code.to_planes()[0].numpy())
    assert len(payload) == 24 == codec.configuration.payload_bytes(SHAPE, num_tokens=1)
    received = torch.from_numpy(unpack(payload, 10, 19))[None]
    decoded = codec.decode(Code.from_planes(received, codec.grid_size))
    expected = codec.decode(Code(code.grid[:1], code.tokens[:1]))
    assert torch.equal(decoded.grid, expected.grid)


def test_clips_have_no_influence_on_each_other_in_eval_mode() -> None:
    codec, feature = make_codec(), make_feature()
    before = codec.entries.clone()
    alone = codec.encode(Feature(feature.grid[:1], feature.tokens[:1]))
    assert torch.equal(codec.encode(feature).grid[:1], alone.grid)
    codec(feature)
    assert torch.equal(codec.entries, before)


def test_in_training_the_encoder_learns_and_the_entries_follow_the_vectors() -> None:
    codec, feature = make_codec(num_tokens=1).train(), make_feature(num_tokens=1)
    before = codec.entries.clone()
    output = codec(feature)
    (output.feature.grid.square().mean() + output.feature.tokens.square().mean()).backward()
    assert codec.compressor.grid.weight.grad.abs().sum() > 0
    assert codec.compressor.tokens.weight.grad.abs().sum() > 0
    assert output.commitment > 0
    assert not torch.equal(codec.entries, before)


def test_entries_that_nobody_chooses_start_anew_at_vectors_of_the_batch() -> None:
    codec, feature = make_codec(decay=0.5, dead_usage=0.6).train(), make_feature()
    vectors = codec.compute_logits(feature).grid.flatten(2).transpose(1, 2).flatten(0, 1)
    codec(feature)
    distances = torch.cdist(codec.entries, vectors).amin(dim=1)
    assert (distances < 1e-6).sum() > 0.3 * len(codec.entries)


def test_too_many_bits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"17-Enc-B5 would have 2\*\*17 entries: expected at most 16 bits"):
        make_codec("17-Enc-B5")


def test_features_and_codes_of_others_are_refused() -> None:
    with pytest.raises(ValueError, match="12 channels and 0 class tokens, found 12 channels and 1"):
        make_codec().encode(make_feature(num_tokens=1))
    with pytest.raises(ValueError, match="a 5-Enc-B5 code"):
        make_codec().decode(Code(torch.zeros(1, 5, 1, 1, 1), torch.zeros(1, 0, 5)))


@pytest.mark.parametrize(("counts", "perplexity"), [([4, 0, 0], 1.0), ([2, 2, 2], 3.0), ([1, 1, 2], 2**1.5)])
def test_perplexity_by_hand(counts: list[int], perplexity: float) -> None:
    assert compute_perplexity(torch.tensor(counts)) == pytest.approx(perplexity)
