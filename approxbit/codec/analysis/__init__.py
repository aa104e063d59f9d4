"""What codes say about themselves: statistics of bits, for people who want to improve a codec."""

from approxbit.codec.analysis.counts import CodeStatistics, binary_entropy
from approxbit.codec.analysis.importance import Importance, measure_importance
from approxbit.codec.analysis.margins import Margins
from approxbit.codec.analysis.nearest import find_nearest, hamming_distances
from approxbit.codec.analysis.prediction import ContextSamples, predict_entropy

__all__ = [
    "CodeStatistics",
    "ContextSamples",
    "Importance",
    "Margins",
    "binary_entropy",
    "find_nearest",
    "hamming_distances",
    "measure_importance",
    "predict_entropy",
]
