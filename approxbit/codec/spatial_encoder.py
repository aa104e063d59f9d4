"""Half the time, half the height and half the width, on the edge."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

MAX_GROUP_CHANNELS = 48


def num_groups(channels: int) -> int:
    """Fewest equal groups of channels that hold at most 48 channels each.

    A dense 3x3x3 convolution over MViTv2-B's 384 channels costs 3.1 GFLOPs, more than five times the
    paper's whole encoder; over eight groups it costs 0.39. The layers around it are dense and mix the groups.

    Example:
        >>> num_groups(40), num_groups(96), num_groups(384)
        (1, 2, 8)
    """
    return next(
        groups
        for groups in range(1, channels + 1)
        if channels % groups == 0 and channels // groups <= MAX_GROUP_CHANNELS
    )


class SpatialEncoder(nn.Module):
    """The optional spatial encoder I_s (section 3.3, APPROXBIT): one 3D convolution of stride 2.

    Time, height and width are halved, rounding up (27 -> 14), and the number of channels stays, so that
    1/8 of the positions are left. No activation follows, as the paper names none: a ReLU, leaky ReLU or SiLU
    before the channel compressor left the reconstruction as it was and skewed the bits.

    Args:
        channels: Channels of the feature, at least 1.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = nn.Conv3d(channels, channels, 3, stride=2, padding=1, groups=num_groups(channels))

    def forward(
        self, grid: Float[Tensor, "batch channel time height width"]
    ) -> Float[Tensor, "batch channel half_time half_height half_width"]:
        """The grid at half of its time, height and width."""
        halved: Tensor = self.convolution(grid)
        return halved
