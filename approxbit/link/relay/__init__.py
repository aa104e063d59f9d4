"""A shaped link in user space: `ShapedRelay` in an event loop, `RelayProcess` as a process of its own."""

from approxbit.link.relay.process import RelayProcess
from approxbit.link.relay.relay import ShapedRelay

__all__ = ["RelayProcess", "ShapedRelay"]
