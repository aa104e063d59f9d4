"""Where a model can be cut, and what is wrong with the other places."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from torch import nn
from torch.fx import Node

from approxbit.backbones.splitting.trace import Trace


class NotCleanError(ValueError):
    """More than one tensor of the clip would cross a cut, or less."""


def find_value(trace: Trace, name: str) -> Node:
    """The node of the one tensor that a module returns.

    Raises:
        ValueError: There is no such module.
        NotCleanError: It does not run exactly once, does not return exactly one tensor of floats, or leaves
            nothing to do on one of the sides.
    """
    modules = dict(trace.model.named_modules(remove_duplicate=False))
    if name not in modules or name == "":
        near = get_close_matches(name, [other for other in modules if other], n=3, cutoff=0.5)
        known = near or [child for child, _ in trace.model.named_children()]
        raise ValueError(f"the model has no module {name!r}; perhaps {_one_of(known)}")
    calls = [call for call in trace.calls if modules[call.module] is modules[name]]
    if not calls:
        raise NotCleanError(_why_never_run(trace, name, modules[name]))
    if len(calls) > 1:
        raise NotCleanError(f"{name!r} runs {len(calls)} times, and a cut is made at a module that runs once")
    tensors = calls[0].tensors
    if not tensors:
        raise NotCleanError(f"{name!r} returns neither a tensor nor a tuple or list with one")
    if len(tensors) > 1:
        raise NotCleanError(f"{name!r} returns {len(tensors)} tensors, and exactly one can cross a cut")
    check_value(trace, name, tensors[0])
    return tensors[0]


def check_value(trace: Trace, name: str, node: Node) -> None:
    """Make sure that a node's value can cross a cut by itself; `name` is the module that returned it.

    Raises:
        NotCleanError: It is no tensor of floats made of the clip, or leaves nothing to do on one side.
    """
    fact = trace.tensor(node)
    if fact is None or not fact.dtype.is_floating_point:
        kind = fact.dtype if fact is not None else "no tensor"
        raise NotCleanError(f"{name!r} returns {kind}, and a feature is made of floats")
    if not trace.info[node].from_pixels:
        raise NotCleanError(f"what {name!r} returns depends on nothing in the clip")
    if node is trace.output:
        raise NotCleanError(f"{name!r} returns the model's answer, which leaves nothing to do after the cut")
    if node is trace.clip:
        raise NotCleanError(f"{name!r} returns the clip, which leaves nothing to do before the cut")


def find_later(value: Node) -> set[Node]:
    """All nodes that depend on a value."""
    later: set[Node] = set()
    front = list(value.users)
    while front:
        node = front.pop()
        if node not in later:
            later.add(node)
            front.extend(node.users)
    return later


def sources_of(nodes: Iterable[Node], within: set[Node] | None = None) -> set[Node]:
    """The nodes and all that they depend on, as far as that is within a set."""
    found: set[Node] = set()
    front = list(nodes)
    while front:
        node = front.pop()
        if node not in found and (within is None or node in within):
            found.add(node)
            front.extend(node.all_input_nodes)
    return found


def needed_later(trace: Trace, value: Node) -> tuple[set[Node], set[Node]]:
    """What the server runs of the nodes that depend on `value`, and which others those nodes ask for.

    Raises:
        NotCleanError: The answer does not depend on the value, or another tensor of the clip crosses.
    """
    output = trace.output
    later = find_later(value)
    if output is None or output not in later:
        raise NotCleanError("the answer does not depend on what crosses there")
    ends = [output, *(node for node in trace.decisions if node in later)]
    running = sources_of(ends, within=later)
    crossing = {source for node in running for source in node.all_input_nodes} - running - {value}
    for node in sorted(crossing, key=trace.order.__getitem__):
        if trace.info[node].from_pixels:
            raise NotCleanError(
                f"a skip connection or a second pathway crosses it: {describe_node(trace, node)} is needed "
                "after the cut too"
            )
    return running, crossing


def describe_node(trace: Trace, node: Node) -> str:
    """A node in the words of the model's author."""
    if node is trace.clip:
        return "the clip itself"
    fact = trace.tensor(node)
    shape = f", a tensor of shape {fact.shape}," if fact is not None else ""
    modules = [call.module for call in trace.calls if call.tensors == (node,)]
    if modules:
        return f"the output of {min(modules, key=_depth)!r}{shape}"
    if node.target is getattr:
        return f"the {node.args[1]} of {describe_node(trace, node.all_input_nodes[0])}"
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "an operation")
    module = trace.info[node].module
    return f"the result of {target!r} in {repr(module) if module else 'the model itself'}{shape}"


def boundaries(trace: Trace) -> list[tuple[str, Node]]:
    """Modules that run once and return one tensor, in order of execution, with its node.

    Where a module returns what its last part returned, only the outer one is named.
    """
    num_calls: dict[str, int] = {}
    for call in trace.calls:
        num_calls[call.module] = num_calls.get(call.module, 0) + 1
    names: dict[Node, str] = {}
    for call in trace.calls:
        if len(call.tensors) == 1 and num_calls[call.module] == 1 and call.module:
            (node,) = call.tensors
            if node not in names or _depth(call.module) < _depth(names[node]):
                names[node] = call.module
    return [(names[node], node) for node in sorted(names, key=trace.order.__getitem__)]


def find_repeated(trace: Trace) -> dict[str, str]:
    """The modules that cannot be cut at because of how they run, and why: the outermost of each kind."""
    num_calls: dict[str, int] = {}
    for call in trace.calls:
        num_calls[call.module] = num_calls.get(call.module, 0) + 1
    found = {
        name: f"it runs {number} times, perhaps once a frame, and a cut is made at a module that runs once"
        for name, number in num_calls.items()
        if number > 1
    }
    found.update({name: f"it is kept whole: {reason}" for name, reason in trace.whole.items()})
    return {name: found[name] for name in found if name.rpartition(".")[0] not in found}


def nearest_clean(trace: Trace, value: Node) -> list[str]:
    """The last clean cut before a value and the first after it."""
    places = boundaries(trace)
    before = [place for place in places if trace.order[place[1]] < trace.order[value]]
    after = [place for place in places if trace.order[place[1]] > trace.order[value]]
    found = (
        next((n for n, node in side if _is_clean(trace, n, node)), None) for side in (before[::-1], after)
    )
    return [name for name in found if name is not None]


def _is_clean(trace: Trace, name: str, node: Node) -> bool:
    try:
        check_value(trace, name, node)
        needed_later(trace, node)
    except NotCleanError:
        return False
    return True


def _why_never_run(trace: Trace, name: str, module: nn.Module) -> str:
    parts = name.split(".")
    for parent in (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)):
        if parent in trace.whole:
            return f"{name!r} is inside {parent!r}, which cannot be looked into ({trace.whole[parent]})"
        if any(call.module == parent for call in trace.calls):
            return f"{name!r} is inside {parent!r} and is not called by itself; cut at {parent!r}"
    ran = {call.module for call in trace.calls}
    parts_that_ran = [f"{name}.{child}" for child, _ in module.named_children() if f"{name}.{child}" in ran]
    advice = (
        f"; it only holds other modules, the last of them is {parts_that_ran[-1]!r}" if parts_that_ran else ""
    )
    return f"{name!r} is never run on the example{advice}"


def _depth(name: str) -> int:
    return name.count(".")


def _one_of(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names) if names else "it has none"
