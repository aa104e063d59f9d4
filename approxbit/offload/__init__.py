"""A backbone and a codec as one model on two machines, as a stateful stream too, and its torch runners."""

from approxbit.offload.model import OffloadedModel

__all__ = ["OffloadedModel"]
