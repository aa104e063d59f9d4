"""Turns a model into a graph of its operations by running it once.

The tracer is torch.fx's, with one addition: every proxy also carries the value that it stands for. So a model
may look at sizes and decide on them; each such decision becomes a node that checks, on other clips, that it
would be the same. A module whose code cannot be followed is kept whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node, Tracer
from torch.fx.proxy import TraceError

from approxbit.backbones.splitting.proxy import (
    ExampleProxy,
    FunctionsTraced,
    is_proxy,
    is_tensor,
    spread,
    values_of,
)
from approxbit.backbones.splitting.sandbox import Sandbox, describe, tensors_in

READS_VALUES = {"item", "tolist", "numpy"}
"""Methods whose result depends on the numbers in a tensor, although it is none."""


@dataclass(frozen=True)
class NodeInfo:
    """What the tracer saw of a node."""

    module: str
    """The module whose code it is in."""

    fact: object
    """Its value on the example, as `describe` tells it."""

    from_clip: bool
    """Whether it depends on the clip, be it only on its size."""

    from_pixels: bool
    """Whether it depends on the clip by more than its size."""

    storages: frozenset[int]
    """Which memory its tensors lie in."""

    changes: frozenset[int]
    """Which memory it writes to, other than its own result."""


@dataclass(frozen=True)
class Call:
    """A module that returned, and the tensors among what it returned."""

    module: str
    tensors: tuple[Node, ...]


class KeptWholeError(BaseException):
    """The code of a module cannot be followed. No `Exception`, so that no model catches it."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(module, reason)
        self.module = module
        self.reason = reason


def check_decision(found: Any, expected: bool | int | float, reason: str) -> None:
    """Stop where the traced model would do something else than on the example.

    Args:
        found: What it decides by now.
        expected: What it was for the example.
        reason: What of a clip it depends on, its size or its content.

    Raises:
        ValueError: It would.
    """
    answer = type(expected)(found)
    if answer != expected:
        raise ValueError(
            f"the model decides by the {reason} of its clips, and this decision was {expected!r} for the "
            f"example that it was split with, found {answer!r}: {_ADVICE[reason]}"
        )


_ADVICE = {
    "size": "split it with an example of this kind",
    "content": "cut it where no module decides so, or write a subclass of approxbit.backbones.Backbone",
}


