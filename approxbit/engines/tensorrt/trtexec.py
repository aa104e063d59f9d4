"""The same build and a profile as ready command lines of `trtexec`, whose flags differ between versions."""

from __future__ import annotations

import shlex
from pathlib import Path

from approxbit.engines.artefact import GraphCard
from approxbit.engines.tensorrt.build import BuildOptions


def build_command(path: Path, graph: GraphCard, options: BuildOptions, version: tuple[int, int]) -> str:
    """Build an engine, without comparing it with anything.

    Args:
        path: The ONNX file.
        graph: Its card.
        options: How to build.
        version: TensorRT's, such as (10, 3).
    """
    words = [
        "trtexec",
        f"--onnx={path}",
        f"--saveEngine={path.with_suffix('.engine')}",
        f"--timingCacheFile={path.parent / 'timing.cache'}",
        f"--memPoolSize=workspace:{options.workspace_mb}",
        "--profilingVerbosity=detailed",
        "--buildOnly" if version < (8, 6) else "--skipInference",
    ]
    if options.optimization_level is not None and version >= (8, 6):
        words.append(f"--builderOptimizationLevel={options.optimization_level}")
    return shlex.join([*words, *_precision_flags(graph, options, version), *_batch_flags(graph, options)])


def profile_command(engine_path: Path, version: tuple[int, int]) -> str:
    """Time an engine and each of its layers, in two runs, because the second slows the engine down."""
    words = [
        "trtexec",
        f"--loadEngine={engine_path}",
        "--warmUp=500",
        "--iterations=200",
        "--percentile=50,90,99",
        "--useSpinWait",
        "--noDataTransfers",
        "--profilingVerbosity=detailed",
        "--dumpProfile",
        f"--exportProfile={engine_path.with_suffix('.layers.json')}",
    ]
    if version < (11, 0):  # from 11 on it goes without saying
        words.append("--separateProfileRun")
    return shlex.join(words)


def _precision_flags(graph: GraphCard, options: BuildOptions, version: tuple[int, int]) -> list[str]:
    if options.precision == "fp32":
        return ["--noTF32"]
    if options.precision == "strong-fp16":
        return ["--stronglyTyped"] if version < (11, 0) else []
    flags = ["--fp16", "--precisionConstraints=obey"]
    if graph.float32_layers:
        layers = ",".join(f"{name}:fp32" for name in graph.float32_layers)
        flags += [f"--layerPrecisions={layers}", f"--layerOutputTypes={layers}"]
    return flags


def _batch_flags(graph: GraphCard, options: BuildOptions) -> list[str]:
    flags = []
    for name, batch in (("min", 1), ("opt", max(1, options.max_batch // 2)), ("max", options.max_batch)):
        shapes = [
            "{}:{}".format(each.name, "x".join(str(size or batch) for size in each.shape))
            for each in graph.inputs
            if None in each.shape
        ]
        if shapes:
            flags.append(f"--{name}Shapes={','.join(shapes)}")
    return flags
