"""Which codes cross the link: the offload point, the spatial encoder and the codebook size."""

import re
from dataclasses import dataclass
from typing import Tuple

Shape3 = Tuple[int, int, int]
Shape4 = Tuple[int, int, int, int]

_PATTERN = re.compile(r"([1-9][0-9]*)-(Enc|NoEnc)-([A-Za-z0-9_][A-Za-z0-9_.]*)")


@dataclass(frozen=True, order=True)
class Configuration:
    """One row of the selector's choice, (o, I_s, C) of Eq. 1 in APPROXBIT.

    Attributes:
        offload_point: Name of the place where the backbone is cut, such as `B8`.
        spatial_encoder: Whether the stride-2 spatial encoder halves time, height and width.
        codebook_size: Bits per position, K; at least 1.
    """

    offload_point: str
    spatial_encoder: bool
    codebook_size: int

    def __post_init__(self) -> None:
        if _PATTERN.fullmatch(str(self)) is None:
            raise ValueError(
                "a configuration needs a codebook_size of at least 1 and an offload_point of letters, "
                "digits, '_' and '.' that does not begin with '.', "
                f"found codebook_size={self.codebook_size!r}, offload_point={self.offload_point!r}"
            )

    @classmethod
    def parse(cls, text: str) -> "Configuration":
        """Read a configuration as the paper writes it; the inverse of `str()`.

        Raises:
            ValueError: `text` is not of the form `64-Enc-B8`.

        Example:
            >>> Configuration.parse("64-Enc-B8")
            Configuration(offload_point='B8', spatial_encoder=True, codebook_size=64)
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"expected a configuration such as '64-Enc-B8' or '16-NoEnc-B5', found {text!r}")
        codebook_size, encoder, offload_point = match.groups()
        return cls(offload_point, encoder == "Enc", int(codebook_size))

    def __str__(self) -> str:
        encoder = "Enc" if self.spatial_encoder else "NoEnc"
        return f"{self.codebook_size}-{encoder}-{self.offload_point}"

    def grid_size(self, feature_size: Shape3) -> Shape3:
        """Time, height and width of the code of a feature whose time, height and width are given.

        Example:
            >>> Configuration.parse("128-Enc-L8").grid_size((32, 27, 27))
            (16, 14, 14)
        """
        if not self.spatial_encoder:
            return feature_size
        time, height, width = feature_size
        return (time + 1) // 2, (height + 1) // 2, (width + 1) // 2

    def num_positions(self, feature_size: Shape3, num_tokens: int = 0) -> int:
        """How many positions a code has: those of its grid, and one for each class token."""
        time, height, width = self.grid_size(feature_size)
        return time * height * width + num_tokens

    def payload_bytes(self, feature_shape: Shape4, num_tokens: int = 0) -> int:
        """Raw packed bytes of one code, without the packet's header: ceil(K * positions / 8).

        Args:
            feature_shape: (channel, time, height, width) of the feature.
            num_tokens: Class tokens that cross as their own K bits each. The paper counts none.

        Example:
            >>> Configuration.parse("64-Enc-B8").payload_bytes((384, 16, 14, 14))
            3136
        """
        _, time, height, width = feature_shape
        return (self.codebook_size * self.num_positions((time, height, width), num_tokens) + 7) // 8
