"""Any model as a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import GraphModule

from approxbit.backbones.base import Backbone, EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.splitting.clean import NotCleanError
from approxbit.backbones.splitting.cut import Cut, cut_at
from approxbit.backbones.splitting.inference import UnknownLayoutError
from approxbit.backbones.splitting.layout import Layout, TokenLayout
from approxbit.backbones.splitting.places import check_places
from approxbit.backbones.splitting.trace import Trace, advise, check_answer, trace_model
from approxbit.configuration import Configuration


def split(
    model: nn.Module,
    at: str | Sequence[str] | Mapping[str, str],
    example: Tensor | Sequence[Tensor],
    layout: Layout | None = None,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> SplitModel:
    """Cut a frozen model after one of its modules, or after each of several.

    The model runs on the example a few times, and its halves must then give bit for bit the same answer. (On
    the meta device, where tensors have no values, only shapes are compared.) The model is neither copied nor
    changed.

    Args:
        model: Takes a batch of clips [batch, 3, time, height, width], or of images [batch, 3, height, width],
            and returns one tensor of logits [batch, class]. In eval mode.
        at: Names of modules as in `model.named_modules()`, or a dict of them by the names that the offload
            points shall have, such as `{"B8": "blocks.7"}`.
        example: A batch of clips, of a shape that the model takes. (A sequence of tensors, as SlowFast takes
            them, is refused with the reason.)
        layout: How the tensor at the cut is arranged, where that cannot be inferred.
        mean: What is subtracted from RGB in [0, 1] before the model sees a clip.
        std: What RGB in [0, 1] is divided by after the subtraction.

    Raises:
        ValueError: The model is in training mode, cannot be traced or does not return logits; there is no
            such module; a cut is not clean; a layout is not known or does not fit; the halves do not give the
            same answer as the model; time and space are elsewhere than a layout says, which a change of the
            clip shows. The message says what to do.

    Example:
        >>> from torchvision.models.video import r2plus1d_18
        >>> backbone = split(r2plus1d_18().eval(), at="layer3.1", example=torch.rand(1, 3, 8, 32, 32))
        >>> backbone.feature_shape("layer3.1", (3, 16, 112, 112))
        FeatureShape(channels=256, time=4, height=14, width=14)
    """
    modules = _named_modules_of(at)
    trace, cuts = _trace_and_cut(model, modules, example, layout)
    in_order = sorted(cuts, key=lambda point: len(cuts[point].edge_nodes))
    backbone = SplitModel(trace, {point: cuts[point] for point in in_order})
    backbone.mean, backbone.std = mean, std
    _check_halves(backbone, trace.sandbox.example)
    _check_layouts(backbone, trace.sandbox.example, layout)
    return backbone


class SplitModel(Backbone):
    """A model of any kind with its offload points; made by `split`.

    Clips of another batch size, length or size than the example's work where they do for the model. Image
    models take clips of one frame. The halves hold only the modules that they run. Functional dropout stays
    off, whatever `train()` says.

    Args:
        trace: The model.
        cuts: By the name of their offload point, in the order of execution.
    """

    def __init__(self, trace: Trace, cuts: Mapping[str, Cut]) -> None:
        super().__init__()
        self.model = trace.model
        self._trace = trace
        self._cuts = dict(cuts)
        channels, *time, height, width = trace.clip_shape[1:]
        self.takes_images = not time
        self.clip_shape = (channels, time[0] if time else 1, height, width)
        self.num_classes = trace.answer.shape[1]
        self.training = False  # as the model is

    @property
    def offload_points(self) -> tuple[str, ...]:
        """As they were given to `split`, in the order of execution."""
        return tuple(self._cuts)

    def layout(self, point: str) -> Layout:
        """How the model arranges the tensor at an offload point.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        return self._cuts[point].layout

    def feature_shape(self, point: str, clip_shape: tuple[int, int, int, int] | None = None) -> FeatureShape:
        """Shape of the grid at `point`, by a run without arithmetic.

        Raises:
            ValueError: The model has no such offload point.
        """
        return FeatureShape(*self._dry_run(point, clip_shape).grid.shape[1:])

    def num_tokens(self, point: str) -> int:
        """How many class tokens cross at `point` beside the grid.

        Raises:
            ValueError: The model has no such offload point.
        """
        return self._dry_run(point, None).tokens.shape[1]

    def edge_half(self, point: str) -> SplitEdgeHalf:
        """The operations up to the end of the module at `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        cut = self._cuts[point]
        return SplitEdgeHalf(
            self._trace.graph_module(cut.edge_graph(self._trace)), cut.layout, self.takes_images
        )

    def server_half(self, point: str) -> SplitServerHalf:
        """The operations after the module at `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        self.check_point(point)
        cut = self._cuts[point]
        return SplitServerHalf(self._trace.graph_module(cut.server_graph(self._trace)), cut.layout)

    def forward(self, clip: Float[Tensor, "batch 3 *size"]) -> Float[Tensor, "batch class"]:
        """The model's own answer to a batch of clips."""
        logits: Tensor = self.model(as_images(clip) if self.takes_images else clip)
        return logits

    def _describe(self) -> str:
        return f"SplitModel of {type(self.model).__name__}"

    def __deepcopy__(self, memo: dict[int, Any]) -> SplitModel:
        copied = SplitModel(replace(self._trace, model=deepcopy(self.model, memo)), self._cuts)
        memo[id(self)] = copied
        copied.mean, copied.std, copied.fingerprint = self.mean, self.std, self.fingerprint
        return copied

    def _dry_run(self, point: str, clip_shape: tuple[int, int, int, int] | None) -> Feature:
        half, sandbox = self.edge_half(point), self._trace.sandbox
        with sandbox.entered():
            feature: Feature = sandbox.call(half, sandbox.clip((1, *(clip_shape or self.clip_shape))))
        return feature


class SplitEdgeHalf(EdgeHalf):
    """The first operations of a model."""

    def __init__(self, operations: GraphModule, layout: Layout, takes_images: bool) -> None:
        super().__init__()
        self.operations = operations
        self.layout = layout
        self.takes_images = takes_images
        self.training = False

    def forward(self, clip: Float[Tensor, "batch 3 *size"]) -> Feature:
        """The feature of a batch of clips."""
        value, size = self.operations(as_images(clip) if self.takes_images else clip)
        return self.layout.to_feature(value, clip.shape[0], size)


class SplitServerHalf(ServerHalf):
    """The last operations of a model."""

    def __init__(self, operations: GraphModule, layout: Layout) -> None:
        super().__init__()
        self.operations = operations
        self.layout = layout
        self.training = False

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits of a batch of features."""
        logits: Tensor = self.operations(self.layout.to_tensor(feature), *feature.grid.shape)
        return logits


def as_images(clip: Float[Tensor, "batch 3 *size"]) -> Float[Tensor, "batch 3 height width"]:
    """Clips of one frame as images; images as they are.

    Raises:
        ValueError: The clips have more frames.
    """
    if clip.dim() == 5 and clip.shape[2] == 1:
        return clip.squeeze(2)
    if clip.dim() == 4:
        return clip
    raise ValueError(f"an image model takes clips of one frame, found a batch of shape {tuple(clip.shape)}")


def _named_modules_of(at: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(at, str):
        at = (at,)
    modules = dict(at) if isinstance(at, Mapping) else {name: name for name in at}
    if not modules:
        raise ValueError("a split needs at least one module to cut at, found none")
    for point, module in modules.items():
        try:
            Configuration(point, spatial_encoder=False, codebook_size=1)
        except ValueError:
            raise ValueError(
                "an offload point is called by letters, digits, '_' and '.', not beginning with '.', found "
                f"{point!r}: give it such a name, as in at={{'P{len(modules)}': {module!r}}}"
            ) from None
    return modules


def _trace_and_cut(
    model: nn.Module, modules: dict[str, str], example: Tensor | Sequence[Tensor], layout: Layout | None
) -> tuple[Trace, dict[str, Cut]]:
    trace = trace_model(model, example, modules.values())
    check_answer(trace)
    try:
        return trace, {point: cut_at(trace, module, layout) for point, module in modules.items()}
    except (NotCleanError, UnknownLayoutError):
        if not trace.whole:
            raise
    trace = trace_model(
        model, example
    )  # modules that decide by sizes are looked into now: they may show more
    return trace, {point: cut_at(trace, module, layout) for point, module in modules.items()}


@torch.no_grad()
def _check_halves(backbone: SplitModel, example: Tensor) -> None:
    if example.is_meta:
        return
    try:
        expected = backbone(example.clone())
    except Exception as error:
        raise ValueError(
            f"the model does not run on the example ({type(error).__name__}: {error}); "
            f"{advise(backbone.model, example)}"
        ) from error
    if not _same_bits(backbone(example.clone()), expected):
        raise ValueError(
            "the model gives another answer when it runs again on the same example, even unsplit"
        )
    for point in backbone.offload_points:
        found = backbone.server_half(point)(backbone.edge_half(point)(example.clone()))
        if not _same_bits(found, expected):
            difference = (found - expected).abs().max().item()
            raise ValueError(
                f"at {point} the halves do not give the model's answer on the example (largest difference "
                f"{difference:.3g}): its forward does something that a trace does not see; cut elsewhere, or "
                "write a subclass of approxbit.backbones.Backbone"
            )


def _check_layouts(backbone: SplitModel, example: Tensor, given: Layout | None) -> None:
    """Layouts that the convolutions of a model do not prove."""
    for point in () if example.is_meta else backbone.offload_points:
        layout = backbone.layout(point)
        if given is not None or isinstance(layout, TokenLayout):
            try:
                check_places(backbone.edge_half(point), layout, example)
            except ValueError as error:
                raise ValueError(f"at {point!r}: {error}") from None


def _same_bits(found: Tensor, expected: Tensor) -> bool:
    same = (found == expected) | (found.isnan() & expected.isnan())
    return found.shape == expected.shape and bool(same.all())
