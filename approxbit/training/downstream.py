"""What the layers of a server half say about a feature, on the way to its answer."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import ServerHalf
from approxbit.backbones.feature import Feature


def layers_of(server_half: ServerHalf) -> nn.ModuleList:
    """The layers that a server half runs through one after another.

    Raises:
        ValueError: It does not keep them in a list.
    """
    lists = [child for child in server_half.children() if isinstance(child, nn.ModuleList) and len(child)]
    if not lists:
        raise ValueError(
            f"{type(server_half).__name__} has no list of layers: train without the downstream term"
        )
    return lists[0]


def answer_with_layers(
    server_half: ServerHalf, feature: Feature
) -> tuple[Float[Tensor, "batch ..."], list[Tensor]]:
    """The answer to a batch of features, and what came out of each layer before it.

    Raises:
        ValueError: The server half does not keep its layers in a list.
    """
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(keep) for layer in layers_of(server_half)]
    try:
        return server_half(feature), outputs
    finally:
        for hook in hooks:
            hook.remove()
