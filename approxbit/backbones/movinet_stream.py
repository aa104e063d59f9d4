"""MoViNet (Kondratyuk et al., 2021), stream variant: causal, frame by frame, cut where the base variant is.

    frames -> conv1 -> b0 -> b1 -> b2 -> b3 -> b4 -> conv7 -> mean so far -> classifier -> logits
                     B1    B2    B3    B4    B5    B6

A step takes one or several frames and a state, and returns the logits after the last of them and the next
state. It changes neither the model nor the state that it was given:

    state = model.initial_state()
    for frames in stream:  # [1, 3, time, height, width]
        logits, state = model.step(frames, state)

Keys of the state dict are those of Atze00/MoViNet-pytorch. As there, nothing encodes the position of a frame,
which the official stream weights of A3 to A5 need; those of A0 to A2 do not.
"""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import EdgeHalf, ServerHalf
from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.backbones.movinet_family import STEM_STRIDE, MoViNetFamily, stack_layers
from approxbit.backbones.movinet_stream_layers import CausalBottleneck, FrameConvolution, advance_mean
from approxbit.backbones.movinet_stream_state import (
    Layers,
    Size,
    StreamState,
    advance,
    check_step,
    make_state,
)
from approxbit.backbones.movinet_table import Architecture


class MoViNetStream(MoViNetFamily):
    """A MoViNet whose layers see no later frame. Clips are RGB in [0, 1], not normalised further.

    Args:
        architecture: Widths, kernels and strides.
        num_classes: Length of the logits.
        clip_shape: (3, time, height, width) that `feature_shape` and `initial_state` assume; the
            architecture's own by default. The model itself takes clips of any length and size.
        dropout: Rate in the classifier while training, in [0, 1).
    """

    def __init__(
        self,
        architecture: Architecture,
        num_classes: int,
        clip_shape: tuple[int, int, int, int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(architecture, num_classes, clip_shape)
        hidden_channels = architecture.hidden_channels
        self.conv1 = FrameConvolution(3, architecture.stem_channels, kernel=3, stride=STEM_STRIDE)
        self.blocks = stack_layers(architecture, CausalBottleneck)
        self.conv7 = FrameConvolution(architecture.blocks[-1].channels, architecture.head_channels)
        self.classifier = nn.Sequential(
            FrameConvolution(architecture.head_channels, hidden_channels, has_norm=False, has_swish=False),
            nn.SiLU(),
            nn.Dropout(dropout),
            FrameConvolution(hidden_channels, num_classes, has_norm=False, has_swish=False),
        )

    def edge_half(self, point: str) -> MoViNetStreamEdgeHalf:
        """The stem and the blocks before `point`.

        Raises:
            ValueError: The model has no such offload point.
        """
        layers = list(self.blocks)[: self.num_layers_before(point)]
        half = MoViNetStreamEdgeHalf(self.conv1, layers, self.clip_shape)
        half.training = self.training  # train() would also reach into the shared layers
        return half

    def server_half(self, point: str) -> MoViNetStreamServerHalf:
        """The blocks after `point`, and the head.

        Raises:
            ValueError: The model has no such offload point.
        """
        layers = list(self.blocks)[self.num_layers_before(point) :]
        half = MoViNetStreamServerHalf(
            layers, self.conv7, self.classifier, self.architecture, self.feature_shape(point)
        )
        half.training = self.training
        return half

    def initial_state(self, batch_size: int = 1, size: Size | None = None) -> StreamState:
        """The state before the first frame.

        Args:
            batch_size: How many streams advance together.
            size: Height and width of the frames, by default those of `clip_shape`.

        Raises:
            ValueError: The batch or the frames would be empty.
        """
        size = _stem_size(size or self.clip_shape[2:])
        like = next(self.parameters())
        return make_state(self.blocks, batch_size, size, like, self.architecture.head_channels)

    def step(
        self, frames: Float[Tensor, "batch channel time height width"], state: StreamState
    ) -> tuple[Float[Tensor, "batch class"], StreamState]:
        """Logits after the last of the frames, and the state for the next step.

        Args:
            frames: The next one or several of each stream, [batch, 3, time, height, width].
            state: What `initial_state` or the last step returned.

        Raises:
            ValueError: The frames have another shape, or the state is not one of this model for them.
        """
        check_step(frames, 3, state, len(self.blocks), self.architecture.head_channels)
        return _finish(_run_stem(self.conv1, frames), state, self.blocks, self.conv7, self.classifier)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch class"]:
        """Logits after the last frame of a batch of clips, before any softmax."""
        return self.step(clip, self.initial_state(clip.shape[0], (clip.shape[3], clip.shape[4])))[0]


class MoViNetStreamEdgeHalf(EdgeHalf):
    """The stem and the first blocks of a stream MoViNet.

    Args:
        conv1: The stem.
        layers: Those of the first blocks.
        clip_shape: (3, time, height, width), of which `initial_state` takes the size.
    """

    def __init__(
        self, conv1: nn.Module, layers: Iterable[nn.Module], clip_shape: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        self.conv1 = conv1
        self.layers = nn.ModuleList(layers)
        self.clip_shape = clip_shape

    def initial_state(self, batch_size: int = 1, size: Size | None = None) -> StreamState:
        """The state before the first frame.

        Args:
            batch_size: How many streams advance together.
            size: Height and width of the frames, by default those of the model's `clip_shape`.

        Raises:
            ValueError: The batch or the frames would be empty.
        """
        size = _stem_size(size or self.clip_shape[2:])
        return make_state(self.layers, batch_size, size, next(self.parameters()))

    def step(
        self, frames: Float[Tensor, "batch channel time height width"], state: StreamState
    ) -> tuple[Feature, StreamState]:
        """The feature of the frames, with no tokens, and the state for the next step.

        Args:
            frames: The next one or several of each stream, [batch, 3, time, height, width].
            state: What `initial_state` or the last step returned.

        Raises:
            ValueError: The frames have another shape, or the state is not one of this half for them.
        """
        check_step(frames, 3, state, len(self.layers), head_channels=0)
        hidden, layers = advance(self.layers, _run_stem(self.conv1, frames), state)
        grid = hidden.transpose(1, 2)
        feature = Feature(grid, grid.new_zeros(grid.shape[0], 0, grid.shape[1]))
        return feature, StreamState(state.num_frames + frames.shape[2], layers, None)

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Feature:
        """The feature of a batch of clips, with no tokens."""
        return self.step(clip, self.initial_state(clip.shape[0], (clip.shape[3], clip.shape[4])))[0]


class MoViNetStreamServerHalf(ServerHalf):
    """The last blocks of a stream MoViNet and its head.

    Args:
        layers: Those of the last blocks.
        conv7: The convolution of the head.
        classifier: What follows the mean.
        architecture: Of the model.
        feature_shape: At the offload point; `initial_state` takes its size.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        conv7: nn.Module,
        classifier: nn.Module,
        architecture: Architecture,
        feature_shape: FeatureShape,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.conv7 = conv7
        self.classifier = classifier
        self.head_channels = architecture.head_channels
        self.feature_shape = feature_shape

    def initial_state(self, batch_size: int = 1, size: Size | None = None) -> StreamState:
        """The state before the first frame.

        Args:
            batch_size: How many streams advance together.
            size: Height and width of the feature, by default those for the model's `clip_shape`.

        Raises:
            ValueError: The batch or the feature would be empty.
        """
        size = size or self.feature_shape[2:]
        return make_state(self.layers, batch_size, size, next(self.parameters()), self.head_channels)

    def step(self, feature: Feature, state: StreamState) -> tuple[Float[Tensor, "batch class"], StreamState]:
        """Logits after the last frame of the feature, and the state for the next step.

        Args:
            feature: Of the next one or several frames of each stream.
            state: What `initial_state` or the last step returned.

        Raises:
            ValueError: The feature has another shape, or the state is not one of this half for it.
        """
        check_step(feature.grid, self.feature_shape.channels, state, len(self.layers), self.head_channels)
        return _finish(feature.grid.transpose(1, 2), state, self.layers, self.conv7, self.classifier)

    def forward(self, feature: Feature) -> Float[Tensor, "batch class"]:
        """Logits after the last frame of a batch of features."""
        size = feature.grid.shape[3], feature.grid.shape[4]
        return self.step(feature, self.initial_state(feature.grid.shape[0], size))[0]


def _stem_size(size: Size) -> Size:
    """Height and width after the stem."""
    return -(-size[0] // STEM_STRIDE), -(-size[1] // STEM_STRIDE)


def _run_stem(
    conv1: nn.Module, frames: Float[Tensor, "batch 3 time height width"]
) -> Float[Tensor, "batch time channel height_out width_out"]:
    batch_size, _, time = frames.shape[:3]
    out: Tensor = conv1(frames.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch_size, time))
    return out


def _finish(
    frames: Float[Tensor, "batch time channel height width"],
    state: StreamState,
    layers: Layers,
    conv7: nn.Module,
    classifier: nn.Module,
) -> tuple[Float[Tensor, "batch class"], StreamState]:
    """The logits of a part with a head, and its next state."""
    hidden, layer_states = advance(layers, frames, state)
    values = conv7(hidden.flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, hidden.shape[:2])
    assert state.head_mean is not None  # `check_step` saw to it
    _, head_mean = advance_mean(values, state.head_mean, state.num_frames)
    logits = classifier(head_mean[:, :, None, None]).flatten(1)
    return logits, StreamState(state.num_frames + frames.shape[1], layer_states, head_mean)
