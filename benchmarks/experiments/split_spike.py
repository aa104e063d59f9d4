"""Whether the tracer of `approxbit.split` is worth its lines: three ways to cut a model, compared.

    python benchmarks/experiments/split_spike.py [MODEL ...]

The ways: `approxbit.split`; `torch.export`, whose graph is cut after the last operation of the module,
and whose halves may also pass sizes; `torch.distributed.pipelining.pipeline` with a split after the
module. "yes" stands where one tensor crosses and the halves give the model's answer bit for bit, on
batches of 1 and 2 and on clips of another size, if the model takes such; "one size" where they do so
without the latter. Each way has 120 s of CPU time for a model; only the Swin needs them. All models take
about 10 minutes of one core, and need the extras `vlm` and `pytorchvideo`.
"""

from __future__ import annotations

import argparse
import logging
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
import transformers
from split_models import MODELS, Case
from torch import Tensor, nn
from torch.distributed.pipelining import SplitPoint, pipeline
from torch.export import Dim
from torch.fx import Graph, GraphModule, Node

from approxbit import split

LIMIT_S = 120
Halves = Callable[[Tensor], Tensor]


def with_ours(case: Case, model: nn.Module, clip: Tensor, _axes: Iterable[int]) -> Halves:
    """The halves of `approxbit.split`."""
    backbone = split(model, {"P": case.at}, clip)
    edge, server = backbone.edge_half("P"), backbone.server_half("P")
    return lambda clip: server(edge(clip))


def with_export(case: Case, model: nn.Module, clip: Tensor, axes: Iterable[int]) -> Halves:
    """The halves of an exported graph in which no operation changes a tensor in place."""
    exported = torch.export.export(model, (clip,), dynamic_shapes=(dict.fromkeys(axes, Dim.AUTO),))
    edge, server = cut_graph(exported.run_decompositions({}).module(), case.at)
    return lambda clip: server(*edge(clip))


def with_pipelining(case: Case, model: nn.Module, clip: Tensor, _axes: Iterable[int]) -> Halves:
    """The two stages of a pipeline."""
    pipe = pipeline(model, (clip,), split_spec={case.at: SplitPoint.END})
    edge, server = pipe.get_stage_module(0), pipe.get_stage_module(1)

    def answer(clip: Tensor) -> Tensor:
        crossing = edge(clip)
        if not isinstance(crossing, Tensor):
            raise ValueError(f"{len(crossing)} values cross")
        return server(crossing)

    return answer


def cut_graph(program: GraphModule, at: str) -> tuple[GraphModule, GraphModule]:
    """The operations up to the end of a module, and those after it; sizes cross beside the tensor."""
    nodes = list(program.graph.nodes)
    inside = [node for node in nodes if at in dict(node.meta.get("nn_module_stack", {}).values())]
    if not inside:
        raise ValueError("no operation of the module is left in the graph")
    value, output = inside[-1], nodes[-1]
    later = reach(value.users, lambda node: node.users)
    after = reach([output], lambda node: [each for each in node.all_input_nodes if each in later])
    crossing = {each for node in after for each in node.all_input_nodes} - after - {value}
    clips = [node for node in nodes if node.op == "placeholder"]
    pixels = reach(clips, lambda node: [user for user in node.users if not is_size(user)])
    if crossing & pixels:
        others = ", ".join(sorted(map(str, crossing & pixels)))
        raise ValueError(f"{1 + len(crossing & pixels)} tensors cross: {value}, {others}")
    again = reach(crossing, lambda node: [] if is_size(node) else node.all_input_nodes)
    ends = [value, *(node for node in nodes if node in again and is_size(node))]
    before = reach(ends, lambda node: node.all_input_nodes)

    edge, copies = Graph(), dict[Node, Any]()
    for node in (node for node in nodes if node in before):
        copies[node] = edge.node_copy(node, copies.__getitem__)
    edge.output(tuple(copies[node] for node in ends))
    server = Graph()
    copies = {node: server.placeholder(node.name) for node in ends}
    for node in (node for node in nodes if node in again | after and node not in (*ends, output)):
        copies[node] = server.node_copy(node, copies.__getitem__)
    server.output(copies[output.all_input_nodes[0]])
    return GraphModule(program, edge), GraphModule(program, server)


def is_size(node: Node) -> bool:
    """Whether a node's value is a number that the exported program computes from the shape of the clip."""
    return isinstance(node.meta.get("val"), (int, torch.SymInt))


def reach(starts: Iterable[Node], step: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """The starts, and all nodes that steps lead to."""
    found, front = set[Node](), list(starts)
    while front:
        node = front.pop()
        if node not in found:
            found.add(node)
            front += step(node)
    return found


@torch.no_grad()
def attempt(way: Callable[..., Halves], case: Case, with_other_size: bool) -> str:
    """Nothing if the halves are right, else what went wrong."""
    torch.manual_seed(0)
    model, example = case.build().eval(), torch.rand(2, *case.clip)
    shapes = [(1, *case.clip), (2, *case.clip)]
    if with_other_size and case.other_clip:
        shapes.append((2, *case.other_clip))
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        halves = way(case, model, example, (0, 2, 3, 4) if len(shapes) > 2 else (0,))
        for shape in shapes:
            clip = torch.rand(shape)
            expected, found = model(clip.clone()), halves(clip.clone())
            if found.shape != expected.shape:
                return f"answers of shape {tuple(found.shape)} to clips of {shape}"
            if not torch.equal(found, expected):
                return f"other answers to clips of {shape}, by up to {(found - expected).abs().max():.1g}"
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0][:160]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def give_up(*_: object) -> None:
    """End an attempt that takes too long."""
    raise TimeoutError(f"not done in {LIMIT_S} s")


WAYS = {"ours": with_ours, "torch.export": with_export, "pipelining": with_pipelining}


def main(names: list[str]) -> None:
    """Print the table and, under it, the reasons."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, give_up)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, one core, {versions}; seconds are of CPU time\n"
    )
    print(f"| model | cut after | {' | '.join(WAYS)} |\n|{'---|' * (2 + len(WAYS))}")
    reasons, num_split, num_in_full = [], dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0)
    for name in names or MODELS:
        case, cells = MODELS[name], []
        for way, function in WAYS.items():
            start = time.process_time()
            failure = attempt(function, case, with_other_size=True)
            seconds = time.process_time() - start
            is_split = not failure or (case.other_clip is not None and not attempt(function, case, False))
            cells.append(f"{'no' if not is_split else 'one size' if failure else 'yes'}, {seconds:.0f} s")
            num_split[way] += is_split
            num_in_full[way] += not failure
            reasons += [f"- {name}, {way}: {failure}"] if failure else []
        print(f"| {name} | `{case.at}` | {' | '.join(cells)} |", flush=True)
    totals = (f"{num_split[way]} split, {num_in_full[way]} in full" for way in WAYS)
    print(f"| {len(names or MODELS)} models | | {' | '.join(totals)} |\n", *reasons, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", choices=[[], *MODELS], help="all by default")
    main(parser.parse_args().models)
