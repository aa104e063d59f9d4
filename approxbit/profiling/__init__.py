"""Measures what each arm costs on this machine, and how often it is right: the LUT."""

from approxbit.profiling.profile import profile_family

__all__ = ["profile_family"]
