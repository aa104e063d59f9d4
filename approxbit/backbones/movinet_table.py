"""The MoViNet architectures as data: A0 to A5 of Kondratyuk et al. (2021), and one for small clips.

Time is never strided, and only the first layer of a block strides in space.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSpec:
    """One inverted bottleneck.

    Attributes:
        expand: Channels between the 1x1x1 expansion and the 1x1x1 projection.
        kernel: (time, height, width) of the depthwise convolution.
        stride: Its stride in height and width.
    """

    expand: int
    kernel: tuple[int, int, int]
    stride: int


@dataclass(frozen=True)
class BlockSpec:
    """A run of layers that all put out `channels`."""

    channels: int
    layers: tuple[LayerSpec, ...]

    @property
    def stride(self) -> int:
        """By what the whole block divides height and width."""
        return self.layers[0].stride


@dataclass(frozen=True)
class Architecture:
    """Everything that tells one MoViNet from another.

    Attributes:
        clip_shape: (channel, time, height, width) of the clips it was published for.
        stem_channels: Channels after the 1x3x3 stem, which has stride 2.
        blocks: From the input to the answer.
        head_channels: Channels after the last 1x1x1 convolution, which are averaged over the clip.
        hidden_channels: Width of the classifier's hidden layer.
    """

    clip_shape: tuple[int, int, int, int]
    stem_channels: int
    blocks: tuple[BlockSpec, ...]
    head_channels: int
    hidden_channels: int


def block(channels: int, stride: int, layers: str) -> BlockSpec:
    """A block from a line of `expand:kernel` words; the first layer takes the stride.

    Example:
        >>> block(16, 2, "40:1x5x5 64:3x3x3").layers[0]
        LayerSpec(expand=40, kernel=(1, 5, 5), stride=2)
    """
    words = [word.split(":") for word in layers.split()]
    kernels = [tuple(int(length) for length in kernel.split("x")) for _, kernel in words]
    return BlockSpec(
        channels,
        tuple(
            LayerSpec(int(expand), (time, height, width), stride if index == 0 else 1)
            for index, ((expand, _), (time, height, width)) in enumerate(zip(words, kernels, strict=True))
        ),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "a0": Architecture(
        clip_shape=(3, 50, 172, 172),
        stem_channels=8,
        blocks=(
            block(8, 2, "24:1x5x5"),
            block(32, 2, "80:3x3x3 80:3x3x3 80:3x3x3"),
            block(56, 2, "184:5x3x3 112:3x3x3 184:3x3x3"),
            block(56, 1, "184:5x3x3 184:3x3x3 184:3x3x3 184:3x3x3"),
            block(104, 2, "384:5x3x3 280:1x5x5 280:1x5x5 344:1x5x5"),
        ),
        head_channels=480,
        hidden_channels=2048,
    ),
    "a1": Architecture(
        clip_shape=(3, 50, 172, 172),
        stem_channels=16,
        blocks=(
            block(16, 2, "40:1x5x5 40:3x3x3"),
            block(40, 2, "96:3x3x3 120:3x3x3 96:3x3x3 96:3x3x3"),
            block(64, 2, "216:5x3x3 128:3x3x3 216:3x3x3 168:3x3x3 216:3x3x3"),
            block(64, 1, "216:5x3x3 216:3x3x3 216:3x3x3 128:3x3x3 128:1x5x5 216:3x3x3"),
            block(136, 2, "456:5x3x3 360:1x5x5 360:1x5x5 360:1x5x5 456:1x5x5 456:3x3x3 544:1x3x3"),
        ),
        head_channels=600,
        hidden_channels=2048,
    ),
    "a2": Architecture(
        clip_shape=(3, 50, 224, 224),
        stem_channels=16,
        blocks=(
            block(16, 2, "40:1x5x5 40:3x3x3 64:3x3x3"),
            block(40, 2, "96:3x3x3 120:3x3x3 96:3x3x3 96:3x3x3 120:3x3x3"),
            block(72, 2, "240:5x3x3 160:3x3x3 240:3x3x3 192:3x3x3 240:3x3x3"),
            block(72, 1, "240:5x3x3 240:3x3x3 240:3x3x3 240:3x3x3 144:1x5x5 240:3x3x3"),
            block(144, 2, "480:5x3x3 384:1x5x5 384:1x5x5 480:1x5x5 480:1x5x5 480:3x3x3 576:1x3x3"),
        ),
        head_channels=640,
        hidden_channels=2048,
    ),
    "a3": Architecture(
        clip_shape=(3, 120, 256, 256),
        stem_channels=16,
        blocks=(
            block(16, 2, "40:1x5x5 40:3x3x3 64:3x3x3 40:3x3x3"),
            block(48, 2, "112:3x3x3 144:3x3x3 112:3x3x3 112:1x5x5 144:3x3x3 144:3x3x3"),
            block(80, 2, "240:5x3x3 152:3x3x3 240:3x3x3 192:3x3x3 240:3x3x3"),
            block(88, 1, "264:5x3x3 264:3x3x3 264:3x3x3 264:3x3x3 160:1x5x5 264:3x3x3 264:3x3x3 264:3x3x3"),
            block(
                168,
                2,
                "560:5x3x3 448:1x5x5 448:1x5x5 560:1x5x5 560:1x5x5 560:3x3x3 448:1x5x5 "
                "448:1x5x5 560:3x3x3 672:1x3x3",
            ),
        ),
        head_channels=744,
        hidden_channels=2048,
    ),
    "a4": Architecture(
        clip_shape=(3, 80, 290, 290),
        stem_channels=24,
        blocks=(
            block(24, 2, "64:1x5x5 64:3x3x3 96:3x3x3 64:3x3x3 96:3x3x3 64:3x3x3"),
            block(
                56,
                2,
                "168:3x3x3 168:3x3x3 136:3x3x3 136:3x3x3 168:3x3x3 168:3x3x3 168:3x3x3 136:1x5x5 136:3x3x3",
            ),
            block(
                96,
                2,
                "320:5x3x3 160:3x3x3 320:3x3x3 192:3x3x3 320:3x3x3 160:3x3x3 320:3x3x3 256:3x3x3 320:3x3x3",
            ),
            block(
                96,
                1,
                "320:5x3x3 320:3x3x3 320:3x3x3 320:3x3x3 192:1x5x5 320:3x3x3 320:3x3x3 "
                "192:3x3x3 320:3x3x3 320:3x3x3",
            ),
            block(
                192,
                2,
                "640:5x3x3 512:1x5x5 512:1x5x5 640:1x5x5 640:1x5x5 640:3x3x3 512:1x5x5 "
                "512:1x5x5 640:1x5x5 768:1x5x5 640:1x5x5 640:3x3x3 768:3x3x3",
            ),
        ),
        head_channels=856,
        hidden_channels=2048,
    ),
    "a5": Architecture(
        clip_shape=(3, 120, 320, 320),
        stem_channels=24,
        blocks=(
            block(24, 2, "64:1x5x5 64:1x5x5 96:3x3x3 64:3x3x3 96:3x3x3 64:3x3x3"),
            block(
                64,
                2,
                "192:5x3x3 152:3x3x3 152:3x3x3 152:3x3x3 192:3x3x3 192:3x3x3 192:3x3x3 "
                "152:3x3x3 152:3x3x3 192:3x3x3 192:3x3x3",
            ),
            block(
                112,
                2,
                "376:5x3x3 224:3x3x3 376:3x3x3 376:3x3x3 296:3x3x3 376:3x3x3 224:3x3x3 "
                "376:3x3x3 376:3x3x3 296:3x3x3 376:3x3x3 376:3x3x3 376:3x3x3",
            ),
            block(
                120,
                1,
                "376:5x3x3 376:3x3x3 376:3x3x3 376:3x3x3 224:1x5x5 376:3x3x3 376:3x3x3 "
                "224:3x3x3 376:3x3x3 376:3x3x3 376:3x3x3",
            ),
            block(
                224,
                2,
                "744:5x3x3 744:3x3x3 600:1x5x5 600:1x5x5 744:1x5x5 744:1x5x5 744:3x3x3 "
                "896:1x5x5 600:1x5x5 600:1x5x5 896:1x5x5 744:1x5x5 744:3x3x3 896:1x5x5 "
                "600:1x5x5 600:1x5x5 744:1x5x5 744:3x3x3",
            ),
        ),
        head_channels=992,
        hidden_channels=2048,
    ),
    # Small enough for two CPU cores.
    "small": Architecture(
        clip_shape=(3, 16, 64, 64),
        stem_channels=8,
        blocks=(
            block(12, 2, "16:1x3x3"),
            block(24, 2, "32:3x3x3 48:3x3x3"),
            block(48, 2, "96:3x3x3 128:3x3x3"),
            block(64, 1, "160:3x3x3 160:3x3x3"),
            block(80, 1, "240:3x3x3"),
        ),
        head_channels=192,
        hidden_channels=384,
    ),
}
