"""What an engine's codes and clips look like, and the three roles over graphs worked by hand."""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.graph import Graph
from approxbit.engines.runner import ClipFormat, EdgeRunner, ServerRunner, WholeRunner
from approxbit.errors import WireError
from approxbit.wire import CodeFormat, pack, unpack

FORMAT = ClipFormat(num_frames=2, size=4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def test_a_code_format_counts_its_class_tokens() -> None:
    code_format = CodeFormat(Configuration.parse("5-NoEnc-B8"), (1, 2, 3), num_tokens=1)
    assert code_format.num_positions == 7
    assert code_format.payload_bytes == 5  # 35 bits


def test_a_crop_keeps_the_middle() -> None:
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    assert np.array_equal(FORMAT.crop(frames), frames[:, :, 1:5])
    assert FORMAT.crop(frames).shape == FORMAT.frames_shape


def test_the_server_prepares_cropped_frames_as_the_device_prepares_whole_ones() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    clip = FORMAT.prepare(FORMAT.crop(frames))
    assert clip.shape == (3, 2, 4, 4)
    assert np.array_equal(clip, FORMAT.prepare(frames))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 4, 4, 3), np.uint8), ((2, 4, 4), np.uint8), ((2, 4, 4, 3), np.float32)]
)
def test_a_crop_takes_only_the_frames_of_one_clip(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"expected 2 frames, uint8 .* found (uint8|float32) of shape"):
        FORMAT.crop(np.zeros(shape, dtype))


def test_the_fingerprint_of_the_link_is_that_of_weights_and_preprocessing() -> None:
    """Bytes by hand: codec, backbone, frames, size, mean, std, and the rule of the crop."""
    clip_format = replace(FORMAT, fingerprint=7)
    numbers = bytes(7) + b"\x05" + bytes(7) + b"\x07" + b"\0\0\0\x02" + b"\0\0\0\x04"
    floats = 3 * struct.pack(">d", 0.5) + 3 * struct.pack(">d", 0.25)
    rule = b"short side to size, bilinear with antialiasing; centre crop"
    expected = hashlib.sha256(numbers + floats + rule).digest()[:8]
    assert clip_format.link_fingerprint(5).to_bytes(8, "big") == expected


def test_whatever_changes_a_clip_changes_the_fingerprint_of_the_link() -> None:
    changes = [
        {"num_frames": 4},
        {"size": 8},
        {"mean": (0.5, 0.5, 0.4)},
        {"std": (0.25, 0.2, 0.25)},
        {"fingerprint": 1},
        {},
    ]
    found = {replace(FORMAT, **change).link_fingerprint(5) for change in changes}  # type: ignore[arg-type]
    assert len(found | {FORMAT.link_fingerprint(6)}) == len(changes) + 1


def test_codes_on_the_link_have_the_fingerprint_of_all_that_made_them() -> None:
    own = CodeFormat(Configuration.parse("5-NoEnc-B8"), (1, 2, 3), fingerprint=5)
    assert FORMAT.link_format(own) == replace(own, fingerprint=FORMAT.link_fingerprint(5))


CODE = CodeFormat(Configuration.parse("7-NoEnc-B2"), (1, 3, 5), fingerprint=9)
PLANES = np.random.default_rng(1).integers(0, 2, (7, CODE.num_positions), np.uint8)
CLIP = np.arange(96, dtype=np.float32).reshape(3, 2, 4, 4)


class Recording(Graph):
    """Gives an array for whatever comes in, in so many milliseconds, and remembers what came."""

    backend = "by hand"

    def __init__(self, name: str, row: Any, ms: int = 0, max_batch: int = 4):
        self.input_shape, self.max_batch = CLIP.shape, max_batch
        self.name, self.row, self.ms = name, row, ms
        self.seen: list[Mapping[str, Any]] = []

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.seen.append(inputs)
        time.sleep(self.ms / 1000)
        return {self.name: np.stack([self.row(each) for each in next(iter(inputs.values()))])}


def packing(name: str = "packed", ms: int = 0) -> Recording:
    return Recording(name, lambda clip: np.frombuffer(pack(PLANES), np.uint8).astype(np.int32), ms)


def summing(ms: int = 0, max_batch: int = 4) -> Recording:
    return Recording(
        "answer", lambda each: each.sum(keepdims=True).reshape(1).astype(np.float32), ms, max_batch
    )


def test_the_times_of_two_graphs_are_those_of_two_parts() -> None:
    sent = EdgeRunner(CODE, FORMAT, packing("feature", 20), Recording("packed", lambda row: row, 40)).run(
        CLIP
    )
    assert sent.payload == pack(PLANES)
    assert (sent.edge_ms >= 20, sent.encode_ms >= 40) == (True, True)
    answer = ServerRunner(CODE, Recording("feature", lambda row: row, 20), summing(40)).run([sent.payload])
    assert (answer.decode_ms >= 20, answer.server_ms >= 40) == (True, True)
    assert answer.logits == [[sum(sent.payload)]]


