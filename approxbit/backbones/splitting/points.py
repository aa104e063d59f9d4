"""The places where a model can be cut, with what a cut there costs and sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import Node

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.splitting.clean import NotCleanError, boundaries, check_value, find_repeated
from approxbit.backbones.splitting.cut import Cut, cut_after
from approxbit.backbones.splitting.flops import count_nodes, counting
from approxbit.backbones.splitting.inference import UnknownLayoutError
from approxbit.backbones.splitting.layout import Layout
from approxbit.backbones.splitting.sandbox import sandboxes
from approxbit.backbones.splitting.trace import Trace, check_answer, check_eval_mode, trace_model

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class OffloadPoint:
    """A place where a model can be cut.

    Attributes:
        name: Of the module after which the cut is, or of the backbone's offload point.
        feature_shape: Of one clip's feature.
        num_tokens: Class tokens that cross beside the grid.
        edge_flops: Operations before the cut for one clip; two for each multiply-add of convolutions, matrix
            products and attention, as `torch.utils.flop_counter` counts them.
        edge_flops_share: Their share of the whole model's, in [0, 1].
    """

    name: str
    feature_shape: FeatureShape
    num_tokens: int
    edge_flops: int
    edge_flops_share: float

    @property
    def feature_bytes(self) -> int:
        """Bytes of one clip's feature, grid and class tokens, as float32."""
        channels, time, height, width = self.feature_shape
        return FLOAT32_BYTES * channels * (time * height * width + self.num_tokens)


class LeftOut(NamedTuple):
    """A module after which a model cannot be cut, and why."""

    name: str
    reason: str


class OffloadPoints(list[OffloadPoint]):
    """Offload points in the order of execution; printed, a table with what was left out.

    Args:
        points: To begin with.
        left_out: Modules that ran and are no offload points, in the order of execution.
    """

    def __init__(self, points: Iterable[OffloadPoint] = (), left_out: Iterable[LeftOut] = ()) -> None:
        super().__init__(points)
        self.left_out = tuple(left_out)

    def __repr__(self) -> str:
        return "\n".join([*map(_describe, self), *self.summary()]) or "no module ran"

    def summary(self) -> list[str]:
        """Why modules were left out, a line for each kind of reason, the commonest first."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.left_out:
            by_reason.setdefault(reason.partition(":")[0], []).append(name)
        return [
            f"left out {len(names)}, such as {names[0]}: {reason}"
            for reason, names in sorted(by_reason.items(), key=lambda each: -len(each[1]))
        ]


def offload_points(
    model: nn.Module, example: Tensor | Sequence[Tensor], layout: Layout | None = None
) -> OffloadPoints:
    """Every clean cut of a model at the end of one of its modules, in the order of execution.

    Where a module returns what its last part returned, only the outer one is named. A place whose layout can
    neither be inferred nor is the given one is left out; `left_out` of the result says which and why. Of one
    of our own backbones, its offload points.

    Args:
        model: As for `split`, or a `Backbone`. The meta device serves too; no arithmetic is done.
        example: A batch of clips. (A sequence of tensors is refused, with the reason.)
        layout: How tensors are arranged where that cannot be inferred.

    Raises:
        ValueError: The model is in training mode, cannot be traced, or does not return logits [batch, class].

    Example:
        >>> from torchvision.models.video import r3d_18
        >>> points = offload_points(r3d_18().eval(), torch.rand(1, 3, 8, 64, 64))
        >>> [(point.name, point.feature_bytes) for point in choose_offload_points(points)]
        [('layer1.0', 2097152), ('layer2.0', 524288)]
    """
    if isinstance(model, Backbone) and isinstance(example, Tensor):
        return _of_backbone(model, example)
    trace = trace_model(model, example)
    check_answer(trace)
    flops = count_nodes(trace)
    points, left_out = [], find_repeated(trace)
    for name, node in boundaries(trace):
        try:
            points.append(_measure(trace, flops, name, node, _cut(trace, name, node, layout)))
        except (NotCleanError, UnknownLayoutError) as error:
            left_out[name] = str(error).replace(repr(name), "it")
    return OffloadPoints(points, (LeftOut(*each) for each in left_out.items()))


def choose_offload_points(
    points: Sequence[OffloadPoint], shares: Iterable[float] = (1 / 3, 2 / 3)
) -> list[OffloadPoint]:
    """For each share of the operations, the point that comes nearest; of equals, the smallest feature.

    The paper takes two points for each model, about 1/3 and 2/3 into it.

    Raises:
        ValueError: There is no point to choose from.
    """
    if not points:
        reasons = points.summary() if isinstance(points, OffloadPoints) else []
        raise ValueError(
            "; ".join(["there must be at least one offload point to choose from, found none", *reasons])
        )
    return [
        min(points, key=lambda point: (abs(point.edge_flops_share - share), point.feature_bytes))
        for share in shares
    ]


def _cut(trace: Trace, name: str, node: Node, layout: Layout | None) -> Cut:
    check_value(trace, name, node)
    try:
        return cut_after(trace, node)
    except UnknownLayoutError:
        if layout is None or not layout.fits(_tensor_shape(trace, node)):
            raise
        return cut_after(trace, node, layout)


def _describe(point: OffloadPoint) -> str:
    share, size = f"{point.edge_flops_share:.0%}", f"{point.feature_bytes:,} bytes"
    return f"{point.name}: feature {tuple(point.feature_shape)}, {size}, {share} of the FLOPs on the edge"


def _measure(trace: Trace, flops: dict[Node, int], name: str, node: Node, cut: Cut) -> OffloadPoint:
    batch, total = trace.clip_shape[0], sum(flops.values())
    edge = sum(flops[each] for each in cut.edge_nodes)
    feature = cut.layout.to_feature(torch.empty(_tensor_shape(trace, node), device="meta"), batch)
    return _point(name, feature, edge // batch, edge / max(total, 1))


def _tensor_shape(trace: Trace, node: Node) -> tuple[int, ...]:
    fact = trace.tensor(node)
    assert fact is not None
    return fact.shape


def _of_backbone(backbone: Backbone, example: Tensor) -> OffloadPoints:
    check_eval_mode(backbone)
    _, total = _count(backbone, example)
    rows = []
    for name in backbone.offload_points:
        feature, edge = _count(backbone.edge_half(name), example)
        rows.append(_point(name, feature, edge // example.shape[0], edge / max(total, 1)))
    return OffloadPoints(rows)


def _count(module: nn.Module, example: Tensor) -> tuple[Any, int]:
    """What a module makes of the example, and the operations that it takes."""
    for sandbox in sandboxes(example):
        try:
            with sandbox.entered(), counting() as counter:
                return sandbox.call(module, sandbox.clip()), counter.get_total_flops()
        except Exception as error:
            failure = error  # some operations know no shapes without values
    raise failure


def _point(name: str, feature: Feature, edge_flops: int, share: float) -> OffloadPoint:
    shape = FeatureShape(*feature.grid.shape[1:])
    return OffloadPoint(name, shape, feature.tokens.shape[1], edge_flops, share)
