"""Finding out how the tensor at a cut is arranged."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.fx import Node

from approxbit.backbones.splitting.layout import FRAMES_IN_BATCH, GridLayout, Layout, Size, TokenLayout
from approxbit.backbones.splitting.sandbox import TensorFact
from approxbit.backbones.splitting.trace import Trace

GRID_MODULES = (
    nn.Conv2d,
    nn.Conv3d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
)
GRID_FUNCTIONS = {
    torch.conv2d,
    torch.conv3d,
    F.conv2d,
    F.conv3d,
    F.max_pool2d,
    F.max_pool3d,
    F.avg_pool2d,
    F.avg_pool3d,
    F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d,
    F.batch_norm,
}
HELP = (
    "say how it is arranged (from approxbit import GridLayout, TokenLayout), for example "
    "layout=GridLayout('BTHWC') for channels-last grids, layout=GridLayout('(BT)CHW') for frames in the "
    "batch axis, or layout=TokenLayout(size=(8, 7, 7), num_class_tokens=1), order='HWT' if time runs fastest"
)


class Arrangement(NamedTuple):
    """A layout, and the node whose grid tells the size of other clips' tokens, if there is one."""

    layout: Layout
    size_source: Node | None = None


class UnknownLayoutError(ValueError):
    """The layout cannot be told from the model; the caller must give it."""


def find_arrangement(trace: Trace, node: Node) -> Arrangement:
    """How the tensor of a node is arranged.

    The outputs of convolutions and pools before it are known to be [batch, channel, (time,) height, width]:
    a tensor with the same sizes, or as many tokens, is read alike. Failing that, the axes of a grid are those
    that grow when the clip's do, or it has one position and the only long axis counts channels.

    Raises:
        UnknownLayoutError: That leaves more or less than one possibility.
    """
    shape = _shape(trace, node)
    prefix = _prefix(trace, node)
    if len(shape) == 2:
        return Arrangement(GridLayout(f"{prefix}C"))
    if len(shape) == 3:
        return _find_tokens(trace, node, shape, prefix == FRAMES_IN_BATCH)
    if len(shape) not in (4, 5):
        raise UnknownLayoutError(f"a tensor of shape {shape} is no grid of frames, and no sequence of tokens")
    axes = _compare_with_grids(trace, node, shape) or _grow_clip(trace, node, shape) or _only_channels(shape)
    if axes is None:
        raise UnknownLayoutError(
            f"which axes of shape {shape} are channel, time, height and width is unclear; {HELP}"
        )
    return Arrangement(GridLayout(prefix + axes))


def _prefix(trace: Trace, node: Node) -> str:
    length, batch = _shape(trace, node)[0], trace.clip_shape[0]
    if length == batch:
        return "B"
    if len(trace.clip_shape) == 5 and length == batch * trace.clip_shape[2]:
        return FRAMES_IN_BATCH
    raise UnknownLayoutError(
        f"the first axis of shape {_shape(trace, node)} counts neither the {batch} clips of the batch nor "
        f"their frames; {HELP}"
    )


def _find_tokens(trace: Trace, node: Node, shape: tuple[int, ...], has_frames: bool) -> Arrangement:
    found: dict[tuple[Size, int], Node] = {}
    for source, grid in _grids_before(trace, node):
        size: Size = (1, *grid[2:])[-3:]  # type: ignore[assignment]
        if grid[0] == shape[0] and shape[1] - prod(size) in (0, 1):
            found.setdefault((size, shape[1] - prod(size)), source)
    if len(found) != 1:
        readings = [f"{tokens} class tokens and a grid of {size}" for size, tokens in found]
        readings += [] if has_frames else _readings_of_frames(trace, node, shape)
        reason = "no convolution before them has as many positions"
        reason = f"they could be {' or '.join(readings)}" if readings else reason
        raise UnknownLayoutError(
            f"how the {shape[1]} tokens of shape {shape} are arranged is unclear, since {reason}; {HELP}"
        )
    ((size, num_class_tokens), source) = next(iter(found.items()))
    return Arrangement(TokenLayout(size, num_class_tokens, has_frames), source)


def _readings_of_frames(trace: Trace, node: Node, shape: tuple[int, ...]) -> list[str]:
    """What tokens of whole clips could be that were made of frames one by one."""
    if len(trace.clip_shape) != 5:
        return []
    num_frames = trace.clip_shape[2]
    found: dict[str, None] = {}
    for _, grid in _grids_before(trace, node):
        size = num_frames, *grid[2:]
        if len(grid) == 4 and grid[0] == shape[0] * num_frames and shape[1] - prod(size) in (0, 1):
            found[f"TokenLayout({size}, num_class_tokens={shape[1] - prod(size)}, order='HWT')"] = None
    return [f"{reading}, or the same with order='THW'" for reading in found]


def _compare_with_grids(trace: Trace, node: Node, shape: tuple[int, ...]) -> str | None:
    spatial = "THW" if len(shape) == 5 else "HW"
    for _, grid in _grids_before(trace, node):
        is_first, is_last = grid[2:] == shape[2:], grid[2:] == shape[1:-1]
        if is_first != is_last:
            return f"C{spatial}" if is_first else f"{spatial}C"
    return None


def _grow_clip(trace: Trace, node: Node, shape: tuple[int, ...]) -> str | None:
    clip_axes = "BCTHW" if len(trace.clip_shape) == 5 else "BCHW"
    letters = ["", *("C" * (len(shape) - 1))]
    for axis in "THW"[-(len(shape) - 2) :]:
        if axis not in clip_axes:
            return None
        clip_shape = list(trace.clip_shape)
        clip_shape[clip_axes.index(axis)] *= 2
        facts = trace.facts(tuple(clip_shape))
        grown = facts[node] if facts else None
        if not isinstance(grown, TensorFact) or len(grown.shape) != len(shape):
            return None
        changed = [index for index in range(1, len(shape)) if grown.shape[index] != shape[index]]
        if len(changed) != 1 or letters[changed[0]] != "C":
            return None
        letters[changed[0]] = axis
    return "".join(letters)


def _only_channels(shape: tuple[int, ...]) -> str | None:
    spatial = "THW" if len(shape) == 5 else "HW"
    if shape[1] > 1 and max(shape[2:]) == 1:
        return f"C{spatial}"
    return f"{spatial}C" if shape[-1] > 1 and max(shape[1:-1]) == 1 else None


def _grids_before(trace: Trace, node: Node) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Outputs of convolutions and pools, from `node` (included) backwards, with their shapes."""
    nodes = list(trace.graph.nodes)
    for source in reversed(nodes[: trace.order[node] + 1]):
        if _makes_grid(trace, source) and len(_shape(trace, source)) in (4, 5):
            yield source, _shape(trace, source)


def _makes_grid(trace: Trace, node: Node) -> bool:
    if node.op == "call_module":
        return isinstance(trace.model.get_submodule(str(node.target)), GRID_MODULES)
    return node.op == "call_function" and node.target in GRID_FUNCTIONS


def _shape(trace: Trace, node: Node) -> tuple[int, ...]:
    fact = trace.tensor(node)
    return fact.shape if fact is not None else ()
