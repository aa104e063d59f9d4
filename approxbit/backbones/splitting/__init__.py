"""Splitting any model that torch.fx can follow.

example -> trace (proxy, tracer: a graph of operations) -> clean (what crosses a cut)
        -> inference, layout (tensor <-> feature), sizes (numbers the server needs) -> cut (two graphs)
        -> model (`split`: a backbone), points (`offload_points`: a table of all clean cuts)
"""

from approxbit.backbones.splitting.clean import NotCleanError
from approxbit.backbones.splitting.inference import UnknownLayoutError
from approxbit.backbones.splitting.layout import GridLayout, TokenLayout
from approxbit.backbones.splitting.model import SplitModel, split
from approxbit.backbones.splitting.points import (
    LeftOut,
    OffloadPoint,
    OffloadPoints,
    choose_offload_points,
    offload_points,
)

__all__ = [
    "GridLayout",
    "LeftOut",
    "NotCleanError",
    "OffloadPoint",
    "OffloadPoints",
    "SplitModel",
    "TokenLayout",
    "UnknownLayoutError",
    "choose_offload_points",
    "offload_points",
    "split",
]
