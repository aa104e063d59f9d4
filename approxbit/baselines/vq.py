"""Vector quantisation in the place of the binarizer: the comparison of the paper's Table 5."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from vector_quantize_pytorch import VectorQuantize

from approxbit.backbones.feature import Feature, FeatureShape
from approxbit.codec.code import Code
from approxbit.codec.codec import Codec
from approxbit.codec.compressor import ChannelCompressor
from approxbit.configuration import Configuration

MAX_INDEX_BITS = 16


class VQOutput(NamedTuple):
    """What the losses need of one pass through a `VQCodec`; the first three are those of `CodecOutput`."""

    feature: Feature
    """The decoded feature, in the units of the backbone."""

    logits: Feature
    """The vectors before the quantiser."""

    code: Code
    """The bits of the entries' indices, uint8; no gradient passes through them."""

    commitment: Float[Tensor, ""]
    """Mean squared distance of the vectors to their entries; 0 in eval mode."""


class VQCodec(Codec):
    """The codec of APPROXBIT with a vector quantiser where the threshold and the codebook M were.

    ```
    EDGE    feature -> standardise -> [spatial encoder] -> compressor -> vectors -> nearest entry -> index
    SERVER  index -> entry -> expander -> ResBlock -> ResBlock -> self-attention -> [deconvolution] -> feature
    ```

    Spatial encoder, decoder and standardisation are those of `Codec`. An index crosses as K bits per
    position, the most significant first, and the quantiser has 2**K entries: 10-Enc-B5 is the paper's VQ
    with 1,024. Everything that takes bit planes (packing, entropy coding) therefore takes these too.

    Entries are running averages of the vectors that chose them; an entry that fewer than `dead_usage`
    vectors of a step choose starts anew at a vector of the batch. Class tokens have linear layers of their
    own and share the entries: a step shows a quantiser one token for each 32 positions, too few for 1,024.

    Args:
        feature_shape: Shape of the backbone's feature at the offload point.
        configuration: Its codebook size is the number of bits of an index, 1 to 16.
        num_tokens: Class tokens that cross beside the grid.
        code_channels: Length of an entry.
        decay: Of the running averages, for each step.
        dead_usage: Vectors for each step, as a running average, below which an entry is replaced.

    Raises:
        ValueError: An index would have more than 16 bits.
    """

    def __init__(
        self,
        feature_shape: FeatureShape,
        configuration: Configuration,
        num_tokens: int = 0,
        code_channels: int = 16,
        decay: float = 0.95,
        dead_usage: float = 0.03,
    ):
        num_bits = configuration.codebook_size
        if num_bits > MAX_INDEX_BITS:
            raise ValueError(
                f"a vector quantiser of {configuration} would have 2**{num_bits} entries: "
                f"expected at most {MAX_INDEX_BITS} bits per index"
            )
        super().__init__(feature_shape, configuration, num_tokens)
        self.compressor = ChannelCompressor(feature_shape.channels, code_channels, num_tokens)
        self.expander = ChannelCompressor(code_channels, feature_shape.channels, num_tokens)
        self.quantizer = VectorQuantize(
            dim=code_channels,
            codebook_size=2**num_bits,
            decay=decay,
            threshold_ema_dead_code=dead_usage,
        )
        del self.codebook

    @property
    def entries(self) -> Float[Tensor, "entry code_channel"]:
        """The vectors that an index stands for."""
        entries: Tensor = self.quantizer.codebook
        return entries

    def compute_logits(self, feature: Feature) -> Feature:
        """The vectors before the quantiser, [batch, code_channel, ...]: no bit has a logit of its own here.

        The name is that of `Codec`: everything on the edge before the discrete choice.
        """
        return super().compute_logits(feature)

    def encode(self, feature: Feature) -> Code:
        """The bits of the nearest entries' indices, uint8 in both modes.

        Raises:
            ValueError: The feature has other channels or another number of class tokens than the codec.
        """
        self._check_feature(feature)
        vectors = self.compute_logits(feature)
        nearest = torch.cdist(_as_sequence(vectors), self.entries).argmin(dim=2)
        return self._as_code(nearest, vectors)

    def reconstruct(self, code: Code, feature_size: tuple[int, int, int]) -> Feature:
        """Everything on the server: `decode` without its checks."""
        chosen = self.entries[from_index_bits(code.to_planes().transpose(1, 2))]
        return self._decode_vectors(_from_sequence(chosen, code), feature_size)

    def forward(self, feature: Feature) -> VQOutput:  # type: ignore[override]  # it holds all that is promised
        """Encode and decode, keeping what training needs; in training mode the entries move.

        Raises:
            ValueError: The feature has other channels or another number of class tokens than the codec.
        """
        self._check_feature(feature)
        vectors = self.compute_logits(feature)
        chosen, nearest, commitment = self.quantizer(_as_sequence(vectors))
        _, _, time, height, width = feature.grid.shape
        decoded = self._decode_vectors(_from_sequence(chosen, vectors), (time, height, width))
        return VQOutput(decoded, vectors, self._as_code(nearest, vectors), commitment.reshape(()))

    def _decode_vectors(self, vectors: Feature, feature_size: tuple[int, int, int]) -> Feature:
        return self.standardizer.restore(self.decoder(self.expander(vectors), feature_size))

    def _as_code(self, nearest: Int64[Tensor, "batch position"], vectors: Feature) -> Code:
        planes = to_index_bits(nearest, self.configuration.codebook_size).transpose(1, 2)
        _, _, time, height, width = vectors.grid.shape
        return Code.from_planes(planes, (time, height, width))


def to_index_bits(indices: Int64[Tensor, "*shape"], num_bits: int) -> Shaped[Tensor, "*shape {num_bits}"]:
    """The bits of indices as uint8, the most significant first; the inverse of `from_index_bits`.

    Example:
        >>> to_index_bits(torch.tensor([6]), 4)
        tensor([[0, 1, 1, 0]], dtype=torch.uint8)
    """
    shifts = torch.arange(num_bits - 1, -1, -1, device=indices.device)
    return (indices[..., None] >> shifts & 1).to(torch.uint8)


def from_index_bits(bits: Shaped[Tensor, "*shape bit"]) -> Int64[Tensor, "*shape"]:
    """The indices that bits stand for.

    Example:
        >>> from_index_bits(torch.tensor([[0, 1, 1, 0]]))
        tensor([6])
    """
    num_bits = bits.shape[-1]
    shifts = torch.arange(num_bits - 1, -1, -1, device=bits.device)
    return (bits.long() << shifts).sum(dim=-1)


def compute_perplexity(counts: Int64[Tensor, " entry"]) -> float:
    """2 to the entropy of how often each entry is chosen: how many equally used ones would be as varied.

    Example:
        >>> compute_perplexity(torch.tensor([5, 5, 0, 0]))
        2.0
    """
    shares = counts[counts > 0].double() / counts.sum()
    return float(2 ** -(shares * shares.log2()).sum())


def _as_sequence(vectors: Feature) -> Float[Tensor, "batch position code_channel"]:
    """Positions of the grid in (time, height, width) order, then the class tokens, as in bit planes."""
    return torch.cat([vectors.grid.flatten(2).transpose(1, 2), vectors.tokens], dim=1)


def _from_sequence(sequence: Float[Tensor, "batch position code_channel"], like: Feature | Code) -> Feature:
    """The inverse of `_as_sequence`, with the grid and the number of tokens of `like`."""
    size = like.grid.shape[2:]
    grid, tokens = sequence.split([size.numel(), like.tokens.shape[1]], dim=1)
    return Feature(grid.transpose(1, 2).unflatten(2, size), tokens)
