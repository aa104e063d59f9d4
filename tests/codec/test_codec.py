import pytest
import torch
from torch import nn
from torch.nn import functional as F

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Code, Codec, CodecOptions, FeatureStatistics
from approxbit.configuration import Configuration

SHAPE = FeatureShape(12, 5, 7, 4)
ENCODERS = ["Enc", "NoEnc"]


def make_codec(
    encoder: str = "Enc", shape: FeatureShape = SHAPE, num_tokens: int = 0, bits: int = 6
) -> Codec:
    torch.manual_seed(0)
    return Codec(shape, Configuration.parse(f"{bits}-{encoder}-B3"), num_tokens).eval()


def make_feature(batch_size: int, shape: FeatureShape = SHAPE, num_tokens: int = 0) -> Feature:
    return Feature(torch.randn(batch_size, *shape), torch.randn(batch_size, num_tokens, shape.channels))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("num_tokens", [0, 1, 4])
@pytest.mark.parametrize(
    "shape", [(48, 16, 4, 4), (20, 3, 27, 27), (5, 1, 1, 1), (1, 2, 1, 3), (53, 2, 5, 2)], ids=str
)
def test_a_feature_comes_back_in_its_own_shape(encoder, num_tokens, shape):
    shape = FeatureShape(*shape)
    codec = make_codec(encoder, shape, num_tokens)
    feature = make_feature(2, shape, num_tokens)
    code = codec.encode(feature)
    decoded = codec.decode(code)
    planes = code.to_planes()
    assert planes.shape == (2, 6, codec.configuration.num_positions(shape.size, num_tokens))
    assert decoded.grid.shape == feature.grid.shape
    assert decoded.tokens.shape == feature.tokens.shape
    assert torch.isfinite(decoded.grid).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_other_sizes_than_the_codecs_own_are_restored_when_named(encoder):
    codec = make_codec(encoder)
    feature = make_feature(1, FeatureShape(12, 2, 9, 9))
    code = codec.encode(feature)
    assert codec.decode(code, (2, 9, 9)).grid.shape == feature.grid.shape
    assert codec(feature).feature.grid.shape == feature.grid.shape


def test_bits_are_integers_in_eval_mode_and_carry_gradients_in_training_mode():
    codec = make_codec(num_tokens=1)
    feature = make_feature(2, num_tokens=1)
    evaluated = codec(feature).code
    trained = codec.train()(feature).code
    assert evaluated.grid.dtype == evaluated.tokens.dtype == torch.uint8
    assert trained.grid.requires_grad
    assert trained.tokens.requires_grad
    assert torch.equal(trained.to_planes(), evaluated.to_planes())


def test_training_and_eval_mode_compute_the_same():
    codec = make_codec(num_tokens=1)
    feature = make_feature(2, num_tokens=1)
    evaluated = codec(feature)
    trained = codec.train()(feature)
    assert torch.equal(evaluated.feature.grid, trained.feature.grid)
    assert torch.equal(evaluated.logits.grid, trained.logits.grid)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_forward_is_decode_after_encode(encoder):
    codec = make_codec(encoder, num_tokens=1)
    feature = make_feature(2, num_tokens=1)
    output = codec(feature)
    code = codec.encode(feature)
    decoded = codec.decode(code)
    assert torch.equal(output.code.to_planes(), code.to_planes())
    assert torch.equal(output.code.grid, (output.logits.grid > 0).to(torch.uint8))
    assert torch.equal(output.feature.grid, decoded.grid)
    assert torch.equal(output.feature.tokens, decoded.tokens)


def test_float_and_integer_bits_decode_alike():
    codec = make_codec(num_tokens=1)
    code = codec.encode(make_feature(2, num_tokens=1))
    integers = codec.decode(code)
    floats = codec.decode(Code(code.grid.float(), code.tokens.float()))
    assert torch.equal(integers.grid, floats.grid)
    assert torch.equal(integers.tokens, floats.tokens)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_clip_is_coded_alike_alone_and_in_a_batch(encoder, mode):
    codec = make_codec(encoder, num_tokens=1).train(mode == "train")
    feature = make_feature(5, num_tokens=1)
    together = codec(feature)
    alone = codec(Feature(feature.grid[3:4], feature.tokens[3:4]))
    torch.testing.assert_close(together.logits.grid[3:4], alone.logits.grid, rtol=1e-4, atol=1e-5)
    clear = alone.logits.grid.abs() > 1e-4
    assert torch.equal(together.code.grid[3:4][clear], alone.code.grid[clear])
    codes = Code(alone.code.grid.expand(5, -1, -1, -1, -1), alone.code.tokens.expand(5, -1, -1))
    decoded = codec.decode(codes)
    torch.testing.assert_close(decoded.grid[2:3], codec.decode(alone.code).grid, rtol=1e-4, atol=1e-5)


