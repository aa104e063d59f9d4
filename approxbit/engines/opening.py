"""From the folder of an exported artefact to what runs it."""

from __future__ import annotations

from approxbit.engines.artefact import Artefact, load_artefact
from approxbit.engines.graph import Graph
from approxbit.engines.runner import EdgeRunner, ServerRunner, WholeRunner
from approxbit.files import PathLike

ENGINES = ("onnxruntime", "tensorrt")


def open_graph(
    artefact: Artefact, role: str, engine: str = "onnxruntime", num_threads: int = 1, provider: str = "cpu"
) -> Graph:
    """One graph of an artefact, ready to compute.

    Args:
        artefact: What `load_artefact` gives.
        role: `edge`, `server` or `whole`.
        engine: `onnxruntime`; or `tensorrt`, for the newest accepted engine that `build_engine.py` built of
            the artefact on this kind of GPU.
        num_threads: Of ONNX Runtime, for each operator on the CPU, at least 1.
        provider: Of ONNX Runtime: `cpu`, `cuda` or `tensorrt`. It must be at hand, nothing falls back to the
            CPU in silence.

    Raises:
        ArtefactError: The artefact was exported without the unsplit model, which is asked for.
        EngineError: TensorRT has no such engine, or it does not run here.
        ImportError: onnxruntime or TensorRT's bindings are missing.
        ValueError: There is no such engine or provider, here or at all, or `num_threads` is below 1.
    """
    if engine == "onnxruntime":
        from approxbit.engines.onnx_graph import OnnxGraph, tensorrt_options

        options = tensorrt_options(artefact) if provider == "tensorrt" else None
        path, max_batch = artefact.graph_path(role), artefact.card.max_batch
        return OnnxGraph(path, max_batch, num_threads, provider, options)
    if engine == "tensorrt":
        from approxbit.engines.tensorrt.graph import open_engine

        return open_engine(artefact, role)
    raise ValueError(f"engine must be one of {', '.join(ENGINES)}, found {engine!r}")


def open_edge(
    folder: PathLike, engine: str = "onnxruntime", num_threads: int = 1, provider: str = "cpu"
) -> EdgeRunner:
    """The edge half and the encoder of an artefact, as `open_graph` opens them.

    Raises:
        ArtefactError: The folder is not a whole artefact.
    """
    artefact = load_artefact(folder)
    graph = open_graph(artefact, "edge", engine, num_threads, provider)
    return EdgeRunner(artefact.card.code_format, artefact.card.clip_format, graph)


def open_server(
    folder: PathLike, engine: str = "onnxruntime", num_threads: int = 1, provider: str = "cpu"
) -> ServerRunner:
    """The decoder and the server half of an artefact, as `open_graph` opens them.

    Raises:
        ArtefactError: The folder is not a whole artefact.
    """
    artefact = load_artefact(folder)
    graph = open_graph(artefact, "server", engine, num_threads, provider)
    return ServerRunner(artefact.card.code_format, graph)


def open_whole(
    folder: PathLike, engine: str = "onnxruntime", num_threads: int = 1, provider: str = "cpu"
) -> WholeRunner:
    """The unsplit model of an artefact that was exported with `whole=True`, as `open_graph` opens it.

    Raises:
        ArtefactError: The folder is not a whole artefact, or was exported without the unsplit model.
    """
    artefact = load_artefact(folder)
    graph = open_graph(artefact, "whole", engine, num_threads, provider)
    return WholeRunner(artefact.card.clip_format, graph)
