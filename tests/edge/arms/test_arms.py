"""What every way to answer a clip makes of its frames, on the device."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.edge.arms import (
    CodesArm,
    CompressedVideoArm,
    EdgeArm,
    EdgeOnlyArm,
    Encoded,
    RawClipArm,
    compressed_video_arms,
)
from approxbit.engines.runner import ClipFormat, EdgeResult, WholeResult
from approxbit.select import LUTRow
from approxbit.tasks import Classification
from approxbit.video.h264 import decode_h264
from approxbit.wire import AnswerKind, CodeFormat, Kind, Logits, Packet, Request, TopK, Wanted

FORMAT = ClipFormat(num_frames=3, size=16, mean=(0.5, 0.5, 0.5), fingerprint=9)
FRAMES = np.random.default_rng(0).integers(0, 256, FORMAT.frames_shape, dtype=np.uint8)
ALL_LOGITS = Request(wanted=Wanted(AnswerKind.LOGITS, 0))


class Edge:
    clip_format = FORMAT
    code_format = CodeFormat(Configuration.parse("8-NoEnc-B3"), (1, 2, 2), fingerprint=5)

    def run(self, clip: np.ndarray) -> EdgeResult:
        assert np.array_equal(clip, FORMAT.prepare(FRAMES))
        return EdgeResult(b"code", edge_ms=2.0, encode_ms=1.0)


class Whole:
    clip_format = FORMAT

    def run(self, clip: np.ndarray) -> WholeResult:
        assert np.array_equal(clip, FORMAT.prepare(FRAMES))
        return WholeResult(np.array([0, 3, 1], np.float32), whole_ms=4.0)


def packet_of(arm: EdgeArm, request: Request = ALL_LOGITS) -> Packet:
    encoded = arm.encode(FRAMES, request)
    assert encoded.packet is not None
    assert encoded.packet.request == request
    assert encoded.encode_ms > 0
    return encoded.packet


def test_codes_carry_the_fingerprint_of_weights_and_preprocessing() -> None:
    arm = CodesArm(Edge())
    packet = packet_of(arm)
    assert (packet.kind, packet.payload, arm.name) == (Kind.CODE, b"code", "8-NoEnc-B3")
    assert packet.fingerprint == arm.code_format.fingerprint == FORMAT.link_fingerprint(5)
    encoded = arm.encode(FRAMES)
    assert encoded.code == b"code"
    assert encoded.edge_ms > 2
    assert encoded.encode_ms > 1


def test_a_raw_clip_crosses_as_it_is() -> None:
    packet = packet_of(RawClipArm(FORMAT))
    assert np.array_equal(packet.clip(), FRAMES)
    assert packet.fingerprint == FORMAT.link_fingerprint()


def test_compressed_video_holds_exactly_the_frames_of_the_clip() -> None:
    packet = packet_of(CompressedVideoArm(FORMAT, "veryslow", 10))
    assert (packet.kind, packet.feature_size, packet.video_format) == (Kind.VIDEO, (3, 16, 16), "h264.h264")
    assert packet.fingerprint == FORMAT.link_fingerprint()
    assert decode_h264(packet.payload, 3, 16, 16).shape == FRAMES.shape


def test_compressed_video_has_its_sizes_by_rate_factor() -> None:
    arms = compressed_video_arms(FORMAT)
    assert [arm.name for arm in arms] == [
        f"h264-{preset}-crf{crf}" for preset in ("superfast", "veryslow") for crf in (23, 32, 40)
    ]
    sizes = [len(packet_of(arm).payload) for arm in arms]
    assert sizes[:3] == sorted(sizes[:3], reverse=True)
    assert sizes[3:] == sorted(sizes[3:], reverse=True)


def test_edge_only_answers_as_a_server_would() -> None:
    arm = EdgeOnlyArm(Whole(), Classification.of_names())
    encoded = arm.encode(FRAMES, ALL_LOGITS)
    assert (encoded.packet, encoded.answer) == (None, Logits(np.array([0, 3, 1], np.float32)))
    assert encoded.edge_ms > 4
    assert encoded.encode_ms > 0
    best = arm.encode(FRAMES).answer
    assert isinstance(best, TopK)
    assert best.classes == (1, 2, 0)


def test_what_edge_only_needs_to_say_its_answer_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def say_slowly(*arguments: object) -> TopK:
        time.sleep(0.01)
        return TopK((0,), (0.0,))

    monkeypatch.setattr("approxbit.edge.arms.edge_only.content_of", say_slowly)
    assert EdgeOnlyArm(Whole(), Classification.of_names()).encode(FRAMES).encode_ms >= 10


def test_every_name_can_stand_in_a_lut() -> None:
    whole = EdgeOnlyArm(Whole(), Classification.of_names())
    for arm in (whole, RawClipArm(FORMAT), CodesArm(Edge()), *compressed_video_arms(FORMAT)):
        assert LUTRow(arm.name, 0, 0, 0, 0, 0, 0).crosses_link == arm.crosses_link
        assert re.fullmatch(r"[A-Za-z0-9_.+-]+", arm.name)


@pytest.mark.parametrize("answers", [{}, {"packet": Packet.of_clip(FRAMES), "answer": TopK((0,), (0.0,))}])
def test_an_arm_has_a_packet_or_an_answer(answers: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected a packet or an answer, found both or neither"):
        Encoded(0.0, 0.0, **answers)  # type: ignore[arg-type]
