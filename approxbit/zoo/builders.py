"""From the name in a card to an untrained backbone. A card never names code, only keys of this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from approxbit import backbones
from approxbit.backbones.base import Backbone
from approxbit.backbones.movinet import movinet, movinet_small

if TYPE_CHECKING:
    from approxbit.backbones.splitting import OffloadPoint

MOVINETS = ("a0", "a1", "a2", "a3", "a4", "a5")


def _build(name: str, **arguments: Any) -> Backbone:
    """By a builder whose room is imported now, as it takes seconds."""
    built: Backbone = getattr(backbones, name)(**arguments)
    return built


BUILDERS: dict[str, Callable[..., Backbone]] = {
    "movinet_small": movinet_small,
    **{name: partial(_build, name) for name in ("mvitv2_tiny", "mvitv2_b", "mvitv2_s")},
    **{f"movinet_{size}": partial(movinet, size) for size in MOVINETS},
    **{f"movinet_{size}_stream": partial(movinet, size, streaming=True) for size in MOVINETS},
    "video_llava_7b": partial(_build, "video_llava"),
    "llava_onevision_0_5b": partial(_build, "llava_onevision"),
}


def build_backbone(builder: str, arguments: Mapping[str, Any]) -> Backbone:
    """An untrained backbone in eval mode; lists among the arguments become tuples, as JSON has none.

    Raises:
        ValueError: There is no such builder.

    Example:
        >>> build_backbone("movinet_small", {"num_classes": 24, "clip_shape": [3, 8, 32, 32]}).clip_shape
        (3, 8, 32, 32)
    """
    if builder not in BUILDERS:
        raise ValueError(f"expected one of the builders {', '.join(sorted(BUILDERS))}, found {builder!r}")
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return BUILDERS[builder](**plain).eval()


def list_offload_points(builder: str, arguments: Mapping[str, Any]) -> list[OffloadPoint]:
    """Where a builder's model can be cut, and what each cut costs; no weight is made and nothing computed.

    Raises:
        ValueError: There is no such builder.
    """
    from approxbit.backbones.splitting import offload_points

    with torch.device("meta"):
        backbone = build_backbone(builder, arguments)
        clip = torch.empty(1, *backbone.clip_shape)
    return offload_points(backbone, clip)
