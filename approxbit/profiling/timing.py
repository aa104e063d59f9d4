"""How long the parts of Eq. 1 take for every arm, clip by clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

import numpy as np
from rich.progress import track

from approxbit.backbones.base import Backbone
from approxbit.engines.torch_runner import TorchEdgeRunner, TorchServerRunner, TorchWholeRunner
from approxbit.offload import OffloadedModel

_WARM_UP = 3


@dataclass(frozen=True)
class PartTimes:
    """Median milliseconds of one configuration's parts, and its payload."""

    edge_ms: float
    encode_ms: float
    payload_bytes: int
    decode_ms: float
    server_ms: float


def measure_times(
    backbone: Backbone,
    models: Mapping[str, OffloadedModel],
    clips: list[np.ndarray],
    num_threads: int,
) -> tuple[float, dict[str, PartTimes]]:
    """Milliseconds of the unsplit model, and of the parts of every configuration, at batch size 1.

    All arms take turns on every clip, so that a busy spell of the machine falls on all of them alike; the
    first clips are not counted.

    Args:
        backbone: The unsplit model, which all of `models` share.
        models: Configuration -> model.
        clips: Prepared clips, float32 `[3, time, height, width]`.
        num_threads: Threads of both sides.
    """
    whole = TorchWholeRunner(backbone, num_threads)
    edges = {name: TorchEdgeRunner(model, num_threads) for name, model in models.items()}
    servers = {name: TorchServerRunner(model, num_threads) for name, model in models.items()}
    whole_ms: list[float] = []
    parts: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in models}
    payload_bytes: dict[str, int] = {}
    for clip in track([*islice(cycle(clips), _WARM_UP), *clips], "times of all configurations"):
        whole_ms.append(whole.run(clip).whole_ms)
        for name, edge in edges.items():
            sent = edge.run(clip)
            answer = servers[name].run(sent.payload)
            parts[name].append((sent.edge_ms, sent.encode_ms, answer.decode_ms, answer.server_ms))
            payload_bytes[name] = len(sent.payload)
    times = {}
    for name, rows in parts.items():
        columns = zip(*rows[_WARM_UP:], strict=True)
        edge_ms, encode_ms, decode_ms, server_ms = (round(median(column), 3) for column in columns)
        times[name] = PartTimes(edge_ms, encode_ms, payload_bytes[name], decode_ms, server_ms)
    return round(median(whole_ms[_WARM_UP:]), 3), times
