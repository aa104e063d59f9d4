"""What is exported: the edge's graph, the server's graph, and the graph of the unsplit model.

EdgeView     clip -> edge half -> encoder -> logit > 0 -> packed code
ServerView   packed code -> bits -> decoder -> server half -> answer
WholeView    clip -> edge half -> server half -> answer
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.backbones.feature import Feature
from approxbit.exporting.views.bits import PackBits, UnpackBits
from approxbit.exporting.views.decoder import DecoderView
from approxbit.exporting.views.encoder import EncoderView
from approxbit.exporting.views.registry import view_of
from approxbit.offload import OffloadedModel


class EdgeView(nn.Module):
    """The edge's whole work as one graph: clip -> packed code.

    Args:
        model: In eval mode; its parameters are shared.
        output_type: Type of the packed code: `uint8`, or `int32` for an engine that cannot output bytes.

    Raises:
        ValueError: The model is in training mode, or there is no such `output_type`.
    """

    def __init__(self, model: OffloadedModel, output_type: str = "uint8") -> None:
        super().__init__()
        check_mode(model)
        self.edge_half = view_of(model.edge_half, model.backbone.clip_shape)
        self.encoder = EncoderView(model.codec)
        code = model.code_format
        configuration = code.configuration
        self.num_bits = configuration.codebook_size * code.num_positions
        self.num_grid = configuration.codebook_size, configuration.num_positions(code.feature_size)
        self.packing = PackBits(self.num_bits, output_type)
        self.eval()

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Shaped[Tensor, "batch byte"]:
        """The packed codes of a batch of clips, as `approxbit.wire.pack` orders their bits."""
        return self.encode(self.edge_half(clip))

    def encode(self, feature: Feature) -> Shaped[Tensor, "batch byte"]:
        """The packed codes of a batch of features: the codec's share of the work."""
        packed: Tensor = self.packing(self.compute_logits(feature) > 0)
        return packed

    def compute_logits(self, feature: Feature) -> Float[Tensor, "batch bit"]:
        """What is compared with 0, in the order of the bits."""
        logits: Feature = self.encoder(feature)
        planes = logits.grid.reshape(-1, *self.num_grid)
        if self.encoder.num_tokens:
            planes = torch.cat((planes, logits.tokens.transpose(1, 2)), dim=2)
        return planes.reshape(-1, self.num_bits)


class ServerView(nn.Module):
    """The server's whole work as one graph: packed code -> answer.

    Args:
        model: In eval mode; its parameters are shared.

    Raises:
        ValueError: The model is in training mode.
    """

    def __init__(self, model: OffloadedModel) -> None:
        super().__init__()
        check_mode(model)
        codec, code = model.codec, model.code_format
        self.unpacking = UnpackBits(code.configuration.codebook_size * code.num_positions)
        self.decoder = DecoderView(codec)
        self.server_half = view_of(model.server_half, codec.feature_shape)
        self.eval()

    def forward(self, packed: Shaped[Tensor, "batch byte"]) -> Float[Tensor, batch * answer]:
        """The answers to a batch of packed codes."""
        answer: Tensor = self.server_half(self.decoder(self.unpacking(packed)))
        return answer


class WholeView(nn.Module):
    """An unsplit backbone as one graph: clip -> answer, for a device that offloads nothing.

    Args:
        backbone: In eval mode; its parameters are shared.

    Raises:
        ValueError: The backbone is in training mode.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        check_mode(backbone)
        point = backbone.offload_points[-1]
        self.edge_half = view_of(backbone.edge_half(point), backbone.clip_shape)
        self.server_half = view_of(backbone.server_half(point), backbone.feature_shape(point))
        self.eval()

    def forward(self, clip: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, batch * answer]:
        """The answers to a batch of clips."""
        answer: Tensor = self.server_half(self.edge_half(clip))
        return answer


def check_mode(module: nn.Module) -> None:
    """Let only modules in eval mode pass.

    Raises:
        ValueError: The module is in training mode.
    """
    if module.training:
        raise ValueError(f"{type(module).__name__} is in training mode, call eval() before it is exported")
