"""What the codec costs at MViTv2-B's size, against the three figures that the paper prints.

Convention: FLOPs of convolutions, linear layers and attention products for one clip, 2 for each multiply-add
(the stricter reading of the paper's figures). Normalisation, activations, softmax and additions are left out,
as the usual counters do. A deconvolution works once per input position.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec import Codebook, Codec, SelfAttention
from approxbit.codec.decoder import _pool
from approxbit.configuration import Configuration

PAPER_ENCODER_FLOPS = 573.42e6
PAPER_DECODER_FLOPS = 2.99e9
PAPER_PARAMETERS = 5.8e6

SHAPE = FeatureShape(384, 16, 14, 14)
CONFIGURATIONS = ["64-Enc-B8", "128-Enc-B8", "64-NoEnc-B8", "128-NoEnc-B8"]


def multiply_adds(module: nn.Module, inputs: tuple, output) -> int:
    """Multiply-adds of one call of a module, without those of its children."""
    if isinstance(module, nn.Conv3d):
        return output.numel() * module.weight[0].numel()
    if isinstance(module, nn.ConvTranspose3d):
        return inputs[0].numel() * module.weight[0].numel()
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, Codebook):
        return (output.grid.numel() + output.tokens.numel()) * module.matrix.shape[1]
    if isinstance(module, SelfAttention):
        (feature,) = inputs
        num_tokens = feature.tokens.shape[1]
        num_queries = num_tokens + math.prod(feature.grid.shape[2:])
        num_keys = num_tokens + math.prod(_pool(feature.grid).shape[2:])
        return 2 * num_queries * num_keys * module.query.out_features
    return 0


def count_by_hand(codec: Codec, feature: Feature) -> tuple[int, int]:
    """FLOPs of the encoder and of the decoder, 2 for each multiply-add."""
    counts = [0]
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output: counts.__setitem__(
                -1, counts[-1] + multiply_adds(module, inputs, output)
            )
        )
        for module in codec.modules()
        if module is not codec
    ]
    code = codec.encode(feature)
    counts.append(0)
    codec.decode(code)
    for hook in hooks:
        hook.remove()
    return 2 * counts[0], 2 * counts[1]


def count_by_torch(codec: Codec, feature: Feature) -> tuple[int, int]:
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as encoder:
            code = codec.encode(feature)
        with FlopCounterMode(display=False) as decoder:
            codec.decode(code)
    return encoder.get_total_flops(), decoder.get_total_flops()


def make(configuration: str) -> tuple[Codec, Feature]:
    codec = Codec(SHAPE, Configuration.parse(configuration), num_tokens=1).eval()
    return codec, Feature(torch.randn(1, *SHAPE), torch.randn(1, 1, SHAPE.channels))


@torch.no_grad()
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_codec_costs_no_more_than_the_papers(configuration):
    codec, feature = make(configuration)
    encoder, decoder = count_by_hand(codec, feature)
    assert 0 < encoder <= PAPER_ENCODER_FLOPS
    assert encoder < decoder <= PAPER_DECODER_FLOPS
    assert sum(parameter.numel() for parameter in codec.parameters()) <= PAPER_PARAMETERS


@torch.no_grad()
@pytest.mark.parametrize("configuration", ["64-Enc-B8", "128-NoEnc-B8"])
def test_our_count_is_torchs_count(configuration):
    codec, feature = make(configuration)
    assert count_by_hand(codec, feature) == count_by_torch(codec, feature)


@torch.no_grad()
def test_the_largest_terms_worked_by_hand():
    codec, feature = make("64-Enc-B8")
    spatial_encoder = 27 * 48 * 384 * (8 * 7 * 7)
    compressor = 384 * 64 * (8 * 7 * 7 + 1)
    encoder, _ = count_by_hand(codec, feature)
    assert encoder == 2 * (spatial_encoder + compressor)
