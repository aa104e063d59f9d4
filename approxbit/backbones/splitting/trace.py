"""The graph of a model, with what is known of its values for clips of several sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Interpreter, Node

from approxbit.backbones.splitting.proxy import values_of
from approxbit.backbones.splitting.sandbox import Sandbox, TensorFact, describe, sandboxes
from approxbit.backbones.splitting.tracer import (
    Call,
    ExampleTracer,
    KeptWholeError,
    NodeInfo,
    attribute,
    check_decision,
)


@dataclass(frozen=True)
class Trace:
    """What one run of a model on an example showed.

    Attributes:
        model: The model itself, whose parameters and modules the graph names.
        sandbox: Where it was run.
        graph: Its operations, in order.
        info: What is known of each of them.
        calls: Modules in the order in which they returned.
        whole: Modules that could not be looked into, and why.
        constants: Tensors that the model made of nothing.
        answer: What it returned.
    """

    model: nn.Module
    sandbox: Sandbox
    graph: Graph
    info: dict[Node, NodeInfo]
    calls: list[Call]
    whole: dict[str, str]
    constants: dict[str, Tensor]
    answer: Any
    _probes: dict[tuple[int, ...], dict[Node, object] | None] = field(default_factory=dict)

    @property
    def clip(self) -> Node:
        """The node of the clip."""
        first: Node = next(iter(self.graph.nodes))
        return first

    @property
    def output(self) -> Node | None:
        """The node of the answer, if that is one tensor."""
        answer = next(reversed(self.graph.nodes)).args[0]
        return answer if isinstance(answer, Node) and self.tensor(answer) is not None else None

    @property
    def clip_shape(self) -> tuple[int, ...]:
        """Shape of the example, with its batch axis."""
        return tuple(self.sandbox.example.shape)

    @cached_property
    def order(self) -> dict[Node, int]:
        """When each node ran."""
        return {node: index for index, node in enumerate(self.graph.nodes)}

    @cached_property
    def decisions(self) -> list[Node]:
        """The nodes that stop a run which would decide otherwise than the example's."""
        return [node for node in self.graph.nodes if node.target is check_decision]

    def tensor(self, node: Node) -> TensorFact | None:
        """Shape and type of a node's value on the example; None if it is no tensor."""
        fact = self.info[node].fact
        return fact if isinstance(fact, TensorFact) else None

    def facts(self, clip_shape: tuple[int, ...]) -> dict[Node, object] | None:
        """What all values would be for clips of another shape; None if the model does not take them."""
        if clip_shape == self.clip_shape:
            return {node: info.fact for node, info in self.info.items()}
        if clip_shape not in self._probes:
            self._probes[clip_shape] = self._probe(clip_shape)
        return self._probes[clip_shape]

    def graph_module(self, graph: Graph) -> GraphModule:
        """A module that runs a graph with the model's own parameters and modules."""
        members = {
            node.target: self._member(node) for node in graph.nodes if node.op in ("call_module", "get_attr")
        }
        half = GraphModule(members, graph)
        half.training = False  # eval() would also reach into the model's own modules
        return half

    def _member(self, node: Node) -> Any:
        name = str(node.target)
        if node.op == "call_module":
            return self.model.get_submodule(name)
        return self.constants[name] if name in self.constants else attribute(self.model, name)

    def _probe(self, clip_shape: tuple[int, ...]) -> dict[Node, object] | None:
        recorder = _Recorder(self)
        try:
            with self.sandbox.entered():
                recorder.run(self.sandbox.clip(clip_shape))
        except Exception:
            return None  # a model may refuse a size in any way it likes
        return dict(zip(self.graph.nodes, recorder.facts, strict=True))


class GraphInterpreter(Interpreter):
    """Runs the graph of a trace node by node, in its sandbox.

    Functions get lists of their own, as they do when the graph runs as code.
    """

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace.graph_module(trace.graph))
        self.sandbox = trace.sandbox

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The stand-in for a tensor of the model."""
        return self.sandbox.stand_in(super().get_attr(target, args, kwargs))

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a module returns with stand-ins for its tensors."""
        return self.sandbox.call(self.fetch_attr(target), *args, **kwargs)

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values of a node's arguments."""
        args, kwargs = super().fetch_args_kwargs_from_env(n)
        return values_of(args), values_of(dict(kwargs))


class _Recorder(GraphInterpreter):
    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.facts: list[object] = []

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        self.facts.append(describe(value))
        return value