def test_one_graph_for_both_parts_is_the_edge_half_and_the_server_half() -> None:
    sent = EdgeRunner(CODE, FORMAT, packing(ms=1)).run(CLIP)
    answer = ServerRunner(CODE, summing(1)).run([sent.payload])
    assert (sent.encode_ms, answer.decode_ms) == (0, 0)
    assert min(sent.edge_ms, answer.server_ms) >= 1


@pytest.mark.parametrize("bits", range(1, 8))
def test_the_first_bits_are_packed_as_a_code_of_so_many_bits(bits: int) -> None:
    graph = packing()
    runner = EdgeRunner(CODE, FORMAT, graph).first_bits(bits)
    result = runner.run(CLIP)
    assert str(runner.code_format.configuration) == f"{bits}-NoEnc-B2"
    assert (runner.code_format.fingerprint, runner.clip_format) == (9, FORMAT)
    assert np.array_equal(unpack(result.payload, bits, CODE.num_positions), PLANES[:bits])
    assert runner.graphs == (graph,)


@pytest.mark.parametrize("bits", [0, 8])
def test_more_bits_than_there_are_and_none_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 7 bits of 7-NoEnc-B2, found {bits}"):
        EdgeRunner(CODE, FORMAT, packing()).first_bits(bits)


def codes(count: int) -> list[bytes]:
    return [bytes([number]) + bytes(CODE.payload_bytes - 1) for number in range(count)]


def test_a_batch_that_is_too_large_is_split_and_its_times_are_added() -> None:
    decoder, half = Recording("feature", lambda row: row, 5), summing(5, max_batch=3)
    result = ServerRunner(CODE, decoder, half).run(codes(7))
    assert result.logits.tolist() == [[number] for number in range(7)]
    assert [len(each["packed"]) for each in decoder.seen] == [3, 3, 1]
    assert min(result.decode_ms, result.server_ms) >= 15


def test_codes_of_nested_sizes_share_a_batch() -> None:
    graph = summing()
    runner = ServerRunner(CODE, graph, nested_sizes=(2, 5))
    payloads = [pack(PLANES[:bits]) for bits in (5, 7, 2)]
    runner.run(payloads, [5, 7, 2])
    (seen,) = graph.seen
    assert seen["codebook_size"].tolist() == [5, 7, 2]
    for row, bits in zip(seen["packed"], (5, 7, 2), strict=True):
        planes = unpack(row.tobytes(), 7, CODE.num_positions)
        assert np.array_equal(planes[:bits], PLANES[:bits])
        assert not planes[bits:].any()


@pytest.mark.parametrize(
    ("payloads", "sizes", "error", "message"),
    [
        ([], None, ValueError, "expected at least one code and a size for each, found 0 and 0"),
        (codes(2), [7], ValueError, "expected at least one code and a size for each, found 2 and 1"),
        ([*codes(2), b"short"], None, WireError, "code 2 of 3: payload: expected 14 bytes for 7 x 15 bits"),
        (codes(2), [7, 3], WireError, "code 1 of 2: expected 2 or 7 bits of every position, found 3"),
        (codes(2), [7, 2], WireError, "code 1 of 2: payload: expected 4 bytes for 2 x 15 bits, found 14"),
        ([b"\xff" * 14], None, WireError, "code 0 of 1: padding: expected 7 zero bits at the end"),
    ],
)
def test_what_is_no_batch_of_codes_is_refused(
    payloads: list[bytes], sizes: list[int] | None, error: type[Exception], message: str
) -> None:
    graph = summing()
    with pytest.raises(error, match=message):
        ServerRunner(CODE, graph, nested_sizes=(2,)).run(payloads, sizes)
    assert graph.seen == []


def test_a_batch_of_clips_has_a_batch_of_answers() -> None:
    runner = WholeRunner(FORMAT, summing(max_batch=2))
    clips = np.stack([CLIP, CLIP + 1, CLIP + 2])
    assert runner.run(CLIP).logits.tolist() == [CLIP.sum()]
    assert runner.run(clips).logits.tolist() == [[clip.sum()] for clip in clips]
    assert runner.run(clips[:1]).logits.shape == (1, 1)


@pytest.mark.parametrize("clip", [CLIP.astype(np.float64), CLIP[:, :1], CLIP[None, :, :1], CLIP[None][:0]])
def test_a_clip_of_another_shape_or_type_is_refused(clip: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, 2, 4, 4\], found float"):
        WholeRunner(FORMAT, summing()).run(clip)
    with pytest.raises(ValueError, match=r"a prepared clip is float32 \[3, 2, 4, 4\], found float"):
        EdgeRunner(CODE, FORMAT, packing()).run(clip)
