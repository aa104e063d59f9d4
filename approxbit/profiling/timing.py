"""How long the parts of Eq. 1 take for every arm, clip by clip."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Generic, TypeVar

import numpy as np
from rich.progress import track

from approxbit.engines.runner import EdgeRunner, ServerRunner, WholeRunner
from approxbit.server.service import answer_code
from approxbit.wire import warm_up

_WARM_UP = 3
Runner = TypeVar("Runner", EdgeRunner, ServerRunner)


@dataclass(frozen=True)
class WholeTimes:
    """Median milliseconds of the unsplit model."""

    edge_ms: float
    server_ms: float


@dataclass(frozen=True)
class PartTimes:
    """Median milliseconds of one configuration's parts, and the bytes of its packed code."""

    edge_ms: float
    encode_ms: float
    raw_bytes: int
    decode_ms: float
    server_ms: float


@dataclass(frozen=True)
class Side(Generic[Runner]):
    """Everything that one side computes with.

    Attributes:
        whole: The unsplit model.
        parts: Its part of every configuration.
    """

    whole: WholeRunner
    parts: Mapping[str, Runner]


def measure_times(
    edge: Side[EdgeRunner], server: Side[ServerRunner], clips: list[np.ndarray]
) -> tuple[WholeTimes, dict[str, PartTimes]]:
    """Milliseconds of the unsplit model on both sides, and of the parts of every configuration.

    Everything runs at batch size 1. All arms take turns on every clip, so that a busy spell of the machine
    falls on all of them alike; the first clips are not counted.

    Args:
        edge: The runners of the edge.
        server: The runners of the server, of the same configurations.
        clips: Prepared clips, float32 `[3, time, height, width]`.
    """
    whole: list[tuple[float, float]] = []
    parts: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in edge.parts}
    if any(runner.code_format.prior is not None for runner in edge.parts.values()):
        warm_up()
    for clip in track([*islice(cycle(clips), _WARM_UP), *clips], "times of all configurations"):
        whole.append((edge.whole.run(clip).whole_ms, server.whole.run(clip).whole_ms))
        for name, runner in edge.parts.items():
            parts[name].append(_time_parts(runner, server.parts[name], clip))
    times = {}
    for name, rows in parts.items():
        edge_ms, encode_ms, decode_ms, server_ms = _medians(rows)
        raw_bytes = edge.parts[name].code_format.payload_bytes
        times[name] = PartTimes(edge_ms, encode_ms, raw_bytes, decode_ms, server_ms)
    return WholeTimes(*_medians(whole)), times


def _time_parts(
    edge: EdgeRunner, server: ServerRunner, clip: np.ndarray
) -> tuple[float, float, float, float]:
    """What one clip costs, from the clip to the packet and from the packet to the answer."""
    sent = edge.run(clip)
    start = time.perf_counter()
    packet = edge.code_format.packet(sent.payload)
    encode_ms = sent.encode_ms + 1000 * (time.perf_counter() - start)
    answer, _ = answer_code(packet, server)
    return sent.edge_ms, encode_ms, answer.decode_ms, answer.server_ms


def _medians(rows: Sequence[tuple[float, ...]]) -> list[float]:
    """Of every column, without the first rows."""
    return [round(median(column), 3) for column in zip(*rows[_WARM_UP:], strict=True)]