def trace_model(
    model: nn.Module, example: Tensor | Sequence[Tensor], cuts: Iterable[str] | None = None
) -> Trace:
    """Run a model once and write down what it does.

    Args:
        model: In eval mode.
        example: A batch of clips. (A sequence of tensors is refused, with the reason.)
        cuts: Modules that will be cut at: only the modules around them may decide by the size of the clip,
            others that do are kept whole, so that they may decide otherwise for other clips. By default all
            are looked into.

    Raises:
        ValueError: The model is not in eval mode, is wrapped or cannot be traced, or the example is not one
            tensor.
    """
    if not isinstance(example, Tensor) or example.dim() not in (4, 5):
        raise ValueError(
            "the example must be one tensor, a batch of clips [batch, 3, time, height, width] or of images "
            f"[batch, 3, height, width], found {_shown(example)}; a model that takes several inputs (such as "
            "the two pathways of SlowFast) has no single tensor that could cross a cut"
        )
    _check_original(model)
    check_eval_mode(model)
    around = None if cuts is None else frozenset(_prefixes(cuts))
    for sandbox in sandboxes(example):
        try:
            return _trace_in(sandbox, model, around)
        except KeptWholeError as error:
            failure = error
    raise ValueError(
        f"{type(model).__name__} cannot be traced on the example ({failure.reason}); {advise(model, example)}"
    ) from failure


def advise(model: nn.Module, example: Tensor) -> str:
    """What to do about an example that a model does not take, or a model that cannot be followed."""
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), example)
    for found, expected in ((example.dtype, weights.dtype), (example.device, weights.device)):
        if found != expected:
            shown = repr(str(expected)) if isinstance(expected, torch.device) else expected
            return f"its weights are {expected} and the example is {found}: pass example.to({shown})"
    return "check that model(example) runs, or write a subclass of approxbit.backbones.Backbone for it"


_ORIGINAL = {
    nn.DataParallel: ".module",
    nn.parallel.DistributedDataParallel: ".module",
    torch.jit.ScriptModule: ", which torch.jit made it from",
}


def _check_original(model: nn.Module) -> None:
    for name, module in model.named_modules():
        where = f"model.{name}" if name else "model"
        original = next((cure for kind, cure in _ORIGINAL.items() if isinstance(module, kind)), "")
        if hasattr(module, "_orig_mod"):  # torch.compile's
            original = "._orig_mod"
        if original and not (name and isinstance(module, torch.jit.ScriptModule)):  # a part is kept whole
            raise ValueError(
                f"the model must be the module that its author wrote, found {where} to be a "
                f"{type(module).__name__} made of it: pass the original"
                f"{f', {where}{original}' if original[0] == '.' else original}"
            )


def check_answer(trace: Trace) -> None:
    """Make sure that a model returns logits.

    Raises:
        ValueError: It returns something else.
    """
    answer = trace.answer
    if not isinstance(answer, TensorFact) or len(answer.shape) != 2 or trace.output is None:
        found = f"a tensor of shape {answer.shape}" if isinstance(answer, TensorFact) else _kind_of(answer)
        raise ValueError(
            f"the model must return one tensor of logits [batch, class], found {found}: wrap it in a module "
            "that picks them"
        )


def _kind_of(answer: object) -> str:
    if isinstance(answer, Mapping):
        return f"a dict with {', '.join(map(str, answer))}"
    if isinstance(answer, (tuple, list)):
        return f"a {type(answer).__name__} of {len(answer)}"
    return answer.__name__ if isinstance(answer, type) else repr(answer)


def check_eval_mode(model: nn.Module) -> None:
    """Make sure that a model is frozen.

    Raises:
        ValueError: It, or a part of it, is in training mode.
    """
    training = [name or "the model itself" for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(
            f"the model must be in eval mode (model.eval()), found {training[0]} in training mode"
        )


def _trace_in(sandbox: Sandbox, model: nn.Module, around: frozenset[str] | None) -> Trace:
    whole: dict[str, str] = {}
    while True:
        tracer = ExampleTracer(model, sandbox, frozenset(whole), around)
        try:
            with sandbox.entered():
                graph = tracer.run()
        except KeptWholeError as failure:
            if failure.module == "":
                raise
            whole[failure.module] = failure.reason
            continue
        answer = describe(getattr(tracer.answer, "value", tracer.answer))
        return Trace(model, sandbox, graph, tracer.info, tracer.calls, whole, tracer.constants, answer)


def _prefixes(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(len(parts)))


def _shown(example: Tensor | Sequence[Tensor]) -> str:
    if isinstance(example, Tensor):
        return f"a tensor of shape {tuple(example.shape)}"
    return f"a {type(example).__name__} of {len(example)}"
