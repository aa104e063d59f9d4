"""The learned part: spatial encoder, binarizer, codebook, decoder."""

from approxbit.codec.binarizer import ChannelCompressor, binarize
from approxbit.codec.code import Code
from approxbit.codec.codebook import Codebook
from approxbit.codec.codec import Codec, CodecOutput
from approxbit.codec.decoder import Decoder, ResBlock, SelfAttention, Upsampler
from approxbit.codec.spatial_encoder import SpatialEncoder
from approxbit.codec.statistics import FeatureStatistics, Standardizer

__all__ = [
    "ChannelCompressor",
    "Code",
    "Codebook",
    "Codec",
    "CodecOutput",
    "Decoder",
    "FeatureStatistics",
    "ResBlock",
    "SelfAttention",
    "SpatialEncoder",
    "Standardizer",
    "Upsampler",
    "binarize",
]
