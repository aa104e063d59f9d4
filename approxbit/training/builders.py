"""From the name in a recipe to a backbone."""

from __future__ import annotations

from approxbit import zoo
from approxbit.backbones.base import Backbone
from approxbit.backbones.official.loading import load_official


def find_backbone(name: str, weights: str | None = None, num_classes: int | None = None) -> Backbone:
    """A trained backbone.

    Args:
        name: A family of the zoo, such as `digits-movinet`, or a builder, such as `mvitv2_b`.
        weights: Weights for a builder, as `load_official` takes them: a published checkpoint or a safetensors
            file, by its path, its address or its short name, such as `mvitv2-b-ssv2`. Without them the
            builder's random ones stay, which is of use only to try a recipe out.
        num_classes: Length of a builder's logits, where it differs from the builder's default.

    Raises:
        ValueError: `name` is neither, weights or num_classes are given for a family, which has its own, or
            there are no such weights.
        WeightsError: The weights do not match, or cannot be had.
    """
    if name not in zoo.BUILDERS:
        if weights is not None or num_classes is not None:
            raise ValueError(
                f"the family {name} has its own weights and classes, "
                f"found weights={weights!r} and num_classes={num_classes!r} beside it"
            )
        return zoo.load_backbone(name)
    backbone = zoo.build_backbone(name, {} if num_classes is None else {"num_classes": num_classes})
    if weights is not None:
        load_official(backbone, weights)
    return backbone
