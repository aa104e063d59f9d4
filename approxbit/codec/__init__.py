"""The learned part: spatial encoder, binarizer, codebook, decoder."""

from approxbit.codec.binarizers import (
    Binarizer,
    LookupFree,
    NoisyThreshold,
    Spherical,
    Threshold,
    binarize,
)
from approxbit.codec.code import Code
from approxbit.codec.codebook import Codebook
from approxbit.codec.codec import Codec, CodecOutput
from approxbit.codec.compressor import ChannelCompressor
from approxbit.codec.decoder import Decoder, ResBlock, SelfAttention, Upsampler
from approxbit.codec.options import CodecOptions
from approxbit.codec.part import WHOLE, Part
from approxbit.codec.spatial_encoder import SpatialEncoder
from approxbit.codec.statistics import FeatureStatistics, Standardizer

__all__ = [
    "WHOLE",
    "Binarizer",
    "ChannelCompressor",
    "Code",
    "Codebook",
    "Codec",
    "CodecOptions",
    "CodecOutput",
    "Decoder",
    "FeatureStatistics",
    "LookupFree",
    "NoisyThreshold",
    "Part",
    "ResBlock",
    "SelfAttention",
    "SpatialEncoder",
    "Spherical",
    "Standardizer",
    "Threshold",
    "Upsampler",
    "binarize",
]