def test_coding_twice_gives_the_same_bits_and_floats():
    codec = make_codec(num_tokens=1)
    feature = make_feature(3, num_tokens=1)
    first, second = codec(feature), codec(feature)
    assert torch.equal(first.code.to_planes(), second.code.to_planes())
    assert torch.equal(first.feature.grid, second.feature.grid)


@torch.no_grad()
@pytest.mark.parametrize("num_tokens", [0, 1])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_half_precision_gives_nearly_the_same_bits(encoder, num_tokens):
    codec = make_codec(encoder, num_tokens=num_tokens)
    feature = make_feature(2, num_tokens=num_tokens)
    bits = codec.encode(feature).to_planes()
    codec.half()
    code = codec.encode(Feature(feature.grid.half(), feature.tokens.half()))
    decoded = codec.decode(code)
    assert (code.to_planes() == bits).float().mean() > 0.99
    assert decoded.grid.dtype == decoded.tokens.dtype == torch.float16
    assert torch.isfinite(decoded.grid).all()


def test_no_layer_depends_on_the_batch():
    for encoder in ENCODERS:
        kinds = {type(module).__name__ for module in make_codec(encoder, num_tokens=1).modules()}
        assert not any("BatchNorm" in kind or "Dropout" in kind for kind in kinds)


def test_a_token_crosses_as_its_own_bits_only():
    codec = make_codec(num_tokens=2)
    feature = make_feature(1, num_tokens=2)
    other = Feature(
        torch.randn_like(feature.grid), torch.cat([feature.tokens[:, :1], torch.randn(1, 1, 12)], 1)
    )
    logits, others = codec.compute_logits(feature), codec.compute_logits(other)
    assert torch.equal(logits.tokens[:, 0], others.tokens[:, 0])
    assert not torch.equal(logits.tokens[:, 1], others.tokens[:, 1])


def test_tokens_and_grid_see_each_other_in_the_decoder():
    codec = make_codec(num_tokens=1)
    code = codec.encode(make_feature(1, num_tokens=1))
    decoded = codec.decode(code)
    other_grid = codec.decode(Code(1 - code.grid, code.tokens))
    other_tokens = codec.decode(Code(code.grid, 1 - code.tokens))
    assert not torch.equal(decoded.tokens, other_grid.tokens)
    assert not torch.equal(decoded.grid, other_tokens.grid)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_learns(encoder):
    codec = make_codec(encoder, num_tokens=1).train()
    output = codec(make_feature(2, num_tokens=1))
    (output.feature.grid.square().mean() + output.feature.tokens.square().mean()).backward()
    idle = [
        name
        for name, parameter in codec.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    # A bias on all keys of a query shifts its scores alike: softmax takes no notice.
    assert [name for name in idle if name != "decoder.attention.key.bias"] == []


def test_statistics_are_saved_with_the_weights_and_undone_after_the_decoder():
    codec = make_codec(num_tokens=1)
    feature = make_feature(2, num_tokens=1)
    before = codec(feature)
    mean, std = torch.arange(12.0), torch.arange(1.0, 13.0)
    codec.fit_statistics(mean, std, -mean, 2 * std)
    scaled = Feature(
        feature.grid * std.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1), feature.tokens * 2 * std - mean
    )
    after = codec(scaled)
    torch.testing.assert_close(after.logits.grid, before.logits.grid, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.logits.tokens, before.logits.tokens, rtol=1e-4, atol=1e-4)
    other = make_codec(num_tokens=1)
    other.load_state_dict(codec.state_dict())
    assert torch.equal(other(scaled).feature.grid, after.feature.grid)


def test_a_feature_of_other_channels_or_tokens_is_refused():
    codec = make_codec(num_tokens=1)
    message = "takes features of 12 channels and 1 class tokens, found {} channels and {} class tokens"
    with pytest.raises(ValueError, match=message.format(13, 1)):
        codec.encode(make_feature(1, FeatureShape(13, 5, 7, 4), num_tokens=1))
    with pytest.raises(ValueError, match=message.format(12, 0)):
        codec(make_feature(1))


def test_a_code_of_another_shape_is_refused():
    codec = make_codec()
    expected = (
        r"a 6-Enc-B3 code of a feature of size \(5, 7, 4\) has a grid of \(6, 3, 4, 2\) .* and 0 class tokens"
    )
    with pytest.raises(ValueError, match=expected + r", found \(6, 3, 3, 2\) and 0"):
        codec.decode(Code(torch.zeros(1, 6, 3, 3, 2), torch.zeros(1, 0, 6)))
    with pytest.raises(ValueError, match=expected + r", found \(6, 3, 4, 2\) and 1"):
        codec.decode(Code(torch.zeros(1, 6, 3, 4, 2), torch.zeros(1, 1, 6)))


