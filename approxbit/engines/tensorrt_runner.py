"""TensorRT on a device: engines that `build_engine.py` built there and found in order."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Union

import numpy as np

from approxbit.engines.artefact import load_artefact
from approxbit.engines.runner import ClipFormat, EdgeResult, ServerResult, WholeResult
from approxbit.engines.tensorrt.check import run_edge, run_whole
from approxbit.engines.tensorrt.cuda import Cuda
from approxbit.engines.tensorrt.library import import_tensorrt
from approxbit.engines.tensorrt.session import EngineSession
from approxbit.engines.tensorrt.store import EngineKey, EngineStore
from approxbit.wire import CodeFormat
from approxbit.wire.packing import check_packed

PathLike = Union[str, "os.PathLike[str]"]

ENGINES_FOLDER = "engines"


class _TensorRTRunner:
    """One engine of an artefact, opened; a context manager that gives its memory back."""

    _graph = ""

    def __init__(self, folder: PathLike, engine: PathLike | None = None):
        artefact = load_artefact(folder)
        card = artefact.card
        self.code_format: CodeFormat = card.code_format
        self.clip_format: ClipFormat = card.clip_format
        self.trt: Any = import_tensorrt()
        cuda = Cuda()
        if engine is None:
            gpu, digest = cuda.gpu(), artefact.graph_card(self._graph).digest
            key = EngineKey(
                self._graph, digest, gpu.name, gpu.compute_capability, self.trt.__version__, options={}
            )
            engine = EngineStore(artefact.folder / ENGINES_FOLDER).find(key)
        self.engine_path = Path(engine)
        self.session = EngineSession(self.trt, self.engine_path.read_bytes(), cuda, card.max_batch)

    def close(self) -> None:
        """Give the GPU's memory back; the runner cannot run after it."""
        self.session.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class TensorRTEdgeRunner(_TensorRTRunner):
    """The edge half, the encoder and the packing as one engine.

    Args:
        folder: The artefact.
        engine: The engine's file; by default the newest accepted one in the artefact's folder `engines` that
            was built on this kind of GPU by this version of TensorRT.

    Raises:
        ArtefactError: The folder is not a whole artefact.
        ImportError: TensorRT's bindings are missing.
        EngineError: There is no such engine, or it does not run here.
    """

    _graph = "edge"

    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed code of a prepared clip, float32 `[3, time, height, width]`.

        One engine computes the code from the clip, so that all the time is `edge_ms`; `encode_ms` is 0.

        Raises:
            ValueError: The clip is not of that type and the artefact's shape.
            EngineError: TensorRT or CUDA reports a failure.
        """
        start = time.perf_counter()
        payload = run_edge(self.session, clip).tobytes()
        return EdgeResult(payload, _ms_since(start), 0.0)


class TensorRTServerRunner(_TensorRTRunner):
    """The unpacking, the decoder and the server half as one engine.

    Args:
        folder: The artefact.
        engine: The engine's file; by default as for `TensorRTEdgeRunner`.

    Raises:
        ArtefactError: The folder is not a whole artefact.
        ImportError: TensorRT's bindings are missing.
        EngineError: There is no such engine, or it does not run here.
    """

    _graph = "server"

    def run(self, payload: bytes) -> ServerResult:
        """The answer to a packed code.

        One engine computes the answer from the code, so that all the time is `server_ms`; `decode_ms` is 0.

        Raises:
            WireError: The payload is not a code of `code_format`.
            EngineError: TensorRT or CUDA reports a failure.
        """
        code = self.code_format
        check_packed(payload, code.configuration.codebook_size, code.num_positions)
        start = time.perf_counter()
        packed = np.frombuffer(payload, np.uint8)[None]
        answer = self.session.run({"packed": packed})["answer"][0].copy()
        return ServerResult(answer, 0.0, _ms_since(start))


class TensorRTWholeRunner(_TensorRTRunner):
    """The unsplit backbone as one engine: edge-only on the device.

    Args:
        folder: An artefact that was exported with `whole=True`.
        engine: The engine's file; by default as for `TensorRTEdgeRunner`.

    Raises:
        ArtefactError: The folder is not a whole artefact, or was exported without the unsplit model.
        ImportError: TensorRT's bindings are missing.
        EngineError: There is no such engine, or it does not run here.
    """

    _graph = "whole"

    def run(self, clip: np.ndarray) -> WholeResult:
        """The answer to a prepared clip, float32 `[3, time, height, width]`.

        Raises:
            ValueError: The clip is not of that type and the artefact's shape.
            EngineError: TensorRT or CUDA reports a failure.
        """
        start = time.perf_counter()
        answer = run_whole(self.session, clip).copy()
        return WholeResult(answer, _ms_since(start))


def _ms_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
