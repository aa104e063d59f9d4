"""What a stream MoViNet remembers between two steps, and how a run of its layers carries it on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from approxbit.backbones.movinet_stream_layers import CausalBottleneck, LayerState

Size = tuple[int, int]
Layers = nn.ModuleList | nn.Sequential  # of CausalBottleneck


class StreamState(NamedTuple):
    """What a stream MoViNet, or a half of it, remembers of a batch of streams.

    A value: a step returns a new one. Streams of different ages may share a batch.

    Attributes:
        num_frames: How many frames each stream had so far.
        layers: One for each layer of the part.
        head_mean: Mean over all frames so far of what enters the classifier; None in an edge half.
    """

    num_frames: Int64[Tensor, " batch"]
    layers: tuple[LayerState, ...]
    head_mean: Float[Tensor, "batch channel"] | None

    @property
    def num_bytes(self) -> int:
        """What must be kept in memory between two steps, however long the stream is."""
        return sum(tensor.nbytes for tensor in self.tensors())

    def tensors(self) -> list[Tensor]:
        """All that is remembered, in a fixed order: to save, to move, to stack or to feed to an engine.

        The first axis of each is the batch.
        """
        memory = (self.num_frames, self.head_mean, *chain.from_iterable(self.layers))
        return [tensor for tensor in memory if tensor is not None]

    def with_tensors(self, tensors: Iterable[Tensor]) -> StreamState:
        """The state of the same part with other tensors, in the order of `tensors`.

        Raises:
            ValueError: There are not as many.
        """
        left = list(tensors)
        if len(left) != len(self.tensors()):
            raise ValueError(f"this state holds {len(self.tensors())} tensors, found {len(left)}")
        following = iter(left)
        num_frames = next(following)
        head_mean = None if self.head_mean is None else next(following)
        layers = tuple(
            LayerState(next(following), None if layer.history is None else next(following))
            for layer in self.layers
        )
        return StreamState(num_frames, layers, head_mean)


def make_state(
    layers: Layers, batch_size: int, size: Size, like: Tensor, head_channels: int = 0
) -> StreamState:
    """The state of a part before the first frame, all zeros.

    Args:
        layers: Those of the part.
        batch_size: How many streams advance together.
        size: Height and width of what enters the first layer.
        like: A tensor whose type and device the state takes.
        head_channels: Channels that enter the classifier, 0 in a part without one.

    Raises:
        ValueError: The batch or the frames would be empty.
    """
    if min(batch_size, *size) < 1:
        raise ValueError(
            f"a state needs at least one stream and frames of at least 1x1, "
            f"found {batch_size} streams of {size[0]}x{size[1]}"
        )
    states = []
    for module in layers:
        layer = cast(CausalBottleneck, module)
        states.append(layer.initial_state(batch_size, size))
        size = layer.output_size(size)
    return StreamState(
        torch.zeros(batch_size, dtype=torch.int64, device=like.device),
        tuple(states),
        like.new_zeros(batch_size, head_channels) if head_channels else None,
    )


def check_step(grid: Tensor, channels: int, state: StreamState, num_layers: int, head_channels: int) -> None:
    """Refuse what a step cannot take; the layers check their own states.

    Raises:
        ValueError: The grid is not [batch, channels, time, height, width] with at least one frame, or the
            state is not one of such a part for a batch of that size.
    """
    if grid.ndim != 5 or grid.shape[1] != channels or 0 in grid.shape:
        raise ValueError(
            f"a step takes [batch, {channels}, time, height, width] with at least one frame, "
            f"found {tuple(grid.shape)}"
        )
    expected = grid.shape[0], num_layers, head_channels
    found = (
        len(state.num_frames),
        len(state.layers),
        0 if state.head_mean is None else state.head_mean.shape[1],
    )
    if found != expected:
        raise ValueError(
            "the state must be one of this part, from its `initial_state` or its last step: expected "
            "{} streams, {} layers and {} channels in the head, ".format(*expected)
            + "found {}, {} and {}".format(*found)
        )


def advance(
    layers: Layers,
    frames: Float[Tensor, "batch time channel height width"],
    state: StreamState,
) -> tuple[Float[Tensor, "batch time channel_out height_out width_out"], tuple[LayerState, ...]]:
    """What comes out of the last of the layers, and their states for the next step.

    Raises:
        ValueError: The state of a layer does not fit the frames.
    """
    states = []
    for layer, layer_state in zip(layers, state.layers, strict=True):
        frames, layer_state = layer(frames, layer_state, state.num_frames)
        states.append(layer_state)
    return frames, tuple(states)
