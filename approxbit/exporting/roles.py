"""The graphs of an artefact, each as what is exported and what it must compute."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from approxbit.engines.agreement import Agreement, measure_agreement
from approxbit.engines.artefact import Reference, Tolerance
from approxbit.engines.onnx_graph import OnnxGraph
from approxbit.errors import ApproxBitError, GateError
from approxbit.exporting.gate import Target
from approxbit.exporting.gate.rule import Role
from approxbit.exporting.graph import GraphInterface
from approxbit.exporting.views import EdgeView, ServerView, WholeView
from approxbit.offload import OffloadedModel

FLOAT32_TOLERANCE = Tolerance(max_flipped_share=1e-3, max_answer_error=1e-3, max_flipped_margin=0.01)
"""For a float32 graph under ONNX Runtime: rounding may flip a bit that is next to the threshold."""


class GraphRole(NamedTuple):
    """One graph of an artefact before it is written.

    Attributes:
        name: `edge`, `server` or `whole`.
        view: What is exported.
        example: An input with a batch of 1.
        interface: The names at the boundary.
    """

    name: Role
    view: nn.Module
    example: torch.Tensor
    interface: GraphInterface


def make_roles(
    model: OffloadedModel, target: Target, clips: np.ndarray, whole: bool = False
) -> list[GraphRole]:
    """The edge's graph, the server's, and that of the unsplit model if it is asked for.

    Args:
        model: In eval mode; the views share its parameters.
        target: Says the type of the code, and whether the server's batch is open.
        clips: Prepared clips, float32 `[n, 3, time, height, width]`.
        whole: Whether to export the unsplit backbone as well.

    Raises:
        ValueError: The model is in training mode.
        ExportError: It is a stream.
    """
    clip = torch.from_numpy(clips[:1])
    code = torch.zeros(1, model.code_format.payload_bytes, dtype=torch.uint8)
    has_open_batch = target.dynamic_batch is not None
    roles = [
        GraphRole("edge", EdgeView(model, target.output_type), clip, GraphInterface("clip", "packed")),
        GraphRole("server", ServerView(model), code, GraphInterface("packed", "answer", has_open_batch)),
    ]
    if whole:
        roles.append(GraphRole("whole", WholeView(model.backbone), clip, GraphInterface("clip", "answer")))
    return roles


def check_agreement(
    path: str | os.PathLike[str], role: Role, reference: Reference, precision: str
) -> Agreement:
    """Run a graph under ONNX Runtime against what the modules gave.

    Args:
        path: The graph.
        role: Which of the graphs it is.
        reference: With `whole_answer` for the graph `whole`.
        precision: The target's. A mixed graph may be as far off as an engine, a float32 graph only rounds.

    Raises:
        GateError: ONNX Runtime refuses the graph, or it computes something else.
        ValueError: The reference lacks what the graph is compared with.
    """
    tolerance = Tolerance() if precision == "strong-fp16" else FLOAT32_TOLERANCE
    try:
        found = measure_agreement(OnnxGraph(path, len(reference), _num_threads()), role, reference)
    except (ApproxBitError, ImportError, ValueError):
        raise
    except Exception as error:  # ONNX Runtime's errors have no common root below this one
        raise GateError(f"ONNX Runtime refuses {path}: {error}") from error
    if not found.is_within(tolerance):
        raise GateError(f"{path} is not the model it was exported from: {found}; the limit is {tolerance}")
    return found


def _num_threads() -> int:
    """As many as there are processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
