import pytest
import torch

from approxbit.backbones.feature import Feature
from approxbit.codec import ChannelCompressor, binarize
from approxbit.codec.compressor import threshold


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


@pytest.mark.parametrize("num_tokens", [0, 2])
def test_the_compressor_of_the_first_bits_gives_the_first_logits(num_tokens):
    compressor = ChannelCompressor(6, 4, num_tokens)
    feature = Feature(torch.randn(3, 6, 2, 2, 2), torch.randn(3, num_tokens, 6))
    logits, first = compressor(feature), compressor.first_bits(3)(feature)
    torch.testing.assert_close(first.grid, logits.grid[:, :3])
    torch.testing.assert_close(first.tokens, logits.tokens[:, :, :3])
