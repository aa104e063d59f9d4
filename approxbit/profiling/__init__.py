"""Measures what each arm costs on this machine, and how often it is right: the LUT; and looks at codes.

`approxbit.profiling.evaluation` measures how right the answers themselves are, of questions too.
"""

from approxbit.profiling.inspection import inspect_codec
from approxbit.profiling.profile import profile_family

__all__ = ["inspect_codec", "profile_family"]
