"""Both halves of a model in operators that every ONNX target takes: no in-place writes, loops or shifts.

`view_of` gives the view of a backbone's half; a backbone of your own registers its halves there.
"""

from approxbit.exporting.views import movinet, vision_tower  # noqa: F401  they register their halves
from approxbit.exporting.views.halves import EdgeView, ServerView, WholeView
from approxbit.exporting.views.registry import view_of

__all__ = ["EdgeView", "ServerView", "WholeView", "view_of"]
