"""Streaming and offloading at once: every frame crosses the link as a code of its own.

    EDGE    frame -> edge half and its state -> codec.encode -> code 0, 1, 2, ...
    SERVER  code -> codec.decode -> server half and its state -> logits after this frame

The model is an `OffloadedModel` of a stream backbone whose clips are as long as one code, usually one frame:

    backbone = movinet("a2", streaming=True, clip_shape=(3, 1, 224, 224))
    model = OffloadedModel(backbone, Codec(backbone.feature_shape("B5"), Configuration.parse("16-Enc-B5")))
    edge, server = EdgeStream(model), ServerStream(model)
    for frame in camera:  # [1, 3, 1, 224, 224]
        logits = server.answer(edge.encode(frame))

The codec looks at one code at a time and remembers nothing. The halves do remember, so the server must see
every code once and in order: it refuses a code that does not follow the last one, and stays as it was. To go
on, either give it the missing codes in their turn, or call `EdgeStream.reset`. The next code is then a key
code, on which the server starts afresh by itself.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature
from approxbit.backbones.movinet_stream import MoViNetStreamEdgeHalf, MoViNetStreamServerHalf
from approxbit.backbones.movinet_stream_state import StreamState
from approxbit.codec.code import Code
from approxbit.errors import StreamError
from approxbit.offload.inputs import prepare
from approxbit.offload.model import OffloadedModel

Half = TypeVar("Half", bound=nn.Module)


class StreamCode(NamedTuple):
    """The code of the next frame or frames of a batch of streams, and its place among the others.

    Attributes:
        sequence: Counts the codes of an `EdgeStream` from 0, through every reset.
        is_key: Whether the edge had no memory before these frames, so that the server must drop its own.
        code: The bits.
    """

    sequence: int
    is_key: bool
    code: Code


class EdgeStream:
    """What the edge keeps of a batch of streams that it offloads code by code.

    Args:
        model: A stream backbone with a codec; it is shared, and never changed.
        batch_size: How many streams advance together.

    Raises:
        ValueError: The backbone is not a stream variant.
    """

    def __init__(self, model: OffloadedModel, batch_size: int = 1) -> None:
        self._half = _as(MoViNetStreamEdgeHalf, model.edge_half)
        self._backbone, self._codec = model.backbone, model.codec
        self._batch_size = batch_size
        self._next_sequence = 0
        self.reset()

    @property
    def state_bytes(self) -> int:
        """What the device holds between two codes."""
        return self._state.num_bytes

    def reset(self) -> None:
        """Forget all frames; the next code is a key code."""
        self._state: StreamState = self._half.initial_state(self._batch_size)
        self._next_is_key = True

    @torch.no_grad()
    def encode(self, frames: Float[Tensor, "batch channel time height width"]) -> StreamCode:
        """The code of the next frames. If this raises, the stream is as it was.

        Args:
            frames: [batch, 3, time, height, width], RGB in [0, 1], as many as the codec's feature shape has,
                usually one.

        Raises:
            ValueError: The frames are not as many, or not of the size, that the model was made for, or are
                no RGB in [0, 1].
        """
        time = self._codec.feature_shape.time
        if frames.ndim != 5 or frames.shape[2] != time:
            raise ValueError(
                f"one code takes [{self._batch_size}, 3, {time}, height, width], found {tuple(frames.shape)}"
            )
        feature, state = self._half.step(prepare(frames, self._backbone), self._state)
        found = StreamCode(self._next_sequence, self._next_is_key, self._codec.encode(feature))
        self._state, self._next_is_key = state, False
        self._next_sequence += 1
        return found


class ServerStream:
    """What the server keeps of a batch of streams that an `EdgeStream` offloads.

    Args:
        model: The edge's model; it is shared, and never changed.
        batch_size: How many streams advance together.

    Raises:
        ValueError: The backbone is not a stream variant.
    """

    def __init__(self, model: OffloadedModel, batch_size: int = 1) -> None:
        self._half = _as(MoViNetStreamServerHalf, model.server_half)
        self._codec = model.codec
        self._batch_size = batch_size
        self.reset()

    @property
    def state_bytes(self) -> int:
        """What the server holds for these streams between two codes."""
        return self._state.num_bytes

    def reset(self) -> None:
        """Forget everything; the next code must be a key code, of any sequence number."""
        self._state: StreamState = self._half.initial_state(self._batch_size)
        self._last_sequence: int | None = None

    @torch.no_grad()
    def answer(self, message: StreamCode) -> Float[Tensor, "batch class"]:
        """Logits after the frames of the next code. If this raises, the stream is as it was.

        Raises:
            StreamError: The code does not follow the last one.
            ValueError: It is not a code of this model for that many streams.
        """
        self._check_order(message)
        state = self._half.initial_state(self._batch_size) if message.is_key else self._state
        logits, self._state = self._half.step(self._codec.decode(message.code), state)
        self._last_sequence = message.sequence
        return logits

    def _check_order(self, message: StreamCode) -> None:
        last, found = self._last_sequence, message.sequence
        if last is None:
            problem = None if message.is_key else "a stream starts with a key code"
        elif found <= last:
            problem = f"code {last} was answered already"
        else:
            problem = None if message.is_key or found == last + 1 else f"code {last + 1} must come first"
        if problem:
            raise StreamError(
                f"{problem}, found code {found}; reset the edge's stream to go on with a key code"
            )


def split_frames(feature: Feature, frames_per_code: int) -> Feature:
    """Features of whole clips as a batch of features that a codec for single frames takes, in order.

    Training a codec for streams runs it on these; `join_frames` is the inverse.

    Args:
        feature: Of clips; without class tokens, which belong to no frame.
        frames_per_code: As in the codec's feature shape, usually 1.

    Raises:
        ValueError: The frames do not divide into codes, or there are class tokens.
    """
    grid, tokens = feature
    if tokens.shape[1] or grid.shape[2] % frames_per_code:
        raise ValueError(
            f"a feature splits into codes of {frames_per_code} frames if that divides its time and it has no "
            f"class tokens, found {grid.shape[2]} frames and {tokens.shape[1]} class tokens"
        )
    pieces = grid.unflatten(2, (-1, frames_per_code)).transpose(1, 2).flatten(0, 1)
    return Feature(pieces, tokens.new_zeros(pieces.shape[0], 0, pieces.shape[1]))


def join_frames(feature: Feature, batch_size: int) -> Feature:
    """The features of `batch_size` clips from those of their codes; the inverse of `split_frames`."""
    grid = feature.grid.unflatten(0, (batch_size, -1)).transpose(1, 2).flatten(2, 3)
    return Feature(grid, feature.tokens.new_zeros(batch_size, 0, grid.shape[1]))


def answer_clip(
    model: OffloadedModel, clip: Float[Tensor, "batch 3 time height width"]
) -> Float[Tensor, "batch class"]:
    """Logits after the last frame of whole clips, through the same codes as a stream, in one pass.

    Args:
        model: A stream backbone with a codec.
        clip: Frames of the model's size, RGB in [0, 1], as many as divide into codes.

    Raises:
        ValueError: The backbone is not a stream variant, or the frames do not divide into codes.
    """
    edge_half = _as(MoViNetStreamEdgeHalf, model.edge_half)
    pieces = split_frames(edge_half(prepare(clip, model.backbone)), model.codec.feature_shape.time)
    decoded = model.codec.decode(model.codec.encode(pieces))
    answer: Tensor = model.server_half(join_frames(decoded, clip.shape[0]))
    return answer


def _as(kind: type[Half], half: nn.Module) -> Half:
    if not isinstance(half, kind):
        raise ValueError(
            f"streaming needs a backbone with a {kind.__name__}, such as movinet('a2', streaming=True), "
            f"found one with a {type(half).__name__}"
        )
    return half
