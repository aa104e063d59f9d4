"""The edge's side of the codec in operators that every target takes."""

from __future__ import annotations

from torch import nn

from approxbit.backbones.feature import Feature
from approxbit.codec import Codec
from approxbit.exporting.views.decoder import SelfAttentionView


class EncoderView(nn.Module):
    """Feature -> logits: statistics, spatial encoder, self-attention where there is one, compressor."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.num_tokens = codec.num_tokens
        self.standardizer = codec.standardizer
        self.spatial_encoder = codec.spatial_encoder
        self.attention: SelfAttentionView | None = None
        if codec.encoder_attention is not None:
            self.attention = SelfAttentionView(codec.encoder_attention, codec.grid_size, codec.num_tokens)
        self.compressor = codec.compressor

    def forward(self, feature: Feature) -> Feature:
        """Logits as `Codec.compute_logits` gives them."""
        feature = self.standardizer.standardize(feature)
        if self.spatial_encoder is not None:
            feature = Feature(self.spatial_encoder(feature.grid), feature.tokens)
        if self.attention is not None:
            grid, tokens = self.attention(feature.grid, feature.tokens if self.num_tokens else None)
            feature = Feature(grid, feature.tokens if tokens is None else tokens)
        logits: Feature = self.compressor(feature)
        return logits
