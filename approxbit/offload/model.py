"""One backbone, cut in two, with a codec in the cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature
from approxbit.codec.code import Code
from approxbit.codec.codebook import forget_last_bits
from approxbit.codec.codec import Codec
from approxbit.codec.picture import count_weights
from approxbit.drawing import Drawing, draw_two_sides, page
from approxbit.engines.questions import objection_to, say
from approxbit.engines.runner import EdgeRunner, ServerRunner
from approxbit.offload.inputs import cast, cast_feature, prepare
from approxbit.offload.runners import TorchGraph, TorchQuestions, clip_format, require_ask
from approxbit.tasks import Classification, Task
from approxbit.wire import Answer, CodeFormat, Packet, PriorTables, pack, wanted_of
from approxbit.wire.request import NOTHING_SAID, Request


class OffloadedModel(nn.Module):
    """A frozen video model whose answer is found on two machines.

    ```
    EDGE    clip -> normalise -> edge half -> codec.encode -> code
    SERVER  code -> codec.decode -> server half -> answer
    ```

    The backbone's parameters are frozen and it stays in eval mode, whatever `train()` says: only the codec
    learns (section 3.5, APPROXBIT). A new model is in eval mode. Training calls the parts one by one:
    `edge_half(backbone.normalise(clip))`, `codec(feature)`, `server_half(output.feature)`.

    What takes a clip takes RGB, floats in [0, 1] or uint8, and normalises it by the backbone's `mean` and
    `std`; the halves alone take clips that are normalised already.

    Args:
        backbone: The video model. It is not copied, so that many configurations share it.
        codec: A codec for the backbone's feature at `codec.configuration.offload_point`.
        task: What the answer means; by default classes of which no name is known.

    Raises:
        ValueError: The backbone has no such offload point, its feature there is not the one that the codec
            was made for, or the task is for another number of classes.
    """

    fingerprint: int = 0
    """Hash of the codec's weights, set by the zoo; 0 until then."""

    prior: PriorTables | None = None
    """The codec's tables for coding, set by the zoo; None where it has none."""

    def __init__(self, backbone: Backbone, codec: Codec, task: Task | None = None):
        super().__init__()
        _check_fit(backbone, codec)
        self.task = Classification.of_names() if task is None else task
        self.task.check_model(backbone.num_classes)
        point = codec.configuration.offload_point
        self.backbone = backbone.requires_grad_(False)
        self.codec = codec
        self.edge_half = backbone.edge_half(point)
        self.server_half = backbone.server_half(point)
        self.eval()

    def train(self, mode: bool = True) -> OffloadedModel:
        """Set the codec's mode; the backbone stays in eval mode."""
        super().train(mode)
        for frozen in (self.backbone, self.edge_half, self.server_half):
            frozen.eval()
        return self

    def first_bits(self, codebook_size: int) -> OffloadedModel:
        """The model of the first bits of a nested codec; it shares the backbone and the decoder.

        Raises:
            ValueError: The codec was not trained for that many first bits.
        """
        if codebook_size == self.codec.configuration.codebook_size:
            return self
        first = OffloadedModel(self.backbone, self.codec.first_bits(codebook_size), self.task)
        first.fingerprint = self.fingerprint
        first.prior = self.prior  # of which the first bits use the first tables
        return first

    def encode(self, clip: Tensor) -> Code:
        """What the edge computes: the bits of a batch of clips.

        Args:
            clip: RGB `[batch, 3, time, height, width]`, floats in [0, 1] or uint8. It is normalised here.

        Raises:
            ValueError: The clip is of another shape, kind or range. The message says how to make one of it.
        """
        return self.codec.encode(self._feature(clip))

    def answer(
        self, code: Code, feature_size: tuple[int, int, int] | None = None
    ) -> Float[Tensor, "batch ..."]:
        """What the server computes: the answer to a batch of codes, such as logits [batch, class].

        Args:
            code: What `encode` returned.
            feature_size: Time, height and width of the edge's feature, by default the codec's.

        Raises:
            ValueError: The code is not one of the codec's for a feature of that size.
        """
        answer: Tensor = self.server_half(cast_feature(self.codec.decode(code, feature_size), self.backbone))
        return answer

    @overload  # a str is a sequence of str, but the first that fits counts
    def ask(  # type: ignore[overload-overlap]
        self, code: Code, asked: str, feature_size: tuple[int, int, int] | None = None
    ) -> str: ...

    @overload
    def ask(
        self, code: Code, asked: Sequence[Sequence[str]], feature_size: tuple[int, int, int] | None = None
    ) -> list[list[str]]: ...

    def ask(
        self,
        code: Code,
        asked: str | Sequence[Sequence[str]],
        feature_size: tuple[int, int, int] | None = None,
    ) -> str | list[list[str]]:
        """Answers to late questions: those that nobody knew when the codes were made.

        The server half runs once for each clip, however many questions there are.

        Args:
            code: What `encode` returned.
            asked: The questions about each clip of the batch; or, of a batch of one, a single question.
            feature_size: As for `answer`.

        Returns:
            The answers about each clip; or the one answer to the single question.

        Raises:
            ValueError: The backbone answers no questions, these are not those about each clip, or as its own
                `ask` and `answer` say.

        Example:
            >>> model.ask(model.encode(clip), "what is red")  # doctest: +SKIP
            'seven'
            >>> model.ask(model.encode(clip), [["what is red", "how many digits are there"]])
            ... # doctest: +SKIP
            [['seven', 'two']]
        """
        ask, questions = require_ask(self.backbone), [[asked]] if isinstance(asked, str) else asked
        if any(isinstance(each, str) for each in questions):
            raise ValueError(
                "expected a list of questions for each clip, such as [['what is red', 'is it large']], found "
                f"{list(asked)!r:.100}"
            )
        with torch.no_grad():
            answers: list[list[str]] = ask(self.answer(code, feature_size), questions)
        return answers[0][0] if isinstance(asked, str) else answers

    def forward(self, clip: Tensor) -> Float[Tensor, "batch ..."]:
        """The answer to a batch of clips, RGB in [0, 1]: `answer(encode(clip))`.

        Raises:
            ValueError: As `encode`.
        """
        feature = self._feature(clip)
        _, _, time, height, width = feature.grid.shape
        return self.answer(self.codec.encode(feature), (time, height, width))

    def draw(self) -> Drawing:
        """The two halves, and how many bytes there are on the way."""
        point, codec = self.codec.configuration.offload_point, self.codec
        clip, kind = tuple(self.backbone.clip_shape), type(self.backbone).__name__
        encoder = [codec.spatial_encoder, codec.encoder_attention, codec.compressor]
        edge = [
            f"clip {clip}",
            f"{kind} up to {point}, {count_weights(self.edge_half)} weights",
            f"feature {tuple(codec.feature_shape)}",
            f"encoder, {count_weights(*encoder)} weights",
        ]
        server = [
            f"decoder, {count_weights(codec.codebook, codec.decoder)} weights",
            f"feature {tuple(codec.feature_shape)}",
            f"{kind} after {point}, {count_weights(self.server_half)} weights",
            f"{self.backbone.num_classes} classes" if self.backbone.num_classes else "answer",
        ]
        between = ["code", str(codec.configuration), f"{codec.payload_bytes:,} bytes"]
        sizes = [
            ("clip", math.prod(clip)),
            ("feature", codec.feature_bytes),
            ("code", codec.payload_bytes),
        ]
        return draw_two_sides(repr(self)[1:-1], edge, server, between, sizes)

    def __repr__(self) -> str:
        kind, num_bytes = type(self.backbone).__name__, self.codec.payload_bytes
        return f"<OffloadedModel {self.codec.configuration} of {kind}: {num_bytes:,} bytes a code>"

    def _repr_html_(self) -> str:
        return page(repr(self)[1:-1], self.draw().svg())

    def _feature(self, clip: Tensor) -> Feature:
        return cast_feature(self.edge_half(prepare(clip, self.backbone)), self.codec)

    @property
    def code_format(self) -> CodeFormat:
        """What the codes look like, for clips of the backbone's own `clip_shape`."""
        codec = self.codec
        size = codec.feature_shape.size
        return CodeFormat(codec.configuration, size, codec.num_tokens, self.fingerprint, self.prior)

    @property
    def link_format(self) -> CodeFormat:
        """The format of codes that cross a link: with the fingerprint of weights and preprocessing."""
        return clip_format(self.backbone).link_format(self.code_format)

    def encode_packet(self, clip: Tensor, sequence: int = 0, request: Request = NOTHING_SAID) -> Packet:
        """What the edge sends of a clip: `encode` as a packet, entropy coded if there is a prior.

        Args:
            clip: A batch of one, of the backbone's `clip_shape`, RGB in [0, 1] or uint8.
            sequence: Number of the clip; the answer carries the same.
            request: What the server shall say, by default the five likeliest classes; a question goes with
                `approxbit.engines.questions.IN_WORDS`.

        Raises:
            ValueError: There is not one clip, or it is of another shape, kind or range.
        """
        with torch.inference_mode():
            planes = self.encode(clip).to_planes().cpu().numpy()
        if len(planes) != 1:
            raise ValueError(f"a packet holds one clip, found a batch of {len(planes)}")
        return self.link_format.packet(planes[0], sequence, request=request)

    def answer_packet(self, packet: Packet) -> Answer:
        """What the server says of a packet, also of one that holds the first bits of a nested codec.

        Raises:
            FingerprintError: Other weights made the packet.
            ValueError: It holds no code of the model's, or one that is coded against an earlier code, or it
                wants something else than the task gives: logits, the likeliest classes, or words to a
                question.
            WireError: The payload is not what its coding writes.
        """
        code_format = self.first_bits(packet.codebook_size).link_format
        packet.check_fingerprint(code_format.fingerprint)
        if not code_format.is_of(packet):
            raise ValueError(
                f"expected a code of {code_format.configuration} for the feature size "
                f"{code_format.feature_size}, found {packet.configuration} for {packet.feature_size}"
            )
        is_asked = not isinstance(self.task, Classification)
        questions, wanted = TorchQuestions(self.backbone) if is_asked else None, wanted_of(packet)
        objection = objection_to(packet.request, wanted, self.task, questions)
        if objection:
            raise ValueError(objection)
        packed = pack(packet.planes(self.prior))
        result = self.server_runner().run([packed], [packet.codebook_size])
        content = say(result.logits[0], packet.request, wanted, self.task, questions)
        return Answer(packet.sequence, content, result.decode_ms, result.server_ms)

    def edge_runner(self, num_threads: int | None = None) -> EdgeRunner:
        """The edge half and the encoder, run by torch.

        Args:
            num_threads: Threads for each operator, at least 1; torch's own choice by default.

        Raises:
            ValueError: The model is in training mode, `num_threads` is below 1, or clips are not square.
        """

        def run_half(clip: Tensor) -> dict[str, Any]:
            return {"feature": cast_feature(self.edge_half(cast(clip, self.backbone)), self.codec)}

        def encode(feature: Feature) -> dict[str, Any]:
            planes = self.codec.encode(feature).to_planes().flatten(1)
            return {"packed": np.packbits(planes.cpu().numpy(), axis=1)}

        return EdgeRunner(
            self.code_format,
            clip_format(self.backbone),
            TorchGraph(run_half, self, self.backbone.clip_shape, num_threads),
            TorchGraph(encode, self, self.codec.feature_shape, num_threads),
        )

    def server_runner(self, num_threads: int | None = None) -> ServerRunner:
        """The decoder and the server half, run by torch; one batch may mix the codec's nested sizes.

        Args:
            num_threads: Threads for each operator, at least 1; torch's own choice by default.

        Raises:
            ValueError: The model is in training mode, or `num_threads` is below 1.
        """
        code_format, codec = self.code_format, self.codec
        shape = code_format.configuration.codebook_size, code_format.num_positions

        def decode(packed: Tensor, **nested: Tensor) -> dict[str, Any]:
            planes = _unpack_bits(packed)[:, : shape[0] * shape[1]].unflatten(1, shape)
            code = Code.from_planes(planes, codec.grid_size)
            if nested:
                code = forget_last_bits(code, nested["codebook_size"])
            return {"feature": cast_feature(codec.decode(code), self.backbone)}

        def run_half(feature: Feature) -> dict[str, Any]:
            return {"answer": self.server_half(feature).float().cpu().numpy()}

        return ServerRunner(
            code_format,
            TorchGraph(decode, self, (code_format.payload_bytes,), num_threads),
            TorchGraph(run_half, self, codec.feature_shape, num_threads),
            nested_sizes=codec.nested_sizes,
        )


def _unpack_bits(packed: Tensor) -> Tensor:
    """uint8 `[batch, byte]` -> bits `[batch, 8 byte]`, the most significant first."""
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    return ((packed[:, :, None] >> places) & 1).flatten(1)


def _check_fit(backbone: Backbone, codec: Codec) -> None:
    point = codec.configuration.offload_point
    backbone.check_point(point)
    expected = backbone.feature_shape(point), backbone.num_tokens(point)
    found = codec.feature_shape, codec.num_tokens
    if found != expected:
        raise ValueError(
            f"at {point} the backbone has features of shape {tuple(expected[0])} and {expected[1]} tokens, "
            f"found a codec for {tuple(found[0])} and {found[1]}"
        )
