"""How bits get a gradient: one interface, one file for each way. All of them decide `logit > 0`."""

from approxbit.codec.binarizers.base import Binarizer, bit_planes
from approxbit.codec.binarizers.lookup_free import LookupFree
from approxbit.codec.binarizers.noisy import NoisyThreshold
from approxbit.codec.binarizers.spherical import Spherical
from approxbit.codec.binarizers.threshold import Threshold, binarize, binary_loss

__all__ = [
    "Binarizer",
    "LookupFree",
    "NoisyThreshold",
    "Spherical",
    "Threshold",
    "binarize",
    "binary_loss",
    "bit_planes",
]
