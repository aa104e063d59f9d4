import pytest
import torch

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Code, Codec, CodecOptions
from approxbit.configuration import Configuration

SHAPE = FeatureShape(12, 4, 5, 3)


def make_codec(sizes=(2, 4), encoder="Enc", num_tokens=0):
    torch.manual_seed(5)
    configuration = Configuration.parse(f"8-{encoder}-B2")
    return Codec(SHAPE, configuration, num_tokens, CodecOptions(nested_sizes=sizes))


def make_feature(num_tokens=0):
    return Feature(torch.randn(3, *SHAPE), torch.randn(3, num_tokens, SHAPE.channels))


@pytest.mark.parametrize("encoder", ["Enc", "NoEnc"])
@pytest.mark.parametrize("num_tokens", [0, 1])
def test_the_first_bits_of_a_code_are_the_code_of_the_codec_inside(encoder, num_tokens):
    codec = make_codec(encoder=encoder, num_tokens=num_tokens).eval()
    feature = make_feature(num_tokens)
    code, first = codec.encode(feature), codec.first_bits(4).encode(feature)
    assert torch.equal(first.grid, code.grid[:, :4])
    assert torch.equal(first.tokens, code.tokens[:, :, :4])


@pytest.mark.parametrize("num_tokens", [0, 1])
def test_missing_bits_decode_as_halves(num_tokens):
    codec = make_codec(num_tokens=num_tokens).eval()
    code = codec.encode(make_feature(num_tokens))
    grid, tokens = code.grid.float(), code.tokens.float()
    grid[:, 2:], tokens[:, :, 2:] = 0.5, 0.5
    whole = codec.decode(Code(grid, tokens))
    first = codec.first_bits(2).decode(Code(code.grid[:, :2], code.tokens[:, :, :2]))
    torch.testing.assert_close(first.grid, whole.grid)
    torch.testing.assert_close(first.tokens, whole.tokens)


def test_the_codec_inside_shares_all_that_is_large():
    codec = make_codec()
    first = codec.first_bits(4)
    assert first.decoder is codec.decoder
    assert first.spatial_encoder is codec.spatial_encoder
    assert str(first.configuration) == "4-Enc-B2"
    assert first.nested_sizes == (2,)
    assert str(codec.configuration) == "8-Enc-B2"
    assert codec.compressor.codebook_size == 8
    assert str(first.first_bits(2).configuration) == "2-Enc-B2"
    assert codec.first_bits(8) is codec


def test_in_training_every_clip_keeps_one_of_the_sizes(monkeypatch):
    codec = make_codec().train()
    arrived = []
    monkeypatch.setattr(codec, "reconstruct", lambda code, size: arrived.append(code))
    whole = codec(Feature(torch.randn(64, *SHAPE), torch.randn(64, 1, SHAPE.channels)[:, :0])).code
    [code] = arrived
    kept = (code.grid != 0.5).all(dim=(2, 3, 4)).sum(dim=1)
    assert set(kept.tolist()) == {2, 4, 8}
    is_lost = torch.arange(8) >= kept[:, None]
    assert (code.grid[is_lost] == 0.5).all()
    assert torch.equal(code.grid[~is_lost], whole.grid[~is_lost])


def test_without_sizes_nothing_is_lost(monkeypatch):
    codec = make_codec(sizes=()).train()
    arrived = []
    monkeypatch.setattr(codec, "reconstruct", lambda code, size: arrived.append(code))
    assert torch.equal(codec(make_feature()).code.grid, arrived[0].grid)
    with pytest.raises(ValueError, match="8-Enc-B2 decode by themselves for no number of them, found 4"):
        codec.first_bits(4)


@pytest.mark.parametrize("sizes", [(8,), (2, 9)])
def test_sizes_that_are_not_below_the_codebook_are_refused(sizes):
    with pytest.raises(ValueError, match="expected nested_sizes of at most 7"):
        make_codec(sizes=sizes)


def test_a_number_that_was_not_trained_is_refused():
    with pytest.raises(ValueError, match="by themselves for 2, 4 of them, found 3"):
        make_codec().first_bits(3)


@pytest.mark.parametrize(("share", "expected"), [(None, 1 / 3), (0.5, 0.5), (0.9, 0.9)])
def test_in_training_a_share_of_the_clips_keeps_all_bits(share, expected):
    torch.manual_seed(2)
    options = CodecOptions(nested_sizes=(2, 4), whole_share=share)
    codec = Codec(SHAPE, Configuration.parse("8-Enc-B2"), options=options).train()
    seen = []
    codec.reconstruct = lambda code, size: seen.append(code.grid) or Feature(code.grid, code.tokens)
    codec(Feature(torch.randn(900, *SHAPE), torch.randn(900, 0, SHAPE.channels)))
    lost = (seen[0] == 0.5).flatten(2).all(2)  # [clip, bit]
    num_kept = 8 - lost.sum(1)
    assert set(num_kept.tolist()) == {2, 4, 8}
    assert (num_kept == 8).float().mean().item() == pytest.approx(expected, abs=0.06)
    assert (num_kept == 2).float().mean().item() == pytest.approx((1 - expected) / 2, abs=0.06)
