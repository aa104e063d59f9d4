"""Bandwidth: traces of it, an estimate of it, and a relay that imposes it on a connection."""

from approxbit.link.estimator import BandwidthEstimator
from approxbit.link.relay import RelayProcess, ShapedRelay
from approxbit.link.token_bucket import TokenBucket, TracePacer
from approxbit.link.trace import Trace

__all__ = ["BandwidthEstimator", "RelayProcess", "ShapedRelay", "TokenBucket", "Trace", "TracePacer"]
