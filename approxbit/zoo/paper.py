"""The configurations of the paper, each by its name, with untrained codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approxbit.backbones.base import Backbone
from approxbit.codec import Codec
from approxbit.configuration import Configuration
from approxbit.offload import OffloadedModel
from approxbit.zoo.builders import build_backbone

PAPER_CONFIGURATIONS: Mapping[str, tuple[str, ...]] = {
    "mvitv2_b": (
        "64-Enc-B8",
        "64-NoEnc-B8",
        "128-Enc-B8",
        "128-NoEnc-B8",
        "64-Enc-B16",
        "64-NoEnc-B16",
        "128-Enc-B16",
        "128-NoEnc-B16",
    ),
    "movinet_a2": ("16-Enc-B5", "32-Enc-B5", "16-NoEnc-B5", "32-NoEnc-B5", "16-Enc-B3", "32-Enc-B3"),
    "video_llava_7b": ("128-Enc-L8", "128-NoEnc-L8", "256-Enc-L8", "256-NoEnc-L8"),
    "llava_onevision_0_5b": ("128-Enc-L8", "128-NoEnc-L8", "256-Enc-L8", "256-NoEnc-L8"),
}
"""By builder, the configurations of Tables 1 to 3, APPROXBIT. Any other is built by the same rule."""


def build(name: str, backbone: Backbone | None = None, **arguments: Any) -> OffloadedModel:
    """An untrained model by its name, at full size: the place to load weights into, to count or to export.

    Args:
        name: A builder and a configuration, such as `mvitv2_b/64-Enc-B8`.
        backbone: The builder's model, so that several configurations share it; built anew by default.
        **arguments: Of the builder, such as `num_classes`, when the backbone is built anew.

    Raises:
        ValueError: There is no such builder or offload point, the name is not of that form, or arguments
            are given beside a backbone.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = build("movinet_a2/16-Enc-B5", num_classes=600)
        >>> model.codec.configuration.payload_bytes(model.codec.feature_shape)
        2450
    """
    builder, slash, configuration = name.partition("/")
    if not slash:
        raise ValueError(
            f"expected a builder and a configuration, such as 'mvitv2_b/64-Enc-B8', found {name!r}"
        )
    parsed = Configuration.parse(configuration)
    if backbone is None:
        backbone = build_backbone(builder, arguments)
    elif arguments:
        raise ValueError(f"the backbone is given, so arguments have no use: found {', '.join(arguments)}")
    shape, num_tokens = (
        backbone.feature_shape(parsed.offload_point),
        backbone.num_tokens(parsed.offload_point),
    )
    return OffloadedModel(backbone, Codec(shape, parsed, num_tokens))


def build_family(builder: str, **arguments: Any) -> dict[str, OffloadedModel]:
    """All configurations of the paper for one backbone, which they share.

    Raises:
        ValueError: The paper has no configurations for that builder.
    """
    if builder not in PAPER_CONFIGURATIONS:
        raise ValueError(f"the paper has {', '.join(PAPER_CONFIGURATIONS)}, found {builder!r}")
    backbone = build_backbone(builder, arguments)
    return {name: build(f"{builder}/{name}", backbone) for name in PAPER_CONFIGURATIONS[builder]}
