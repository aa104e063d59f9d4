#!/usr/bin/env python3
"""Builds TensorRT engines of an exported artefact on the device that is to run them, and checks them.

    python3 build_engine.py FOLDER

needs TensorRT's Python API, CUDA's run-time library and numpy: what JetPack brings. Python 3.8 or newer.

The engine is compared with the reference outputs in the folder. One whose code or answer is too far from them
is renamed to `.rejected`, and the script ends with 3; it ends with 1 where nothing could be built.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
if (CHECKOUT / "approxbit" / "engines").is_dir():  # in a clone nothing needs to be installed
    sys.path.insert(0, str(CHECKOUT))

from approxbit.engines.agreement import measure_agreement  # noqa: E402
from approxbit.engines.artefact import Artefact, load_artefact, load_reference  # noqa: E402
from approxbit.engines.tensorrt import trtexec  # noqa: E402
from approxbit.engines.tensorrt.build import BuildOptions, build_engine  # noqa: E402
from approxbit.engines.tensorrt.cuda import Cuda  # noqa: E402
from approxbit.engines.tensorrt.graph import TensorRTGraph  # noqa: E402
from approxbit.engines.tensorrt.library import (  # noqa: E402
    Features,
    choose_precision,
    import_tensorrt,
    known_faults,
    parse_version,
)
from approxbit.engines.tensorrt.store import (  # noqa: E402
    ENGINES_FOLDER,
    EngineKey,
    EngineRecord,
    EngineStore,
)
from approxbit.errors import ApproxBitError, EngineError  # noqa: E402
from approxbit.files import sha256_of, write_whole  # noqa: E402

FAILED, REJECTED = 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Run the script; 0 if every engine that was asked for is there and agrees with the reference."""
    options = parse_arguments(arguments)
    try:
        artefact = load_artefact(options.folder)
        graphs = chosen_graphs(options.graph, artefact)
        if options.dry_run:
            print_commands(artefact, graphs, options)
            return 0
        workshop = Workshop(artefact, options)
        accepted = [workshop.deliver(graph) for graph in graphs]
    except (ApproxBitError, ImportError) as error:
        print(f"build_engine: {error}", file=sys.stderr)
        return FAILED
    return 0 if all(accepted) else REJECTED


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    command_line = argparse.ArgumentParser(prog="build_engine", description=(__doc__ or "").split("\n", 1)[0])
    add = command_line.add_argument
    add("folder", type=Path, help="what `approxbit export` wrote: card.json, edge.onnx, reference.npz, ...")
    add(
        "--graph",
        choices=("edge", "server", "whole", "both", "all"),
        help="both: the two halves; all: whole.onnx as well; default: the half that the target is for",
    )
    add(
        "--fp32", action="store_true", help="build a weak-fp16 graph in FP32: slower, closer to the reference"
    )
    add("--workspace-mb", type=int, default=2048, help="scratch memory for a layer, MiB (default: 2048)")
    add("--optimization-level", type=int, choices=range(6), help="0 builds fast, 5 searches long (8.6+)")
    add("--cache", type=Path, metavar="DIR", help="where the engines go (default: FOLDER/engines)")
    add("--timing-cache", type=Path, metavar="FILE", help="default: timing.cache beside the engines")
    add("--rebuild", action="store_true", help="build even if the engine is there")
    add("--timed-runs", type=int, default=50, help="runs to time the engine with (default: 50)")
    add("--dry-run", action="store_true", help="only print the trtexec command lines that do the same")
    add("--tensorrt", metavar="VERSION", help="with --dry-run: for this version, such as 8.5.2")
    options = command_line.parse_args(arguments)
    if options.workspace_mb < 1 or options.timed_runs < 1:
        command_line.error("--workspace-mb and --timed-runs must be at least 1")
    if options.tensorrt and not options.dry_run:
        command_line.error("--tensorrt is for --dry-run: an engine is always built by the TensorRT at hand")
    return options


def chosen_graphs(asked: str | None, artefact: Artefact) -> list[str]:
    """The graphs to build: those asked for, or the half that runs where the target is for.

    Raises:
        ArtefactError: The artefact lacks the unsplit model, which is asked for.
    """
    several = {"both": ["edge", "server"], "all": ["edge", "server", "whole"]}
    default = "server" if artefact.card.target.get("name") == "server" else "edge"
    graphs = several.get(asked or "", [asked or default])
    for graph in graphs:
        artefact.graph_card(graph)
    return graphs


def build_options(artefact: Artefact, options: argparse.Namespace, features: Features) -> BuildOptions:
    """The command line as the builder takes it."""
    card = artefact.card
    precision = choose_precision(card.precision, features, options.fp32)
    return BuildOptions(precision, card.max_batch, options.workspace_mb, options.optimization_level)


