"""Every shipped and every full-size configuration through the gate of every target.

    python benchmarks/figures/gate.py --only 'digits-*'  # the shipped ones: minutes
    python benchmarks/figures/gate.py --only 'mvitv2_b/*' --resume
    python benchmarks/figures/gate.py --rtx --resume     # also builds `server`'s graphs with TensorRT-RTX
    python benchmarks/figures/gate.py --resume --write   # puts the table into export/README.md

What full size is here, `full_size.py` says: random weights, and of a video-language model only its tower.

Each graph is exported once for all targets that share exporter, opset, precision and batch. What is done
is kept in `--results` after every graph: Ctrl-C stops, `--resume` goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from documents import REPOSITORY
from full_size import full_size
from gate_results import RTX_TARGET, Item, Results, print_table, write_figures
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import approxbit
from approxbit.configuration import Configuration
from approxbit.engines.artefact import Reference
from approxbit.errors import ExportError
from approxbit.exporting.gate import Target, check_graph, load_target, target_names
from approxbit.exporting.graph import finish_graph, save_graph, trace_graph
from approxbit.exporting.reference import make_clips, make_reference
from approxbit.exporting.roles import GraphRole, check_agreement, make_roles
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format
from approxbit.zoo import PAPER_CONFIGURATIONS

RTX_SCRIPT = REPOSITORY / "tests" / "export" / "rtx.py"
NUM_SHIPPED_CLIPS = 2

console = Console(stderr=True, highlight=False)


class Subject(NamedTuple):
    """A configuration to export."""

    name: str
    make: Callable[[], OffloadedModel]
    num_clips: int


class Variant(NamedTuple):
    """What decides which bytes an exported graph has, beside the model."""

    role: str
    exporter: str
    opset: int
    mixed: bool
    open_batch: bool
    output_type: str

    def __str__(self) -> str:
        precision = "mixed" if self.mixed else "float32"
        batch = " open" if self.open_batch else ""
        output = "" if self.output_type == "uint8" else f" {self.output_type}"
        return f"{self.role} {self.exporter} {self.opset} {precision}{batch}{output}"


@dataclass
class Job:
    """One graph, and the targets that share it."""

    variant: Variant
    targets: list[Target]


def subjects() -> list[Subject]:
    """Shipped ones and full-size ones; among each, one of each offload point and encoder comes first."""
    shipped = [
        Subject(name, partial(approxbit.load, name), NUM_SHIPPED_CLIPS) for name in approxbit.available()
    ]
    paper = [
        Subject(f"{builder}/{name}", partial(full_size, f"{builder}/{name}"), 1)
        for builder, names in PAPER_CONFIGURATIONS.items()
        for name in names
    ]
    return [*new_kinds_first(shipped), *new_kinds_first(paper)]


def new_kinds_first(given: list[Subject]) -> list[Subject]:
    """Those whose codes differ from earlier ones in their codebook size only come last."""
    first, rest, seen = [], [], set()
    for subject in given:
        family, _, name = subject.name.rpartition("/")
        configuration = Configuration.parse(name)
        kind = family, configuration.offload_point, configuration.spatial_encoder
        (rest if kind in seen else first).append(subject)
        seen.add(kind)
    return [*first, *rest]


def make_jobs(targets: list[Target]) -> list[Job]:
    """The distinct graphs of all targets; those that share a trace follow each other."""
    jobs: dict[Variant, Job] = {}
    for role in ("edge", "server"):
        for target in targets:
            variant = Variant(
                role,
                target.exporter,
                target.opset,
                target.precision == "strong-fp16",
                role == "server" and target.dynamic_batch is not None,
                target.output_type if role == "edge" else "uint8",
            )
            jobs.setdefault(variant, Job(variant, [])).targets.append(target)
    return sorted(jobs.values(), key=lambda job: (job.variant[:3], job.variant.open_batch, job.variant.mixed))


class Workshop:
    """Exports the graphs of one subject; keeps the last trace, which the next graph may share."""

    def __init__(self, subject: Subject, folder: Path, with_rtx: bool):
        self.subject, self.folder, self.with_rtx = subject, folder, with_rtx
        self.model = subject.make()
        clips = make_clips(clip_format(self.model.backbone), subject.num_clips)
        self.reference: Reference = make_reference(self.model, clips)
        self._trace: tuple[object, bytes] | None = None

    def examine(self, job: Job) -> Item:
        """Export a graph, and ask every target and ONNX Runtime about it."""
        start = time.perf_counter()
        path = self.folder / "graph.onnx"
        item = Item(
            self.subject.name, job.variant.role, str(job.variant), [each.name for each in job.targets]
        )
        try:
            self._write(job, path)
            for target in job.targets:
                report = check_graph(path, target, job.variant.role)  # type: ignore[arg-type]
                item.num_nodes = sum(report.operators.values())
                item.violations[target.name] = [str(each) for each in report.violations]
            precision = job.targets[0].precision
            item.agreement = check_agreement(path, job.variant.role, self.reference, precision).as_dict()  # type: ignore[arg-type]
        except (ExportError, ValueError) as error:
            item.error = f"{type(error).__name__}: {error}"
        item.seconds = time.perf_counter() - start
        if self.with_rtx and not item.error and is_for_rtx(job):
            item.rtx = build_with_rtx(path, job)
        return item

    def _write(self, job: Job, path: Path) -> None:
        import onnx

        variant = job.variant
        key = variant[:3], variant.open_batch, variant.output_type
        if self._trace is None or self._trace[0] != key:
            self._trace = None  # frees a large model before the next one is made
            role = self._role(job)
            graph = trace_graph(role.view, role.example, role.interface, variant.exporter, variant.opset)
            self._trace = key, graph.SerializeToString()
        graph = onnx.load_from_string(self._trace[1])
        save_graph(finish_graph(graph, job.targets[0].precision), path)

    def _role(self, job: Job) -> GraphRole:
        roles = make_roles(self.model, job.targets[0], self.reference.clip)
        return next(role for role in roles if role.name == job.variant.role)


def is_for_rtx(job: Job) -> bool:
    return any(target.name == RTX_TARGET for target in job.targets)


def build_with_rtx(path: Path, job: Job) -> dict[str, Any]:
    """Build with TensorRT-RTX in a process of its own: a graph that it cannot take may end it."""
    rtx = load_script(RTX_SCRIPT)
    start = time.perf_counter()
    max_batch = job.targets[0].dynamic_batch or 1
    try:
        built = rtx.build_with_rtx(path, "strong-fp16", max_batch)
    except RuntimeError as error:
        return {"error": str(error)}
    return {"seconds": time.perf_counter() - start, "plan_bytes": built["plan_bytes"]}


@cache
def load_script(path: Path) -> Any:
    import importlib.util

    specification = importlib.util.spec_from_file_location(f"gate_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def pending(
    chosen: list[Subject], jobs: list[Job], results: Results, with_rtx: bool
) -> Iterator[tuple[Subject, list[Job]]]:
    """What is still to do; a graph that was not built with RTX is to do again if that is asked for."""
    for subject in chosen:
        left = [
            job
            for job in jobs
            if not results.has(
                subject.name,
                str(job.variant),
                [target.name for target in job.targets],
                needs_rtx=with_rtx and is_for_rtx(job),
            )
        ]
        if left:
            yield subject, left


def run(chosen: list[Subject], jobs: list[Job], results: Results, with_rtx: bool) -> None:
    todo = list(pending(chosen, jobs, results, with_rtx))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with (
        Progress(*columns, TimeElapsedColumn(), console=console) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        task = progress.add_task("", total=sum(len(left) for _, left in todo))
        for subject, left in todo:
            progress.update(task, description=f"{subject.name}: reference")
            workshop = None  # lets go of the last model before the next is made
            workshop = Workshop(subject, Path(folder), with_rtx)
            for job in left:
                progress.update(task, description=f"{subject.name}: {job.variant}")
                item = workshop.examine(job)
                results.add(item)
                console.print(item.line(), soft_wrap=True)
                progress.advance(task)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", default=["*"], metavar="PATTERN", help="such as 'digits-*' or '*-Enc-B8'")
    add("--target", nargs="+", choices=target_names(), default=list(target_names()))
    add("--results", type=Path, default=Path("build/gate.json"), help="default: build/gate.json")
    add("--resume", action="store_true", help="keep the results that are there")
    add("--rtx", action="store_true", help=f"also build the graphs of {RTX_TARGET} with TensorRT-RTX")
    add("--threads", type=int, default=1, help="of torch (default: 1)")
    add("--write", action="store_true", help="put the table into export/README.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    chosen = [each for each in subjects() if any(fnmatch(each.name, only) for only in options.only)]
    if not chosen:
        parser.error(f"no configuration is called {' or '.join(options.only)}")
    results = Results.open(options.results, options.resume)
    try:
        run(chosen, make_jobs([load_target(name) for name in options.target]), results, options.rtx)
    except KeyboardInterrupt:
        console.print(f"stopped; --resume goes on with what {options.results} has")
    print_table(results, [each.name for each in chosen], options.target)
    if options.write:
        write_figures(results)
    return 0 if results.all_pass else 1


if __name__ == "__main__":
    sys.exit(main())
