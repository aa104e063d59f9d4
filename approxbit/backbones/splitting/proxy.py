"""The proxies of the tracer: torch.fx's, with the value that they stand for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor
from torch.fx import Node, Proxy, Tracer
from torch.fx.proxy import Attribute
from torch.overrides import TorchFunctionMode, is_tensor_method_or_property

from approxbit.backbones.splitting.sandbox import tensors_in

_Decision = TypeVar("_Decision", bool, int, float)


class ExampleProxy(Proxy):
    """A value of the model's run on the example, and the node that computes it.

    Whatever Python asks of it that no graph can hold (its truth, its length, its use as an index) is answered
    from the value, and the tracer writes down that the answer was used.
    """

    tracer: Any

    def __init__(self, node: Node, tracer: Tracer, value: object) -> None:
        super().__init__(node, tracer)
        self.value: Any = value

    def __getattr__(self, name: str) -> Any:
        if callable(getattr(self.value, name)):
            return Attribute(self, name)
        return self.tracer.create_proxy("call_function", getattr, (self, name), {})

    def __iter__(self) -> Iterator[Any]:
        return iter([self[index] for index in range(len(self))])  # type: ignore[index]

    def __len__(self) -> int:
        if isinstance(self.value, Tensor):
            return operator.index(self.shape[0])
        return len(self.value)

    def __bool__(self) -> bool:
        return self._decide(bool)

    def __int__(self) -> int:
        return self._decide(int)

    def __index__(self) -> int:
        return self._decide(operator.index)

    def __float__(self) -> float:
        return self._decide(float)

    def _decide(self, kind: Callable[[Any], _Decision]) -> _Decision:
        decision: _Decision = self.tracer.decide(self, kind)
        return decision


def is_tensor(value: object) -> bool:
    """Whether `value` is a tensor."""
    return isinstance(value, Tensor)


def is_proxy(value: object) -> bool:
    """Whether `value` stands for a value of the traced model."""
    return isinstance(value, ExampleProxy)


def spread(output: Any) -> Any:
    """`output` with a tuple or list of proxies in the place of a proxy for a tuple or list."""
    if is_proxy(output) and type(output.value) in (tuple, list):
        return type(output.value)(spread(item) for item in output)
    return output


def values_of(argument: Any, stand_in: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> Any:
    """`argument` with values in the place of proxies, and its stand-in in that of any other tensor.

    Its lists are new ones, for the callee to change.
    """
    if is_proxy(argument):
        return argument.value
    if isinstance(argument, Tensor):
        return stand_in(argument)
    if isinstance(argument, slice):
        return slice(*values_of([argument.start, argument.stop, argument.step], stand_in))
    if isinstance(argument, (list, tuple)):
        items = [values_of(item, stand_in) for item in argument]
        if isinstance(argument, list):
            return items
        is_record = hasattr(argument, "_fields")
        return type(argument)(*items) if is_record else type(argument)(items)
    if isinstance(argument, dict):
        return {key: values_of(item, stand_in) for key, item in argument.items()}
    return argument


class FunctionsTraced(TorchFunctionMode):
    """Makes functions of torch that take no proxies, such as `torch.zeros(batch, 3)`, part of the graph."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer: Any = tracer

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Record `func` if it takes proxies or returns tensors, else call it."""
        kwargs = kwargs or {}
        if self.tracer.is_computing:
            return func(*args, **kwargs)
        if tensors_in([args, kwargs], is_proxy):
            return ExampleProxy.__torch_function__(func, types, args, kwargs)
        is_method = is_tensor_method_or_property(func)
        if (is_method and func.__name__ == "__get__") or not tensors_in(func(*args, **kwargs), is_tensor):
            return func(*args, **kwargs)
        target = func.__name__ if is_method else func
        return self.tracer.create_proxy("call_method" if is_method else "call_function", target, args, kwargs)
