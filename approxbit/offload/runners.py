"""The reference engine: modules as they were trained, run by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.engines.graph import Graph
from approxbit.engines.runner import ClipFormat, WholeRunner
from approxbit.offload.inputs import cast

MAX_BATCH = 64
"""Bounds the memory of one call; on a CPU a batch of 4 already costs least per clip."""


def torch_whole(backbone: Backbone, num_threads: int | None = None) -> WholeRunner:
    """An unsplit backbone: edge-only on the device, server-only on the server.

    Args:
        backbone: In eval mode, on the device where it is to run.
        num_threads: Threads for each operator; torch's own choice by default.

    Raises:
        ValueError: The backbone is in training mode, `num_threads` is below 1, or its clips are not square.
    """

    def run(clip: Tensor) -> dict[str, Any]:
        return {"answer": backbone(cast(clip, backbone)).float().cpu().numpy()}

    return WholeRunner(clip_format(backbone), TorchGraph(run, backbone, backbone.clip_shape, num_threads))


class TorchQuestions:
    """The part of a backbone that answers questions about its visual tokens; see `QuestionRunner`.

    Args:
        backbone: With an `ask(visual, asked)` as that of `VideoQuestionModel`, in eval mode.
        num_threads: Threads for each operator; torch's own choice by default.

    Raises:
        ValueError: The backbone answers no questions, is in training mode, or `num_threads` is below 1.
    """

    def __init__(self, backbone: Backbone, num_threads: int | None = None):
        ask: Any = require_ask(backbone)

        def run(visual: Tensor, questions: Sequence[str]) -> dict[str, Any]:
            return {"answers": ask(cast(visual[None], backbone), [list(questions)])[0]}

        self._encode = getattr(getattr(backbone, "head", None), "encode", None)
        self._graph = TorchGraph(run, backbone, backbone.clip_shape, num_threads)

    def check(self, question: str) -> None:
        """Let only questions pass that the head can encode, where it has an `encode(questions)`.

        Raises:
            ValueError: It is another one.
        """
        if self._encode is not None:
            self._encode([question])

    def ask(self, visual: np.ndarray, questions: Sequence[str]) -> list[str]:
        """An answer to each question about one clip, whose tokens are float32 `[token, channel]`."""
        answers: list[str] = self._graph.run({"visual": visual, "questions": questions})["answers"]
        return answers


def require_ask(backbone: Backbone) -> Callable[..., Any]:
    """The `ask` of a backbone that answers questions.

    Raises:
        ValueError: It has none.
    """
    ask: Callable[..., Any] | None = getattr(backbone, "ask", None)
    if ask is None:
        raise ValueError(
            f"expected a backbone that answers questions, such as VideoQuestionModel, found {backbone!r}"
        )
    return ask


def clip_format(backbone: Backbone) -> ClipFormat:
    """What the clips of a backbone look like.

    Raises:
        ValueError: They are not square.
    """
    _, num_frames, height, width = backbone.clip_shape
    if height != width:
        raise ValueError(f"clips must be square, found a clip_shape of {tuple(backbone.clip_shape)}")
    return ClipFormat(num_frames, height, backbone.mean, backbone.std, backbone.fingerprint)


class TorchGraph(Graph):
    """A function of tensors, run without gradients on a module's device; each call waits for the device.

    Args:
        function: Takes the inputs by name, arrays as tensors on the device, and gives the outputs by name.
        module: Whose parameters it computes with, in eval mode.
        input_shape: Of the first input, without the batch.
        num_threads: Threads for each operator, at least 1; torch's own choice by default.

    Raises:
        ValueError: The module is in training mode, or `num_threads` is below 1.
    """

    backend = f"torch {torch.__version__}"
    max_batch = MAX_BATCH

    def __init__(
        self,
        function: Callable[..., dict[str, Any]],
        module: nn.Module,
        input_shape: tuple[int, ...],
        num_threads: int | None = None,
    ):
        if num_threads is not None and num_threads < 1:
            raise ValueError(
                f"num_threads must be at least 1, or None for torch's choice, found {num_threads}"
            )
        if module.training:
            raise ValueError(f"{type(module).__name__} is in training mode, call eval() before it is run")
        self.input_shape = tuple(input_shape)
        self._function = function
        self._num_threads = num_threads
        self._device = next((each.device for each in module.parameters()), torch.device("cpu"))

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the function gives."""
        if self._num_threads is not None and torch.get_num_threads() != self._num_threads:
            torch.set_num_threads(self._num_threads)  # torch keeps it for each calling thread
        outputs = self._function(**{name: self._on_device(value) for name, value in inputs.items()})
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return outputs

    def _on_device(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value  # a tensor or a feature, that the graph before left there
        return torch.from_numpy(value.copy()).to(self._device)  # torch wants arrays that it may write to
