"""What a backbone is in shapes, whatever names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from approxbit.backbones.base import Backbone
from approxbit.families.folder import locate_backbone
from approxbit.families.hub import locate
from approxbit.families.named import read_backbone_card
from approxbit.files import PathLike
from approxbit.zoo.builders import build_on_meta, is_builder
from approxbit.zoo.restoring import sketch_of_card

if TYPE_CHECKING:
    from approxbit.backbones.splitting import OffloadPoint


def sketch_backbone(
    name: str, arguments: Mapping[str, Any] | None = None, checkpoints: PathLike | None = None
) -> Backbone:
    """A backbone without its weights, on the meta device where that works: what it is in shapes.

    Args:
        name: A family, a builder or an import path into a trusted package.
        arguments: Of the builder; a family has its own.
        checkpoints: Folder of all families; by default as `find_checkpoints` says.

    Raises:
        UntrustedError: It is made by code of a package that is not trusted.
        ValueError: There is nothing of that name, or it does not take the arguments.
        WeightsError: The family's card is broken.
    """
    if is_builder(name):
        return build_on_meta(name, arguments)
    root, name = locate(name, checkpoints)
    return sketch_of_card(locate_backbone(root, name), read_backbone_card(root, name))


def list_offload_points(
    name: str, arguments: Mapping[str, Any] | None = None, checkpoints: PathLike | None = None
) -> list[OffloadPoint]:
    """Where a backbone can be cut, and what each cut costs; nothing is computed.

    Takes and raises what `sketch_backbone` does.
    """
    from approxbit.backbones.splitting import offload_points

    sketch = sketch_backbone(name, arguments, checkpoints)
    device = next(sketch.parameters()).device
    return offload_points(sketch, torch.empty(1, *sketch.clip_shape, device=device))
