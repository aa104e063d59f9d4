"""The three roles of a model on two machines, whatever computes: ONNX Runtime, TensorRT or torch."""

from __future__ import annotations

import hashlib
import struct
import time
from dataclasses import dataclass, replace
from typing import Mapping, Sequence

import numpy as np

from approxbit.configuration import Shape4
from approxbit.engines.graph import Closing, Graph
from approxbit.errors import WireError
from approxbit.wire import CodeFormat
from approxbit.wire.packing import check_packed

CROP_RULE = "short side to size, bilinear with antialiasing; centre crop"
"""What `ClipFormat.crop` does, as far as it decides on the pixels."""


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

    def link_fingerprint(self, codec_fingerprint: int = 0) -> int:
        """What edge and server must share to finish each other's work: weights and preprocessing.

        The first 8 bytes of the SHA-256 of, one behind the other: the fingerprints of codec and backbone (8
        bytes each), `num_frames` and `size` (4 bytes each), `mean` and `std` (float64), all with the most
        significant byte first, and `CROP_RULE` in ASCII.

        Args:
            codec_fingerprint: Of the codec's weights; 0 where the whole model answers.

        Example:
            >>> f"{ClipFormat(16, 64, fingerprint=7).link_fingerprint(5):016x}"
            'e9207552ab1d9302'
        """
        numbers = codec_fingerprint, self.fingerprint, self.num_frames, self.size, *self.mean, *self.std
        data = struct.pack(">QQII6d", *numbers) + CROP_RULE.encode("ascii")
        return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")

    def link_format(self, code_format: CodeFormat) -> CodeFormat:
        """The format of codes that cross the link: a runner's, with the fingerprint of all that made them."""
        return replace(code_format, fingerprint=self.link_fingerprint(code_format.fingerprint))

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
        encode_ms: The encoder and the packing; 0 where one graph does it all.
    """

    payload: bytes
    edge_ms: float
    encode_ms: float


@dataclass(frozen=True)
class ServerResult:
    """The answers to a batch of codes, and how long its parts took: t_dec and t_server of Eq. 1, APPROXBIT.

    Attributes:
        logits: float32 `[batch, class]`; of a model that answers questions, its visual tokens
            `[batch, token, channel]`.
        decode_ms: The unpacking and the decoder, of the batch; 0 where one graph does it all.
        server_ms: The server half, of the batch.
    """

    logits: np.ndarray
    decode_ms: float
    server_ms: float


@dataclass(frozen=True)
class WholeResult:
    """The unsplit model's answers, and how long they took.

    Attributes:
        logits: float32 `[class]` of one clip, `[batch, class]` of a batch; of a model that answers questions,
            its visual tokens `[token, channel]`, `[batch, token, channel]`.
        whole_ms: All layers, from the prepared clips to the logits.
    """

    logits: np.ndarray
    whole_ms: float


class Runner(Closing):
    """Graphs that run one after the other on a batch, each with its time; a context manager that closes them.

    Threads may share it.

    Args:
        graphs: At least one; each takes what the one before gives.
    """

    def __init__(self, *graphs: Graph):
        self.graphs = graphs

    @property
    def backend(self) -> str:
        """What computes, such as `onnxruntime 1.22.0`."""
        return self.graphs[0].backend

    def close(self) -> None:
        """Give the memory of the graphs back, also to other runners that share them."""
        for graph in self.graphs:
            graph.close()

    def _compute(self, inputs: Mapping[str, np.ndarray], output: str) -> tuple[np.ndarray, list[float]]:
        """One output of the last graph for a batch of any size, and the milliseconds of each graph."""
        count = len(next(iter(inputs.values())))
        max_batch = min(graph.max_batch for graph in self.graphs)
        batches, times = [], [0.0] * len(self.graphs)
        for start in range(0, count, max_batch):
            values = {name: array[start : start + max_batch] for name, array in inputs.items()}
            for index, graph in enumerate(self.graphs):
                begin = time.perf_counter()
                values = graph.run(values)
                times[index] += 1000 * (time.perf_counter() - begin)
            batches.append(values[output])
        return np.concatenate(batches), times

    def _check_clip(self, clip: np.ndarray, shape: tuple[int, ...]) -> None:
        expected = self.graphs[0].input_shape
        if clip.dtype != np.float32 or shape != expected:
            found = f"{clip.dtype} {list(clip.shape)}"
            raise ValueError(f"a prepared clip is float32 {list(expected)}, found {found}")


class EdgeRunner(Runner):
    """An edge half and its encoder: clip -> packed code.

    Args:
        code_format: What the codes look like. One of fewer bits than the graphs compute keeps the first bits
            of every position.
        clip_format: What the clips look like.
        graphs: `clip` -> `packed`: the edge half and the encoder, or one graph that is both.
    """

    def __init__(self, code_format: CodeFormat, clip_format: ClipFormat, *graphs: Graph):
        super().__init__(*graphs)
        self.code_format, self.clip_format = code_format, clip_format

    def first_bits(self, codebook_size: int) -> EdgeRunner:
        """The runner of the nested codec of so many bits; it shares the graphs, so that nothing is loaded.

        Raises:
            ValueError: The runner's codes do not have so many bits.
        """
        configuration = self.code_format.configuration
        if not 1 <= codebook_size <= configuration.codebook_size:
            raise ValueError(
                f"expected 1 to {configuration.codebook_size} bits of {configuration}, found {codebook_size}"
            )
        first = replace(configuration, codebook_size=codebook_size)
        return EdgeRunner(replace(self.code_format, configuration=first), self.clip_format, *self.graphs)

    def run(self, clip: np.ndarray) -> EdgeResult:
        """The packed code of a prepared clip, float32 `[3, time, height, width]`.

        Raises:
            ValueError: The clip is not of that type and the graph's shape.
        """
        self._check_clip(clip, clip.shape)
        packed, (edge_ms, *encode_ms) = self._compute({"clip": clip[None]}, "packed")
        payload = packed[0].astype(np.uint8, copy=False).tobytes()  # an engine may give int32
        return EdgeResult(_keep_first_bits(payload, self.code_format), edge_ms, sum(encode_ms, 0.0))


class ServerRunner(Runner):
    """A decoder and its server half: packed codes -> logits.

    Args:
        code_format: What the codes look like.
        graphs: `packed` -> `answer`: the decoder and the server half, or one graph that is both.
        nested_sizes: Of the codec, if the first graph takes `codebook_size` `[batch]` beside `packed`.
    """

    def __init__(self, code_format: CodeFormat, *graphs: Graph, nested_sizes: Sequence[int] = ()):
        super().__init__(*graphs)
        self.code_format, self.nested_sizes = code_format, tuple(nested_sizes)

    def run(self, payloads: Sequence[bytes], codebook_sizes: Sequence[int] | None = None) -> ServerResult:
        """The answers to a batch of packed codes; one that is larger than the graphs take is split.

        Args:
            payloads: At least one packed code.
            codebook_sizes: How many first bits of every position each of them holds; all of them by default.

        Raises:
            ValueError: There is no code, or not one size for each.
            WireError: A payload is not a code of `code_format`, or of one of the nested sizes.
        """
        whole = self.code_format.configuration.codebook_size
        sizes = [whole] * len(payloads) if codebook_sizes is None else list(codebook_sizes)
        if len(payloads) == 0 or len(sizes) != len(payloads):
            raise ValueError(
                f"expected at least one code and a size for each, found {len(payloads)} and {len(sizes)}"
            )
        for index, (payload, size) in enumerate(zip(payloads, sizes)):
            self._check_code(f"code {index} of {len(payloads)}", payload, size)
        rows = b"".join(bytes(payload).ljust(self.code_format.payload_bytes, b"\0") for payload in payloads)
        inputs = {"packed": np.frombuffer(rows, np.uint8).reshape(len(payloads), -1)}
        if self.nested_sizes:
            inputs["codebook_size"] = np.array(sizes)
        logits, (*decode_ms, server_ms) = self._compute(inputs, "answer")
        return ServerResult(logits, sum(decode_ms, 0.0), server_ms)

    def _check_code(self, name: str, payload: bytes, codebook_size: int) -> None:
        choices = (*self.nested_sizes, self.code_format.configuration.codebook_size)
        if codebook_size not in choices:
            known = " or ".join(map(str, choices))
            raise WireError(f"{name}: expected {known} bits of every position, found {codebook_size}")
        try:
            check_packed(payload, codebook_size, self.code_format.num_positions)
        except WireError as error:
            raise WireError(f"{name}: {error}") from error


class WholeRunner(Runner):
    """An unsplit model: edge-only on the device, server-only on the server.

    Args:
        clip_format: What the clips look like.
        graphs: `clip` -> `answer`.
    """

    def __init__(self, clip_format: ClipFormat, *graphs: Graph):
        super().__init__(*graphs)
        self.clip_format = clip_format

    def run(self, clip: np.ndarray) -> WholeResult:
        """The answer to a prepared clip, float32 `[3, time, height, width]`, or to each of a batch of clips.

        Raises:
            ValueError: The clip is not of that type and the graph's shape, or the batch is empty.
        """
        is_batch = clip.ndim == len(self.graphs[0].input_shape) + 1 and len(clip) > 0
        self._check_clip(clip, clip.shape[1:] if is_batch else clip.shape)
        logits, times = self._compute({"clip": clip if is_batch else clip[None]}, "answer")
        return WholeResult(logits if is_batch else logits[0], sum(times))


def _keep_first_bits(payload: bytes, first: CodeFormat) -> bytes:
    """The packed first bits of a packed code: its first bytes, for bits are ordered by the codebook."""
    num_bits = first.configuration.codebook_size * first.num_positions
    kept = bytearray(payload[: first.payload_bytes])
    kept[-1] &= 0xFF << (-num_bits % 8) & 0xFF
    return bytes(kept)
