"""What every engine promises, whatever it computes with: ONNX Runtime, TensorRT or torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from approxbit.configuration import Shape4
from approxbit.wire import CodeFormat


@dataclass(frozen=True)
class ClipFormat:
    """What the clips of a backbone look like, and how frames become one.

    Attributes:
        num_frames: Frames in a clip.
        size: Height and width of the clip.
        mean: Subtracted from RGB in [0, 1].
        std: Divides after the subtraction.
        fingerprint: Hash of the backbone's weights, 64 bits; 0 if it is not known.
    """

    num_frames: int
    size: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fingerprint: int = 0

    @property
    def frames_shape(self) -> Shape4:
        """Shape of the frames after `crop`: (time, height, width, 3)."""
        return self.num_frames, self.size, self.size, 3

    def crop(self, frames: np.ndarray) -> np.ndarray:
        """The pixels that the backbone looks at, uint8 of `frames_shape`: all that must cross to a server.

        Args:
            frames: RGB, uint8, `[time, height, width, 3]`, of any height and width.

        Raises:
            ValueError: Frames of another type or shape, or another number of them.
        """
        from approxbit.video.preprocess import centre_crop, resize_short_side  # needs PyAV

        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[::3] != (self.num_frames, 3):
            raise ValueError(
                f"expected {self.num_frames} frames, uint8 of shape [time, height, width, 3], "
                f"found {frames.dtype} of shape {list(frames.shape)}"
            )
        return np.ascontiguousarray(centre_crop(resize_short_side(frames, self.size), self.size))

    def prepare(self, frames: np.ndarray) -> np.ndarray:
        """The clip that the backbone takes, float32 `[3, time, size, size]`, of frames, cropped or not.

        Raises:
            ValueError: The frames are not uint8 of shape `[time, height, width, 3]`.
        """
        from approxbit.video.preprocess import preprocess  # needs PyAV

        return preprocess(frames, self.size, self.mean, self.std)


@dataclass(frozen=True)
class EdgeResult:
    """A packed code, and how long its parts took: t_edge and t_enc of Eq. 1, APPROXBIT.

    Attributes:
        payload: The packed code of one clip.
        edge_ms: The edge half.
        encode_ms: The encoder and the packing.
    """

    payload: bytes
    edge_ms: float
    encode_ms: float


@dataclass(frozen=True)
class ServerResult:
    """The answer to one code, and how long its parts took: t_dec and t_server of Eq. 1, APPROXBIT.

    Attributes:
        logits: float32 `[class]`.
        decode_ms: The unpacking and the decoder.
        server_ms: The server half.
    """

    logits: np.ndarray
    decode_ms: float
    server_ms: float


@dataclass(frozen=True)
class WholeResult:
    """The unsplit model's answer to one clip, and how long it took.

    Attributes:
        logits: float32 `[class]`.
        whole_ms: All layers, from the prepared clip to the logits.
    """

    logits: np.ndarray
    whole_ms: float


class EdgeRunner(Protocol):
    """An edge half and its encoder, ready to run on this machine."""

    @property
    def code_format(self) -> CodeFormat:
        """What the runner's codes look like."""

    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed code of a prepared clip, float32 `[3, time, height, width]`."""


class ServerRunner(Protocol):
    """A decoder and its server half, ready to run on this machine."""

    @property
    def code_format(self) -> CodeFormat:
        """What the codes that the runner reads look like."""

    def run(self, payload: bytes) -> ServerResult:
        """The answer to a packed code.

        Raises:
            WireError: The payload is not a code of the runner's format.
        """


class WholeRunner(Protocol):
    """An unsplit model, ready to run on this machine: edge-only on the device, server-only on the server."""

    @property
    def clip_format(self) -> ClipFormat:
        """What the clips that the runner takes look like."""

    def run(self, clip: np.ndarray) -> WholeResult:
        """The answer to a prepared clip, float32 `[3, time, height, width]`."""
