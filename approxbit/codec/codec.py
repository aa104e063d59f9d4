"""The learned codec: feature <-> code."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec.binarizers import Binarizer, Threshold
from approxbit.codec.code import Code
from approxbit.codec.codebook import Codebook, forget_last_bits
from approxbit.codec.compressor import ChannelCompressor, threshold
from approxbit.codec.decoder import Decoder, SelfAttention
from approxbit.codec.options import CodecOptions
from approxbit.codec.part import WHOLE, Part
from approxbit.codec.picture import count_weights
from approxbit.codec.spatial_encoder import SpatialEncoder
from approxbit.codec.statistics import Standardizer
from approxbit.configuration import Configuration
from approxbit.drawing import Drawing, draw_two_sides, page


class CodecOutput(NamedTuple):
    """What the losses of Eq. 3 and Eq. 4 (APPROXBIT) need of one pass through the codec."""

    feature: Feature
    """The decoded feature, in the units of the backbone."""

    logits: Feature
    """X': a grid [batch, bit, time, height, width] and tokens [batch, token, bit]."""

    code: Code
    """The bits: float with a straight-through gradient in training mode, else uint8."""


class Codec(nn.Module):
    """The asymmetric binary autoencoder of APPROXBIT (sections 3.3 and 3.4).

    ```
    EDGE    feature -> standardise -> [spatial encoder] -> [self-attention] -> channel compressor
                    -> logits -> logit > 0 -> code
    SERVER  code -> codebook M -> ResBlock -> ResBlock -> self-attention -> [deconvolution] -> undo -> feature
    ```

    Deterministic, and no clip of a batch has an influence on another. It runs on grids of any size; those
    of `feature_shape` are what `decode` restores by default. Every class token crosses as K bits of its own
    and takes part in the self-attention layer of the decoder.

    A **nested** codec is one whose first bits decode by themselves: in training each clip loses all but the
    first k bits of every position, with k drawn from `nested_sizes` or K, as `CodecOptions` says.
    `first_bits(k)` is the codec of k bits that is inside it.

    With `encoder_attention` every position has looked at the whole clip before it becomes bits, through the
    layer that the decoder has too. The paper's encoder has none.

    Args:
        feature_shape: Channels, time, height and width of the backbone's feature at the offload point.
        configuration: Offload point, spatial encoder and codebook size.
        num_tokens: Class tokens that cross beside the grid.
        options: Widths, self-attention in the encoder, nested sizes; the paper's by default.
        binarizer: How bits get their gradient in training; `Threshold` by default.

    Raises:
        ValueError: A nested size is not below K, or there are not four lengths of at least 1.
    """

    def __init__(
        self,
        feature_shape: tuple[int, int, int, int],
        configuration: Configuration,
        num_tokens: int = 0,
        options: CodecOptions = CodecOptions(),  # noqa: B008 - frozen
        binarizer: Binarizer | None = None,
    ):
        super().__init__()
        self.feature_shape = FeatureShape.of(feature_shape)
        channels, codebook_size = self.feature_shape.channels, configuration.codebook_size
        has_spatial_encoder = configuration.spatial_encoder
        _check_nested_sizes(options.nested_sizes, codebook_size)
        hidden_channels = options.hidden_channels_for(channels, has_spatial_encoder)
        attention_channels = options.attention_channels_for(channels, has_spatial_encoder)
        self.configuration = configuration
        self.num_tokens = num_tokens
        self.options = options
        self.binarizer = binarizer or Threshold()
        self.standardizer = Standardizer(channels, num_tokens)
        self.spatial_encoder = SpatialEncoder(channels) if has_spatial_encoder else None
        self.encoder_attention = (
            SelfAttention(channels, attention_channels) if options.encoder_attention else None
        )
        self.compressor = ChannelCompressor(channels, codebook_size, num_tokens)
        self.codebook = Codebook(channels, codebook_size, num_tokens)
        self.decoder = Decoder(channels, hidden_channels, attention_channels, has_spatial_encoder)

    @property
    def nested_sizes(self) -> tuple[int, ...]:
        """Numbers of first bits that decode by themselves, rising, all below K."""
        return tuple(self.options.nested_sizes)

    @property
    def grid_size(self) -> tuple[int, int, int]:
        """Time, height and width of the code of a feature of `feature_shape`."""
        return self.configuration.grid_size(self.feature_shape.size)

    def draw(self) -> Drawing:
        """What happens on each side, and how many bytes there are."""
        shape, num_bytes = tuple(self.feature_shape), self.payload_bytes
        tokens = f" + {self.num_tokens} class tokens" if self.num_tokens else ""
        encoder = [self.spatial_encoder, self.encoder_attention, self.compressor]
        decoder = [self.codebook, self.decoder]
        return draw_two_sides(
            repr(self)[1:-1],
            [f"feature {shape}{tokens}", f"encoder, {count_weights(*encoder)} weights"],
            [f"decoder, {count_weights(*decoder)} weights", f"feature {shape}{tokens}"],
            [f"{self.configuration.codebook_size} bits at", f"{self.grid_size}", f"{num_bytes:,} bytes"],
            [("feature", self.feature_bytes), ("code", num_bytes)],
        )

    def __repr__(self) -> str:
        shape = tuple(self.feature_shape)
        return f"<Codec {self.configuration}: feature {shape}, {self.payload_bytes:,} bytes a code>"

    def _repr_html_(self) -> str:
        return page(repr(self)[1:-1], self.draw().svg())

    @property
    def payload_bytes(self) -> int:
        """Bytes of one packed code, before entropy coding."""
        return self.configuration.payload_bytes(self.feature_shape, self.num_tokens)

    @property
    def feature_bytes(self) -> int:
        """Bytes of the feature that a code stands for, as float32."""
        channels, *size = self.feature_shape
        return 4 * channels * (math.prod(size) + self.num_tokens)

    def fit_statistics(
        self,
        mean: Float[Tensor, " channel"],
        std: Float[Tensor, " channel"],
        token_mean: Float[Tensor, " channel"] | None = None,
        token_std: Float[Tensor, " channel"] | None = None,
    ) -> None:
        """Keep the per-channel statistics of a training set's features, as `FeatureStatistics` measures them.

        Raises:
            ValueError: A shape or a value that is no statistic, or token statistics that do not fit.
        """
        self.standardizer.fit(mean, std, token_mean, token_std)

    def prepare(self, feature: Feature) -> Feature:
        """Everything on the edge before the channel compressor."""
        feature = self.standardizer.standardize(feature)
        if self.spatial_encoder is not None:
            feature = Feature(self.spatial_encoder(feature.grid), feature.tokens)
        if self.encoder_attention is not None:
            feature = self.encoder_attention(feature)
        return feature

    def compute_logits(self, feature: Feature) -> Feature:
        """X' of Eq. 4: everything on the edge before the threshold."""
        logits: Feature = self.compressor(self.prepare(feature))
        return logits

    def reconstruct(self, code: Code, feature_size: tuple[int, int, int]) -> Feature:
        """Everything on the server: `decode` without its checks."""
        decoded = self.decoder(self.codebook(code), feature_size)
        return self.standardizer.restore(decoded)

    def encode(self, feature: Feature) -> Code:
        """The bits of a feature: uint8 in eval mode, float with a straight-through gradient in training mode.

        Raises:
            ValueError: The feature has other channels or another number of class tokens than the codec.
        """
        self._check_feature(feature)
        return self._binarize(self.compute_logits(feature))

    def decode(self, code: Code, feature_size: tuple[int, int, int] | None = None) -> Feature:
        """The feature that a code stands for.

        Args:
            code: Bits as uint8 or float.
            feature_size: Time, height and width to restore, by default those of `feature_shape`.

        Raises:
            ValueError: The code is not one of this codec's for a feature of that size.
        """
        feature_size = self.feature_shape.size if feature_size is None else feature_size
        self._check_code(code, feature_size)
        return self.reconstruct(code, feature_size)

    def forward(self, feature: Feature, part: Part = WHOLE) -> CodecOutput:
        """Encode and decode, keeping what training needs.

        Args:
            feature: Of the clips of `part`.
            part: Gives what is drawn for each clip: the sizes of a nested codec, the noise of a binariser.

        Raises:
            ValueError: The feature has other channels or another number of class tokens than the codec.
        """
        self._check_feature(feature)
        logits = self.compute_logits(feature)
        code = self._binarize(logits, part)
        arrived = self._lose_last_bits(code, part) if self.training and self.nested_sizes else code
        _, _, time, height, width = feature.grid.shape
        return CodecOutput(self.reconstruct(arrived, (time, height, width)), logits, code)

    def first_bits(self, codebook_size: int) -> Codec:
        """The codec of the first bits of every position, in eval mode.

        It shares the spatial encoder and the decoder with this one; compressor and codebook are copies.

        Raises:
            ValueError: The codec was not trained for that many first bits.
        """
        if codebook_size == self.configuration.codebook_size:
            return self
        if codebook_size not in self.nested_sizes:
            raise ValueError(
                f"the first bits of {self.configuration} decode by themselves for "
                f"{', '.join(map(str, self.nested_sizes)) or 'no number'} of them, found {codebook_size}"
            )
        first = copy.copy(self)
        first._modules = dict(self._modules)
        first.configuration = replace(self.configuration, codebook_size=codebook_size)
        smaller = tuple(size for size in self.nested_sizes if size < codebook_size)
        first.options = replace(self.options, nested_sizes=smaller)
        first.compressor = self.compressor.first_bits(codebook_size).requires_grad_(False)
        first.codebook = self.codebook.first_bits(codebook_size).requires_grad_(False)
        first.training = False  # not `eval()`, which would change the parts that are shared
        return first

    def _binarize(self, logits: Feature, part: Part = WHOLE) -> Code:
        if not self.training:
            return threshold(logits)
        return Code(*self.binarizer(logits, part))

    def _lose_last_bits(self, code: Code, part: Part) -> Code:
        """Every clip keeps as many first bits as one of the sizes, or all; the others are `UNKNOWN_BIT`."""
        device, num_clips = code.grid.device, len(code.grid)
        choices = torch.tensor([*self.nested_sizes, self.configuration.codebook_size], device=device)
        shares = torch.tensor(self.options.size_shares, dtype=torch.float32, device=device)
        drawn = part.draw(lambda count: shares.multinomial(count, replacement=True), num_clips)
        return forget_last_bits(code, choices[drawn])

    def _check_feature(self, feature: Feature) -> None:
        found = feature.grid.shape[1], feature.tokens.shape[1]
        if found != (self.feature_shape.channels, self.num_tokens):
            raise ValueError(
                f"this codec takes features of {self.feature_shape.channels} channels and {self.num_tokens} "
                f"class tokens, found {found[0]} channels and {found[1]} class tokens"
            )

    def _check_code(self, code: Code, feature_size: tuple[int, int, int]) -> None:
        expected = (self.configuration.codebook_size, *self.configuration.grid_size(feature_size))
        if tuple(code.grid.shape[1:]) != expected or code.tokens.shape[1] != self.num_tokens:
            raise ValueError(
                f"a {self.configuration} code of a feature of size {feature_size} has a grid of {expected} "
                f"(bit, time, height, width) and {self.num_tokens} class tokens, "
                f"found {tuple(code.grid.shape[1:])} and {code.tokens.shape[1]}"
            )


def _check_nested_sizes(sizes: Sequence[int], codebook_size: int) -> None:
    if sizes and sizes[-1] >= codebook_size:
        raise ValueError(f"expected nested_sizes of at most {codebook_size - 1}, found {tuple(sizes)}")