class ExampleTracer(Tracer):
    """Traces a model on an example.

    Args:
        model: What to trace, in eval mode.
        sandbox: Where it runs.
        whole: Modules not to look into.
        decisions_in: Modules that may decide by sizes; others that do are refused. Everywhere if None.
    """

    def __init__(
        self,
        model: nn.Module,
        sandbox: Sandbox,
        whole: frozenset[str],
        decisions_in: frozenset[str] | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.sandbox = sandbox
        self.whole = whole
        self.decisions_in = decisions_in
        self.info: dict[Node, NodeInfo] = {}
        self.calls: list[Call] = []
        self.constants: dict[str, Tensor] = {}
        self.answer: object = None
        self._paths = {module: name for name, module in reversed(list(model.named_modules()))}
        self._names = _names_of_tensors(model)
        self._stack: list[str] = []
        self._decided_by: list[str] = []
        self.is_computing = False
        self._attributes: dict[str, ExampleProxy] = {}
        self._storages: WeakKeyDictionary[torch.UntypedStorage, int] = WeakKeyDictionary()
        self._numbers = count()
        self._writers: dict[int, Node] = {}

    def run(self) -> Graph:
        """The graph of one run of the model on the example."""
        with _attributes_restored(self.model), FunctionsTraced(self):
            return self.trace(_Whole(self.model))

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What module `m` returns; a node of its own if it is kept whole."""
        if self.is_computing:
            return forward(*args, **kwargs)
        name = self._paths[m]
        self._stack.append(name)
        if name in self.whole or self.is_leaf_module(m, name):
            output = self.create_proxy("call_module", name, args, kwargs)
        else:
            output = self._look_into(name, forward, args, kwargs)
        self._stack.pop()
        output = spread(output)
        tensors = [proxy.node for proxy in tensors_in(output, _is_tensor_proxy)]
        self.calls.append(Call(name, tuple(tensors)))
        if name == "":
            self.answer = output
        return output

    def _look_into(self, name: str, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        num_before = len(self._decided_by)
        try:
            output = forward(*args, **kwargs)
        except Exception as error:
            raise KeptWholeError(name, f"{type(error).__name__}: {error}") from error
        may_decide = self.decisions_in is None or name in self.decisions_in
        reasons = self._decided_by[num_before:]
        if reasons and not may_decide:
            raise KeptWholeError(name, f"it decides by the {min(reasons)} of the clip")
        return output

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Modules of torch are kept whole, except for those that only hold others."""
        containers = (nn.TransformerEncoder, nn.TransformerDecoder)
        return super().is_leaf_module(m, module_qualified_name) and not isinstance(m, containers)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A proxy for a parameter or buffer; anything else as it is."""
        name = None if self.is_computing else self._names.get(id(attr_val))
        if name is None:
            return attr_val
        if name not in self._attributes:
            self._attributes[name] = self.create_proxy("get_attr", name, (), {})
        return self._attributes[name]

    def create_arg(self, a: Any) -> Any:
        """The node or literal that stands for `a`; tensors that the model does not own become constants."""
        if is_proxy(a):
            return a.node
        if isinstance(a, Tensor):
            name = self._names.setdefault(id(a), f"_constant_{len(self.constants)}")
            if name.startswith("_constant_"):
                self.constants[name] = a
            return self.getattr(name, a, {}).node
        return super().create_arg(a)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Any = None,
    ) -> ExampleProxy:
        """A new node, and the value that it has on the example."""
        inputs = tensors_in([args, kwargs], is_proxy)
        self._check_inputs(inputs)
        versions = [proxy.value._version if _is_tensor_proxy(proxy) else 0 for proxy in inputs]
        value = self._compute(kind, target, args, kwargs)
        changed = [
            proxy
            for proxy, version in zip(inputs, versions, strict=True)
            if _is_tensor_proxy(proxy) and proxy.value._version != version
        ]
        node = self.create_node(kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr)
        self._note_changes(node, value, changed)
        self._inform(node, value, inputs, changed)
        return ExampleProxy(node, self, value)

    def decide(self, proxy: ExampleProxy, kind: Callable[[Any], Any]) -> Any:
        """What `kind` (such as `bool`) makes of a value, for a use that the graph cannot hold."""
        answer = kind(proxy.value)
        source = self.info[proxy.node]
        if source.from_clip:
            reason = "content" if source.from_pixels else "size"
            self._decided_by.append(reason)
            node = self.create_node("call_function", check_decision, (proxy.node, answer, reason), {})
            node.meta["is_wrapped"] = True  # a saved half calls it, instead of looking into it
            self._inform(node, None, [proxy], [])
        return answer

    def _check_inputs(self, inputs: list[Any]) -> None:
        for proxy in inputs:
            for tensor in tensors_in(proxy.value, is_tensor):
                writer = self._writers.get(self._storage_of(tensor))
                if writer is not None and proxy.node < writer:
                    raise TraceError("a tensor is used after it was changed in place through another view")

    def _compute(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        stand_in = self.sandbox.stand_in
        args, kwargs = values_of(args, stand_in), values_of(kwargs, stand_in)
        was_computing, self.is_computing = self.is_computing, True
        try:
            if kind == "placeholder":
                return self.sandbox.clip()
            if kind == "get_attr":
                owned = self.constants[target] if target in self.constants else attribute(self.model, target)
                return stand_in(owned)
            if kind == "call_module":
                return self.sandbox.call(self.model.get_submodule(target), *args, **kwargs)
            if kind == "call_method":
                return getattr(args[0], target)(*args[1:], **kwargs)
            return target(*args, **kwargs)
        finally:
            self.is_computing = was_computing

    def _note_changes(self, node: Node, value: object, changed: list[ExampleProxy]) -> None:
        for proxy in changed:
            if proxy.value is not value:
                raise TraceError(f"{node.target} changes a tensor in place that it does not return")
            proxy.node = node  # who uses the tensor from here on uses the changed one
            self._writers[self._storage_of(proxy.value)] = node

    def _inform(self, node: Node, value: object, inputs: list[Any], changed: list[Any]) -> None:
        sources = [self.info[source] for source in node.all_input_nodes]
        tensors = tensors_in(value, is_tensor)
        reads_values = bool(tensors) or (node.op == "call_method" and node.target in READS_VALUES)
        is_clip = node.op == "placeholder"
        self.info[node] = NodeInfo(
            module=self._stack[-1] if self._stack else "",
            fact=describe(value),
            from_clip=is_clip or any(source.from_clip for source in sources),
            from_pixels=is_clip or (reads_values and any(source.from_pixels for source in sources)),
            storages=frozenset(self._storage_of(tensor) for tensor in tensors),
            changes=frozenset(self._storage_of(proxy.value) for proxy in changed),
        )

    def _storage_of(self, tensor: Any) -> int:
        storage = tensor.untyped_storage()
        if storage not in self._storages:
            self._storages[storage] = next(self._numbers)
        return self._storages[storage]


class _Whole(nn.Module):
    """The model behind a forward with one argument, whatever else its own takes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Any) -> Any:
        output = self.model(clip)
        return output if is_proxy(output) else None


def attribute(model: nn.Module, name: str) -> Any:
    """The parameter, buffer or plain tensor of that dotted name."""
    module, _, attribute_name = name.rpartition(".")
    return getattr(model.get_submodule(module), attribute_name)


def _names_of_tensors(model: nn.Module) -> dict[int, str]:
    names = {}
    for prefix, module in reversed(list(model.named_modules())):
        for key, value in (*module.__dict__.items(), *module._buffers.items(), *module._parameters.items()):
            if isinstance(value, Tensor):
                names[id(value)] = f"{prefix}.{key}" if prefix else key
    return names


@contextmanager
def _attributes_restored(model: nn.Module) -> Iterator[None]:
    """A model that keeps something on itself in its forward would keep proxies."""
    kept = [(module.__dict__, dict(module.__dict__)) for module in model.modules()]
    try:
        yield
    finally:
        for attributes, before in kept:
            attributes.clear()
            attributes.update(before)


def _is_tensor_proxy(value: Any) -> bool:
    return is_proxy(value) and isinstance(value.value, Tensor)
