import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import ChannelCompressor, binarize
from approxbit.codec.binarizer import threshold


def test_bits_are_exactly_zero_and_one():
    logits = torch.randn(10_000) * torch.logspace(-8, 3, 10_000)
    assert set(binarize(logits).tolist()) == {0.0, 1.0}


def test_bits_are_the_thresholded_sigmoid_of_the_paper():
    logits = torch.randn(10_000, dtype=torch.float64) * 10
    assert torch.equal(binarize(logits), (torch.sigmoid(logits) > 0.5).double())


def test_small_positive_logits_are_ones_in_half_precision_where_their_sigmoid_is_not():
    logits = torch.tensor([1e-4, -1e-4, 6e-8], dtype=torch.float16)
    assert torch.sigmoid(logits).tolist() == [0.5, 0.5, 0.5]
    assert binarize(logits).tolist() == [1.0, 0.0, 1.0]


def test_the_gradient_is_that_of_the_sigmoid():
    logits = torch.linspace(-4, 4, 17, requires_grad=True)
    weights = torch.randn(17)
    (found,) = torch.autograd.grad((weights * binarize(logits)).sum(), logits)
    (expected,) = torch.autograd.grad((weights * torch.sigmoid(logits)).sum(), logits)
    torch.testing.assert_close(found, expected)


def test_a_threshold_gives_the_same_bits_as_integers():
    logits = Feature(torch.randn(2, 5, 3, 2, 2), torch.randn(2, 1, 5))
    code = threshold(logits)
    assert code.grid.dtype == code.tokens.dtype == torch.uint8
    assert torch.equal(code.grid.float(), binarize(logits.grid))
    assert torch.equal(code.tokens.float(), binarize(logits.tokens))


def test_grid_and_tokens_are_compressed_by_layers_of_their_own():
    compressor = ChannelCompressor(6, 4, num_tokens=2)
    feature = Feature(torch.randn(3, 6, 2, 2, 2), torch.randn(3, 2, 6))
    logits = compressor(feature)
    assert logits.grid.shape == (3, 4, 2, 2, 2)
    torch.testing.assert_close(
        logits.tokens[1, 1], compressor.tokens.weight @ feature.tokens[1, 1] + compressor.tokens.bias
    )
    torch.testing.assert_close(
        logits.grid[2, :, 1, 0, 1],
        compressor.grid.weight[:, :, 0, 0, 0] @ feature.grid[2, :, 1, 0, 1] + compressor.grid.bias,
    )


def test_without_tokens_there_is_no_layer_for_them():
    compressor = ChannelCompressor(6, 4)
    assert {name.split(".")[0] for name in compressor.state_dict()} == {"grid"}
    assert compressor(Feature(torch.zeros(3, 6, 1, 1, 1), torch.zeros(3, 0, 6))).tokens.shape == (3, 0, 4)
