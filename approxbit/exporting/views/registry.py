"""Which view stands for which module of a backbone."""

from __future__ import annotations

import importlib
import sys
from functools import singledispatch

from torch import nn

from approxbit.configuration import Shape4

_LATER = {"approxbit.backbones.mvitv2": "approxbit.exporting.views.mvitv2"}
"""Views that are imported when one of their halves is met, by its module: torchvision takes seconds."""


@singledispatch
def view_of(half: nn.Module, input_shape: Shape4) -> nn.Module:
    """A half of a backbone in operators that every target takes, for inputs of one shape.

    The view takes and returns what the half does and shares its parameters wherever no arithmetic is saved
    by preparing them. Unless its type is registered, a half stands for itself. A backbone of your own
    registers its halves:

        @view_of.register(MyEdgeHalf)
        def _(half, input_shape):
            return MyGraphSafeEdgeHalf(half, input_shape)

    Args:
        half: In eval mode; it is not changed.
        input_shape: (channel, time, height, width) of a clip (edge half) or of a feature (server half).
    """
    for kind in type(half).__mro__:
        views = _LATER.get(kind.__module__, "")
        if views and views not in sys.modules:
            importlib.import_module(views)  # which registers them
            return view_of(half, input_shape)
    return half
