"""An engine of an ONNX file, with the calls that exist from TensorRT 8.5 to 11.4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from approxbit.engines.artefact import GraphCard
from approxbit.engines.tensorrt.library import Features
from approxbit.engines.tensorrt.network import (
    add_batch_profile,
    check_tensors,
    create_network,
    parse_onnx,
    pin_float32,
)
from approxbit.errors import EngineError

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built.

    Attributes:
        precision: `fp32`, `weak-fp16` or `strong-fp16`; see `choose_precision`.
        max_batch: Largest batch, for a graph that leaves it open.
        workspace_mb: Scratch memory that a layer may take, in MiB. On a Jetson it is the machine's own.
        optimization_level: How long to search, 0 to 5; None is TensorRT's own choice.
    """

    precision: str
    max_batch: int = 1
    workspace_mb: int = 2048
    optimization_level: int | None = None


def build_engine(
    trt: Any, path: Path, graph: GraphCard, options: BuildOptions, timing_cache: bytes, say: Say
) -> tuple[bytes, bytes]:
    """Build an engine for the GPU at hand.

    Args:
        trt: The bindings.
        path: The ONNX file.
        graph: Its card.
        options: How to build.
        timing_cache: Of an earlier build, or nothing.
        say: Takes each line about what is done.

    Returns:
        The engine, and the timing cache after it.

    Raises:
        EngineError: The graph cannot be read, is not what the card says, or cannot be built.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")  # 8.5 builds InstanceNormalization of a plugin
    builder = trt.Builder(logger)
    network = create_network(trt, builder, options.precision)
    parse_onnx(trt, network, path, logger)
    check_tensors(network, graph)
    say(f"parsed {path.name}: {network.num_layers} layers")
    config = builder.create_builder_config()
    _configure(trt, config, options)
    if add_batch_profile(builder, config, graph, options.max_batch):
        say(f"the batch may be 1 to {options.max_batch}")
    if options.precision == "weak-fp16":
        _allow_fp16(trt, network, config, graph, say)
    _use_timing_cache(config, timing_cache, say)
    say(f"building as {options.precision}, which can take minutes")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(
            f"TensorRT {trt.__version__} could not build {path}: its own messages stand above; "
            f"if memory ran out, lower --workspace-mb (now {options.workspace_mb})"
        )
    cache = config.get_timing_cache()
    return bytes(plan), bytes(cache.serialize())


def _configure(trt: Any, config: Any, options: BuildOptions) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # a profile names the layers
    if options.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # FP32 is meant as it is written
    if options.optimization_level is not None:
        if not Features.of(trt).optimization_level:
            raise EngineError(f"TensorRT {trt.__version__} has no --optimization-level, 8.6 and later have")
        config.builder_optimization_level = options.optimization_level


def _allow_fp16(trt: Any, network: Any, config: Any, graph: GraphCard, say: Say) -> None:
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    num_pinned, missing = pin_float32(trt, network, graph.float32_layers)
    say(f"{num_pinned} layers stay in FP32")
    if missing:
        some = ", ".join(missing[:3])
        say(f"warning: no layer was found for {len(missing)} of {len(graph.float32_layers)} nodes: {some}")


def _use_timing_cache(config: Any, timing_cache: bytes, say: Say) -> None:
    """Give the builder the timings of an earlier build, if they are of this GPU and TensorRT."""
    if timing_cache:
        cache = config.create_timing_cache(timing_cache)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            say(f"uses the timing cache of an earlier build ({len(timing_cache)} bytes)")
            return
        say("ignores the timing cache: it is of another GPU or another TensorRT")
    config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