def print_commands(artefact: Artefact, graphs: list[str], options: argparse.Namespace) -> None:
    """Print what to type where this script cannot run: stdout takes the commands, stderr the rest."""
    version = options.tensorrt or _version_at_hand() or artefact.card.target.get("tensorrt")
    if version is None:
        raise EngineError("neither this machine nor the target has a TensorRT: say which with --tensorrt")
    numbers = parse_version(version)
    build = build_options(artefact, options, Features.of_version(numbers))
    print(f"for TensorRT {version}; nothing is compared with the reference", file=sys.stderr)
    for graph in graphs:
        path = artefact.graph_path(graph)
        print(trtexec.build_command(path, artefact.card.graphs[graph], build, numbers))
        print(trtexec.profile_command(path.with_suffix(".engine"), numbers))


def _version_at_hand() -> str | None:
    try:
        return str(import_tensorrt().__version__)
    except ImportError:
        return None


class Workshop:
    """Builds, checks and stores the engines of one artefact on this machine."""

    def __init__(self, artefact: Artefact, options: argparse.Namespace):
        self.artefact, self.options = artefact, options
        self.trt: Any = import_tensorrt()
        self.build = build_options(artefact, options, Features.of(self.trt))
        self.cuda = Cuda()
        self.gpu = self.cuda.gpu()
        folder = options.cache or artefact.folder / ENGINES_FOLDER
        self.store = EngineStore(folder)
        self.timing_cache: Path = options.timing_cache or folder / "timing.cache"
        self.reference = load_reference(artefact)
        say(f"{artefact.card.name}, exported for {artefact.card.target.get('name')}")
        say(f"{self.gpu.name}, compute capability {self.gpu.compute_capability}")
        say(f"TensorRT {self.trt.__version__}, {self.build.precision}")
        for fault in known_faults(parse_version(self.trt.__version__)):
            say(f"warning: in this version of TensorRT {fault}; trust the comparison below, nothing else")

    def deliver(self, graph: str) -> bool:
        """One engine, built or from the cache; whether it agrees with the reference."""
        key = self.key(graph)
        found = None if self.options.rebuild else self.store.load(key)
        if found is not None:
            plan, record = found
            built, seconds = record.built, record.build_seconds
            say(f"{graph}: takes the engine that was built at {built}")
        else:
            start = time.perf_counter()
            plan = self.build_plan(graph)
            seconds = round(time.perf_counter() - start, 1)
            built = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            say(f"{graph}: built in {seconds:.0f} s, {len(plan) / 1e6:.1f} MB")
        accepted, report = self.examine(graph, plan)
        record = EngineRecord(key, sha256_of(plan), built, seconds, accepted, report)
        path = self.store.save(plan, record)
        say(f"{graph}: {'accepted' if accepted else 'REJECTED, too far from the reference'}: {path}")
        return accepted

    def key(self, graph: str) -> EngineKey:
        """What decides which engine comes out."""
        digest, gpu = self.artefact.card.graphs[graph].digest, self.gpu
        version = self.trt.__version__
        return EngineKey(graph, digest, gpu.name, gpu.compute_capability, version, vars(self.build))

    def build_plan(self, graph: str) -> bytes:
        """Build, and keep the timings for the next build."""
        card, path = self.artefact.card.graphs[graph], self.artefact.graph_path(graph)
        timings = self.timing_cache.read_bytes() if self.timing_cache.exists() else b""
        plan, timings = build_engine(
            self.trt, path, card, self.build, timings, lambda text: say(f"{graph}: {text}")
        )
        write_whole(self.timing_cache, timings, make_parents=True)
        return plan

    def examine(self, graph: str, plan: bytes) -> tuple[bool, dict[str, Any]]:
        """Compare an engine with the reference and time it."""
        card, given = self.artefact.card, "packed" if graph == "server" else "clip"
        rows = self.reference.arrays_of(graph)[given]
        with TensorRTGraph(self.trt, plan, self.cuda, card.max_batch) as opened:
            found = measure_agreement(opened, graph, self.reference)
            times = self.times(lambda number: opened.run({given: rows[number : number + 1]}))
        say(f"{graph}: {found}; the limit is {card.tolerance}")
        words = ", ".join(f"{name} {ms:.2f} ms" for name, ms in times.items())
        say(f"{graph}: {words} (from host memory to host memory, {self.options.timed_runs} runs)")
        facts = {name: value if np.isfinite(value) else None for name, value in found.as_dict().items()}
        return found.is_within(card.tolerance), {"agreement": facts, "times_ms": times}  # for JSON

    def times(self, run: Callable[[int], object]) -> dict[str, float]:
        """Percentiles of the milliseconds of one inference, after a warm-up."""
        samples = []
        for number in range(-5, self.options.timed_runs):
            start = time.perf_counter()
            run(number % len(self.reference))
            if number >= 0:
                samples.append(1000 * (time.perf_counter() - start))
        return {f"p{percent}": round(float(np.percentile(samples, percent)), 3) for percent in (50, 90, 99)}


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
