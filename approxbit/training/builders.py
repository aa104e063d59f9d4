"""From the name in a recipe to a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.backbones.official.loading import load_official
from approxbit.trust import trust_package_of


def find_backbone(
    name: str, weights: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Backbone:
    """A trained backbone.

    Args:
        name: A family of the zoo, such as `digits-movinet`, a builder, such as `mvitv2_b`, or an import path,
            such as `my_package.models:make`, whose package is trusted from now on: what comes here, the user
            wrote.
        weights: Weights for a builder, as `load_official` takes them: a published checkpoint or a safetensors
            file, by its path, its address or its short name, such as `mvitv2-b-ssv2`. Without them the
            builder's own stay: random ones of ours, which is of use only to try a recipe out.
        arguments: Of a builder or import path, such as `num_classes` and `clip_shape`.

    Raises:
        ValueError: `name` is neither, weights or arguments are given for a family, which has its own, or
            there are no such weights.
        UntrustedError: A family's card names code of a package that is not trusted.
        WeightsError: The weights do not match, or cannot be had.
    """
    if not zoo.is_builder(name):
        if weights is not None or arguments:
            raise ValueError(
                f"the family {name} has its own weights and arguments, "
                f"found weights={weights!r} and arguments={dict(arguments or {})!r} beside it"
            )
        return zoo.load_backbone(name)
    trust_package_of(name)
    backbone = zoo.build_backbone(name, arguments)
    if weights is not None:
        load_official(backbone, weights)
    return backbone
