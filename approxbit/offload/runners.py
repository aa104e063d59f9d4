"""The reference engine: the modules as they were trained, run by torch."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.codec.code import Code
from approxbit.engines.runner import ClipFormat, EdgeResult, ServerResult, WholeResult
from approxbit.offload import OffloadedModel
from approxbit.wire import CodeFormat, pack, unpack


class TorchEdgeRunner:
    """The edge half and the encoder of an `OffloadedModel`.

    Args:
        model: In eval mode, on the device where it is to run.
        num_threads: Threads for each operator; torch's own choice by default.
    """

    def __init__(self, model: OffloadedModel, num_threads: int | None = None):
        self.model = model
        self.code_format = code_format(model)
        self._torch = _TorchThreads(model, num_threads)

    @torch.inference_mode()
    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed code of a prepared clip, float32 `[3, time, height, width]`.

        Raises:
            ValueError: The clip is not float32 of that shape.
        """
        start = self._torch.begin()
        feature = self.model.edge_half(self._torch.batch_of_one(_checked(clip)))
        after_edge = self._torch.now()
        planes = self.model.codec.encode(feature).to_planes()[0]
        payload = pack(planes.cpu().numpy())
        after_encode = self._torch.now()
        return EdgeResult(payload, _ms(start, after_edge), _ms(after_edge, after_encode))


class TorchServerRunner:
    """The decoder and the server half of an `OffloadedModel`.

    Args:
        model: In eval mode, on the device where it is to run.
        num_threads: Threads for each operator; torch's own choice by default.
    """

    def __init__(self, model: OffloadedModel, num_threads: int | None = None):
        self.model = model
        self.code_format = code_format(model)
        self._torch = _TorchThreads(model, num_threads)

    @torch.inference_mode()
    def run(self, payload: bytes) -> ServerResult:
        """The answer to a packed code.

        Raises:
            WireError: The payload is not a code of `code_format`.
        """
        start = self._torch.begin()
        feature = self.model.codec.decode(self._unpack(payload), self.code_format.feature_size)
        after_decode = self._torch.now()
        logits = _first_row(self.model.server_half(feature))
        after_server = self._torch.now()
        return ServerResult(logits, _ms(start, after_decode), _ms(after_decode, after_server))

    def _unpack(self, payload: bytes) -> Code:
        shape = self.code_format
        planes = unpack(payload, shape.configuration.codebook_size, shape.num_positions)
        batch = self._torch.batch_of_one(planes)
        return Code.from_planes(batch, shape.configuration.grid_size(shape.feature_size))


class TorchWholeRunner:
    """An unsplit backbone: edge-only on the device, server-only on the server.

    Args:
        backbone: In eval mode, on the device where it is to run.
        num_threads: Threads for each operator; torch's own choice by default.
    """

    def __init__(self, backbone: Backbone, num_threads: int | None = None):
        self.backbone = backbone
        self.clip_format = clip_format(backbone)
        self._torch = _TorchThreads(backbone, num_threads)

    @torch.inference_mode()
    def run(self, clip: np.ndarray) -> WholeResult:
        """The answer to a prepared clip, float32 `[3, time, height, width]`.

        Raises:
            ValueError: The clip is not float32 of that shape.
        """
        start = self._torch.begin()
        logits = _first_row(self.backbone(self._torch.batch_of_one(_checked(clip))))
        return WholeResult(logits, _ms(start, self._torch.now()))


def code_format(model: OffloadedModel) -> CodeFormat:
    """What the codes of a model look like, for clips of its backbone's own `clip_shape`."""
    codec = model.codec
    size, fingerprint = codec.feature_shape.size, model.fingerprint
    return CodeFormat(codec.configuration, size, codec.num_tokens, fingerprint, model.prior)


def clip_format(backbone: Backbone) -> ClipFormat:
    """What the clips of a backbone look like.

    Raises:
        ValueError: They are not square.
    """
    _, num_frames, height, width = backbone.clip_shape
    if height != width:
        raise ValueError(f"clips must be square, found a clip_shape of {tuple(backbone.clip_shape)}")
    return ClipFormat(num_frames, height, backbone.mean, backbone.std, backbone.fingerprint)


class _TorchThreads:
    """Where a module runs, with how many threads, and a clock that waits for its device."""

    def __init__(self, module: nn.Module, num_threads: int | None):
        if num_threads is not None and num_threads < 1:
            raise ValueError(
                f"num_threads must be at least 1, or None for torch's choice, found {num_threads}"
            )
        if module.training:
            raise ValueError(f"{type(module).__name__} is in training mode, call eval() before it is run")
        self.num_threads = num_threads
        self.device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))

    def begin(self) -> float:
        """Set the number of threads (torch keeps it for each calling thread) and start the clock."""
        if self.num_threads is not None and torch.get_num_threads() != self.num_threads:
            torch.set_num_threads(self.num_threads)
        return self.now()

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def batch_of_one(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).unsqueeze(0).to(self.device)


def _checked(clip: np.ndarray) -> np.ndarray:
    if clip.dtype != np.float32 or clip.ndim != 4 or clip.shape[0] != 3:
        raise ValueError(
            f"a prepared clip is float32 [3, time, height, width], found {clip.dtype} {list(clip.shape)}"
        )
    return clip


def _first_row(logits: Tensor) -> np.ndarray:
    return logits[0].float().cpu().numpy()


def _ms(start: float, end: float) -> float:
    return 1000 * (end - start)
