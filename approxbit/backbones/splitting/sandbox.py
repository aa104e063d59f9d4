"""Running a model for its shapes only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

PLAIN_TYPES = (bool, int, float, str, torch.dtype, torch.device, torch.Size, type(None))


@dataclass(frozen=True)
class Sandbox:
    """Where models are traced and counted: without gradients, and without arithmetic where that works.

    Args:
        example: The clips that stand for all others.
        has_values: Whether tensors have values. Without them everything is on the meta device: quick, and of
            no use for models whose shapes depend on values.
    """

    example: Tensor
    has_values: bool

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Code that runs inside leaves no trace on the autograd graph."""
        device = nullcontext() if self.has_values else torch.device("meta")
        with torch.inference_mode(False), torch.no_grad(), device:
            yield

    def clip(self, shape: tuple[int, ...] | None = None) -> Tensor:
        """A batch of clips of `shape`, by default the example's."""
        if not self.has_values:
            return torch.empty(shape or self.example.shape, dtype=self.example.dtype, device="meta")
        return self.example.clone() if shape is None else self.example.new_zeros(shape)

    def stand_in(self, tensor: Tensor) -> Tensor:
        """What takes the place of a tensor that the model owns."""
        return tensor if self.has_values else torch.empty_like(tensor, device="meta")

    def call(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """What a module returns, with stand-ins for its parameters and buffers."""
        if self.has_values:
            return module(*args, **kwargs)
        owned = (*module.named_parameters(), *module.named_buffers())
        return functional_call(module, {name: self.stand_in(tensor) for name, tensor in owned}, args, kwargs)


def sandboxes(example: Tensor) -> list[Sandbox]:
    """The sandboxes to try: without values, and then, where the example has them, with them."""
    return [
        Sandbox(example, has_values) for has_values in (False, True) if not (has_values and example.is_meta)
    ]


@dataclass(frozen=True)
class TensorFact:
    """What is known of a tensor when its values are not."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def describe(value: object) -> object:
    """`value` with a `TensorFact` in the place of a tensor, and its type in that of an unknown object.

    Example:
        >>> describe([torch.zeros(2), 3])[1]
        3
    """
    if isinstance(value, Tensor):
        return TensorFact(tuple(value.shape), value.dtype, value.device)
    if isinstance(value, PLAIN_TYPES):
        return value
    if isinstance(value, (tuple, list)):
        items = [describe(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, Mapping):
        return {key: describe(item) for key, item in value.items()}
    return type(value)


def tensors_in(value: object, is_tensor: Callable[[Any], bool]) -> list[Any]:
    """All tensors in nested tuples, lists and dicts, in order.

    Example:
        >>> tensors_in((1, [2.0, {"a": 3.0}]), lambda item: isinstance(item, float))
        [2.0, 3.0]
    """
    if is_tensor(value):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item, is_tensor)]
    return []
