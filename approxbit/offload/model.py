"""One backbone, cut in two, with a codec in the cut."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature
from approxbit.codec.code import Code
from approxbit.codec.codec import Codec
from approxbit.wire import PriorTables


class OffloadedModel(nn.Module):
    """A frozen video model whose answer is found on two machines.

    ```
    EDGE    clip -> edge half -> codec.encode -> code
    SERVER  code -> codec.decode -> server half -> answer
    ```

    The backbone's parameters are frozen and it stays in eval mode, whatever `train()` says: only the codec
    learns (section 3.5, APPROXBIT). A new model is in eval mode. Training calls the parts one by one:
    `edge_half(clip)`, `codec(feature)`, `server_half(output.feature)`.

    Args:
        backbone: The video model. It is not copied, so that many configurations share it.
        codec: A codec for the backbone's feature at `codec.configuration.offload_point`.
        label_names: Names of the classes, in the order of the logits; empty if they are not known.

    Raises:
        ValueError: The backbone has no such offload point, its feature there is not the one that the codec
            was made for, or there is not one label name for each class.
    """

    fingerprint: int = 0
    """Hash of the codec's weights, set by the zoo; 0 until then."""

    prior: PriorTables | None = None
    """The codec's tables for coding, set by the zoo; None where it has none."""

    def __init__(self, backbone: Backbone, codec: Codec, label_names: Sequence[str] = ()):
        super().__init__()
        _check_fit(backbone, codec)
        if label_names and len(label_names) != backbone.num_classes:
            raise ValueError(
                f"label_names must hold one name for each of the {backbone.num_classes} classes, "
                f"found {len(label_names)}"
            )
        point = codec.configuration.offload_point
        self.backbone = backbone.requires_grad_(False)
        self.codec = codec
        self.label_names = tuple(label_names)
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
        first = OffloadedModel(self.backbone, self.codec.first_bits(codebook_size), self.label_names)
        first.fingerprint = self.fingerprint
        first.prior = self.prior  # of which the first bits use the first tables
        return first

    def encode(self, clip: Float[Tensor, "batch 3 time height width"]) -> Code:
        """What the edge computes: the bits of a batch of clips."""
        return self.codec.encode(self.edge_half(clip))

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
        return self.server_half(self.codec.decode(code, feature_size))

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch ..."]:
        """The answer to a batch of clips: `answer(encode(clip))`."""
        feature: Feature = self.edge_half(clip)
        _, _, time, height, width = feature.grid.shape
        return self.answer(self.codec.encode(feature), (time, height, width))


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
