"""Which view stands for which module of a backbone."""

from __future__ import annotations

from functools import singledispatch

from torch import nn

from approxbit.configuration import Shape4


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
    return half