def smooth_features(num_clips: int, generator: torch.Generator) -> Feature:
    """Six smooth patterns, mixed into 48 channels of very different scale and offset."""
    fixed = torch.Generator().manual_seed(0)
    mixing = torch.randn(48, 6, generator=fixed) * torch.logspace(-1, 1, 48)[:, None]
    offset = 5 * torch.randn(48, 1, 1, 1, generator=fixed)
    patterns = torch.randn(num_clips, 6, 4, 2, 2, generator=generator)
    patterns = F.interpolate(patterns, size=(16, 4, 4), mode="trilinear")
    return Feature(
        F.gelu(torch.einsum("cp,npthw->ncthw", mixing, patterns) + offset), torch.zeros(num_clips, 0, 48)
    )


def train_step(codec: Codec, optimizer: torch.optim.Optimizer, feature: Feature) -> None:
    """One step of Eq. 3 without its task."""
    output = codec(feature)
    target = (output.logits.grid > 0).float()
    loss = F.mse_loss(output.feature.grid, feature.grid)
    loss = loss + F.binary_cross_entropy_with_logits(output.logits.grid, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_hundred_steps_reconstruct_most_of_a_feature_and_leave_its_bits_alive(encoder):
    codec = make_codec(encoder, FeatureShape(48, 16, 4, 4), bits=16)
    generator = torch.Generator().manual_seed(1)
    statistics = FeatureStatistics()
    statistics.update(smooth_features(64, generator))
    codec.fit_statistics(statistics.mean, statistics.std)
    optimizer = torch.optim.Adam(codec.train().parameters(), lr=1e-3)
    for _ in range(100):
        train_step(codec, optimizer, smooth_features(8, generator))
    held_out = smooth_features(64, generator)
    with torch.no_grad():
        output = codec.eval()(held_out)
    error = (output.feature.grid - held_out.grid).square().mean()
    variance = (held_out.grid - statistics.mean.view(-1, 1, 1, 1)).square().mean()
    share = output.code.grid.float().mean(dim=(0, 2, 3, 4)).clamp(1e-6, 1 - 1e-6)
    entropy = -(share * share.log2() + (1 - share) * (1 - share).log2())
    assert error < 0.5 * variance
    assert (entropy > 0.1).sum() >= 14


def test_a_codec_has_the_parts_of_the_paper():
    codec = make_codec()
    assert isinstance(codec.spatial_encoder.convolution, nn.Conv3d)
    assert codec.spatial_encoder.convolution.stride == (2, 2, 2)
    assert isinstance(codec.compressor.grid, nn.Conv3d)
    assert codec.codebook.matrix.shape == (12, 6)
    assert len(codec.decoder.blocks) == 2
    assert isinstance(codec.decoder.upsampler.deconvolution, nn.ConvTranspose3d)


@pytest.mark.parametrize("num_tokens", [0, 1])
def test_with_attention_in_the_encoder_every_bit_may_depend_on_the_whole_clip(num_tokens):
    torch.manual_seed(0)
    configuration = Configuration.parse("8-Enc-B3")
    codec = Codec(SHAPE, configuration, num_tokens, CodecOptions(encoder_attention=True)).eval()
    feature = make_feature(1, num_tokens=num_tokens)
    feature.grid.requires_grad_()
    logits = codec.compute_logits(feature).grid
    (gradient,) = torch.autograd.grad(logits[0, 0, 0, 0, 0], feature.grid)
    assert (gradient[0].abs().sum(dim=0) > 0).all()


def test_the_papers_encoder_has_no_attention():
    codec = Codec(SHAPE, Configuration.parse("8-Enc-B3"))
    assert codec.encoder_attention is None
    assert not any("encoder_attention" in name for name in codec.state_dict())


def test_a_bare_tuple_is_a_feature_shape():
    codec = Codec((12, 5, 7, 4), Configuration.parse("4-Enc-B1"))
    assert codec.feature_shape == FeatureShape(12, 5, 7, 4)
    assert codec.feature_shape.size == (5, 7, 4)


@pytest.mark.parametrize("shape", [(1, 12, 5, 7, 4), (12, 5, 7), (12, 5, 0, 4)])
def test_what_is_no_feature_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"four lengths \(channels, time, height, width\)"):
        FeatureShape.of(shape)
