"""What of a codec its configuration does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from approxbit.codec.decoder import HEAD_CHANNELS


@dataclass(frozen=True)
class CodecOptions:
    """The widths of a codec's layers, and what goes beyond the paper's codec. The defaults are the paper's.

    Attributes:
        hidden_channels: Channels in the middle of the decoder's ResBlocks; by default 1/2 of the feature's
            channels with a spatial encoder and 1/6 without one (8 times the positions), at least 32. They
            cost the server, not the edge.
        attention_channels: Channels of the self-attention layers, a multiple of 32; by default 1/4 and 1/12
            of the feature's.
        encoder_attention: Whether the encoder ends with a self-attention layer, of `attention_channels`.
        nested_sizes: Numbers of first bits that shall decode by themselves, each from 1 to K - 1, rising.
        whole_share: Share of the training clips of a nested codec that keep all bits, between 0 and 1; by
            default as many as keep any other number. All bits gain least from what the fewer ones learn.

    Raises:
        ValueError: A number of channels or the share is not as described, or `nested_sizes` do not rise.
    """

    hidden_channels: int | None = None
    attention_channels: int | None = None
    encoder_attention: bool = False
    nested_sizes: Sequence[int] = ()
    whole_share: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "nested_sizes", tuple(self.nested_sizes))
        if self.hidden_channels is not None and self.hidden_channels < 1:
            raise ValueError(f"expected hidden_channels of at least 1, found {self.hidden_channels}")
        if self.attention_channels is not None and (
            self.attention_channels < 1 or self.attention_channels % HEAD_CHANNELS
        ):
            raise ValueError(
                f"expected attention_channels to be a positive multiple of {HEAD_CHANNELS}, "
                f"found {self.attention_channels}"
            )
        if any(low >= high for low, high in pairwise((0, *self.nested_sizes))):
            raise ValueError(f"expected nested_sizes to rise from at least 1, found {self.nested_sizes}")
        if self.whole_share is not None and not 0 < self.whole_share < 1:
            raise ValueError(f"expected whole_share between 0 and 1, found {self.whole_share}")

    @property
    def size_shares(self) -> tuple[float, ...]:
        """Share of the training clips that keep each nested size, and behind them that of all bits.

        Example:
            >>> CodecOptions(nested_sizes=(2, 4), whole_share=0.5).size_shares
            (0.25, 0.25, 0.5)
        """
        count = len(self.nested_sizes)
        whole = 1 / (count + 1) if self.whole_share is None else self.whole_share
        return (*[(1 - whole) / max(count, 1)] * count, whole)

    def changed(self) -> dict[str, Any]:
        """What was not left to its default, as JSON has it: arguments that make these options again.

        Example:
            >>> CodecOptions(nested_sizes=(2, 4)).changed()
            {'nested_sizes': [2, 4]}
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        usual = {each.name: each.default for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != usual[name]
        }

    def hidden_channels_for(self, channels: int, has_spatial_encoder: bool) -> int:
        """The middle of the ResBlocks of a feature of so many channels."""
        return self.hidden_channels or max(32, channels // (2 if has_spatial_encoder else 6))

    def attention_channels_for(self, channels: int, has_spatial_encoder: bool) -> int:
        """Width of the self-attention layers of a feature of so many channels."""
        num_heads = channels // (4 if has_spatial_encoder else 12) // HEAD_CHANNELS
        return self.attention_channels or max(1, num_heads) * HEAD_CHANNELS
