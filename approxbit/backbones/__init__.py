"""Frozen video models and the places where they can be cut."""

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.movinet import MoViNet, movinet, movinet_digits
from approxbit.backbones.mvitv2 import MViTv2, mvitv2_b, mvitv2_digits, mvitv2_s
from approxbit.backbones.mvitv2_keys import convert_slowfast_keys

__all__ = [
    "Backbone",
    "EdgeHalf",
    "Feature",
    "FeatureShape",
    "MViTv2",
    "MoViNet",
    "ServerHalf",
    "convert_slowfast_keys",
    "movinet",
    "movinet_digits",
    "mvitv2_b",
    "mvitv2_digits",
    "mvitv2_s",
]
