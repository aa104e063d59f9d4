"""From the name in a recipe to a backbone."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.zoo.weights import check_fit


def find_backbone(name: str, weights: str | None = None) -> Backbone:
    """A trained backbone.

    Args:
        name: A family of the zoo, such as `digits-movinet`, or a builder, such as `mvitv2_b`.
        weights: Safetensors file with the weights of a builder, under the backbone's own key names; without
            it the builder's random ones stay, which is of use only to try a recipe out.

    Raises:
        ValueError: `name` is neither, or weights are given for a family, which has its own.
        WeightsError: The weights do not match.
    """
    if name not in zoo.BUILDERS:
        if weights is not None:
            raise ValueError(f"the family {name} has its own weights, found weights={weights!r} beside it")
        return zoo.load_backbone(name)
    backbone = zoo.build_backbone(name, {})
    if weights is not None:
        tensors = load_file(weights)
        check_fit(Path(weights), backbone, tensors)
        backbone.load_state_dict(tensors)
    return backbone
