"""Packing and unpacking bits inside a graph, byte for byte as `approxbit.wire.pack` does.

TensorRT has no shifts and no bitwise operators, and takes UINT8 only at the boundary of a graph, from and to
floats. So a byte is the weighted sum of its bits, and a bit is taken out of a byte by divisions and floors.
Both are exact in float16 too. `out` must be the last node of a graph, and `packed` its first.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

BIT_VALUES = (128.0, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0)
OUTPUT_TYPES = {"uint8": torch.uint8, "int32": torch.int32}


class PackBits(nn.Module):
    """Bit planes -> bytes, most significant bit first, the last byte filled with zeros.

    Args:
        num_bits: Bits of one code.
        output_type: `uint8`, or `int32` for an engine that cannot output bytes.

    Raises:
        ValueError: Another `output_type`.

    Example:
        >>> PackBits(10)(torch.tensor([[1, 0, 1, 1, 0, 0, 1, 0, 0, 1]]) > 0)
        tensor([[178,  64]], dtype=torch.uint8)
    """

    values: Tensor
    filling: Tensor

    def __init__(self, num_bits: int, output_type: str = "uint8") -> None:
        super().__init__()
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type must be one of {', '.join(OUTPUT_TYPES)}, found {output_type!r}")
        self.num_bytes = -(-num_bits // 8)
        self.has_filling = num_bits % 8 > 0
        self.output_type = OUTPUT_TYPES[output_type]
        self.register_buffer("values", torch.tensor(BIT_VALUES), persistent=False)
        self.register_buffer("filling", torch.zeros(1, 8 * self.num_bytes - num_bits), persistent=False)

    def forward(self, bits: Bool[Tensor, "batch bit"]) -> Shaped[Tensor, "batch byte"]:
        """The packed codes of a batch."""
        ones = bits.to(self.values.dtype)
        if self.has_filling:
            ones = torch.cat((ones, self.filling.expand(bits.shape[0], -1)), dim=1)
        octets = ones.reshape(-1, self.num_bytes, 8)
        return (octets * self.values).sum(dim=2).to(self.output_type)


class UnpackBits(nn.Module):
    """Bytes -> bits as floats; the inverse of `PackBits`.

    Args:
        num_bits: Bits of one code.

    Example:
        >>> UnpackBits(10)(torch.tensor([[178, 64]], dtype=torch.uint8)).int().tolist()
        [[1, 0, 1, 1, 0, 0, 1, 0, 0, 1]]
    """

    values: Tensor

    def __init__(self, num_bits: int) -> None:
        super().__init__()
        self.num_bits = num_bits
        self.num_bytes = -(-num_bits // 8)
        self.register_buffer("values", torch.tensor(BIT_VALUES), persistent=False)

    def forward(self, packed: Shaped[Tensor, "batch byte"]) -> Float[Tensor, "batch bit"]:
        """The bits of a batch of packed codes, 0 and 1."""
        octets = packed.to(self.values.dtype).reshape(-1, self.num_bytes, 1)
        shifted = torch.floor(octets / self.values)
        bits = shifted - 2 * torch.floor(shifted / 2)
        return bits.reshape(-1, 8 * self.num_bytes)[:, : self.num_bits]
