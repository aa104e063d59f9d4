"""Any bytes in, an answer or a refusal out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from approxbit import zoo
from approxbit.edge.arms import CodesArm, CompressedVideoArm, RawClipArm
from approxbit.engines.graph import Graph
from approxbit.engines.runner import ServerRunner, WholeRunner
from approxbit.offload import OffloadedModel
from approxbit.offload.runners import clip_format, torch_whole
from approxbit.server import Service, arms
from approxbit.server.loading import build_service, load_service
from approxbit.tasks import Classification
from approxbit.video.h264 import decode_h264, encode_h264
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    LateQuestion,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Request,
    Status,
    Text,
    TopK,
    Wanted,
    read_reply,
)

Models = dict[str, OffloadedModel]
ALL_LOGITS = Request(wanted=Wanted(AnswerKind.LOGITS, 0))
TASK = Classification.of_names()
FRAMES = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def service(models: Models) -> Service:
    return build_service(models.values(), num_threads=1)


def whole_of(model: OffloadedModel) -> WholeRunner:
    return torch_whole(model.backbone, 1)


def edge_arm(model: OffloadedModel) -> CodesArm:
    return CodesArm(model.edge_runner(1))


def server_arm(model: OffloadedModel, *graphs: Graph) -> arms.CodesArm:
    """Of the model, or of graphs in its place."""
    runner = ServerRunner(model.code_format, *graphs) if graphs else model.server_runner(1)
    return arms.CodesArm(runner, clip_format(model.backbone))


def format_of(model: OffloadedModel) -> CodeFormat:
    return edge_arm(model).code_format


def code_packet(model: OffloadedModel, sequence: int = 0) -> Packet:
    packet = edge_arm(model).encode(FRAMES, ALL_LOGITS).packet
    assert packet is not None
    return replace(packet, sequence=sequence)


def unsplit(models: Models, frames: np.ndarray = FRAMES) -> Logits:
    model = models["5-Enc-B3"]
    clip = torch.from_numpy(whole_of(model).clip_format.prepare(frames))
    with torch.inference_mode():
        return Logits(model.backbone(clip[None])[0].numpy())


def refusal_of(service: Service, packet: Packet | bytes) -> Refusal:
    reply = read_reply(service.answer(packet if isinstance(packet, bytes) else packet.to_bytes()))
    assert isinstance(reply, Refusal), reply
    return reply


@pytest.mark.parametrize("name", ["5-Enc-B3", "4-NoEnc-B2"])
def test_a_code_is_answered_as_the_model_answers_its_clip(
    name: str, service: Service, models: Models
) -> None:
    answer = Answer.from_bytes(service.answer(code_packet(models[name], sequence=41).to_bytes()))
    clip = torch.from_numpy(whole_of(models[name]).clip_format.prepare(FRAMES))
    with torch.inference_mode():
        expected = models[name](clip[None])[0].numpy()
    assert answer.sequence == 41
    assert answer.content == Logits(expected)
    assert answer.decode_ms > 0
    assert answer.server_ms > 0


def clip_packet(models: Models, sequence: int = 0) -> Packet:
    packet = RawClipArm(whole_of(models["5-Enc-B3"]).clip_format).encode(FRAMES, ALL_LOGITS).packet
    assert packet is not None
    return replace(packet, sequence=sequence)


def video_packet(models: Models) -> Packet:
    packet = (
        CompressedVideoArm(whole_of(models["5-Enc-B3"]).clip_format, "veryslow", 20).encode(FRAMES).packet
    )
    assert packet is not None
    return replace(packet, request=ALL_LOGITS)


def test_a_clip_is_answered_as_the_backbone_answers_it(service: Service, models: Models) -> None:
    answer = Answer.from_bytes(service.answer(clip_packet(models, sequence=42).to_bytes()))
    assert answer.sequence == 42
    assert answer.content == unsplit(models)


def test_a_video_is_answered_as_the_backbone_answers_its_decoded_frames(
    service: Service, models: Models
) -> None:
    packet = video_packet(models)
    assert packet.payload[:3] == b"\0\0\1"
    answer = Answer.from_bytes(service.answer(packet.to_bytes()))
    assert answer.content == unsplit(models, decode_h264(packet.payload, 4, 32, 32))
    assert answer.decode_ms > 0


@pytest.mark.parametrize("data", [b"", b"hello", b"AXB\x01" + bytes(40), bytes(100_000)])
def test_bytes_that_are_no_packet_are_refused(service: Service, data: bytes) -> None:
    refusal = refusal_of(service, data)
    assert (refusal.status, refusal.sequence) == (Status.MALFORMED, 0)


def test_every_packet_with_one_bit_flipped_is_refused(service: Service, models: Models) -> None:
    packet = code_packet(models["5-Enc-B3"]).to_bytes()
    for place in range(1, 8 * len(packet), 7):  # with the first bit, it would be a short message
        data = bytearray(packet)
        data[place // 8] ^= 1 << place % 8
        assert refusal_of(service, bytes(data)).status == Status.MALFORMED


def test_an_answer_is_no_packet(service: Service) -> None:
    refusal = refusal_of(service, Answer(3, Text("no")).to_bytes())
    assert refusal.status == Status.MALFORMED
    assert "kind" in refusal.reason


def test_an_unknown_configuration_is_refused(service: Service, models: Models) -> None:
    packet = code_packet(models["5-Enc-B3"], sequence=9)
    other = replace(packet.configuration, offload_point="B9")
    refusal = refusal_of(service, replace(packet, configuration=other))
    assert (refusal.status, refusal.sequence) == (Status.UNSUPPORTED, 9)
    assert refusal.reason == "payload: found 5-Enc-B9, expected one of clip, h264.h264, 4-NoEnc-B2, 5-Enc-B3"


def test_a_long_reason_is_cut(models: Models) -> None:
    service = Service([], TASK)
    service.arms = {f"{size}-Enc-Longname": server_arm(models["5-Enc-B3"]) for size in range(1, 99)}
    packet = code_packet(models["5-Enc-B3"])
    assert len(refusal_of(service, packet).reason) == 512


@pytest.mark.parametrize(("more", "num_tokens", "field"), [(2, 0, "feature_size"), (0, 1, "num_tokens")])
def test_a_code_of_another_shape_is_refused(
    more: int, num_tokens: int, field: str, service: Service, models: Models
) -> None:
    shape = format_of(models["5-Enc-B3"])
    time, height, width = shape.feature_size
    other = replace(shape, feature_size=(time, height, width + more), num_tokens=num_tokens)
    packet = other.packet(np.zeros((5, other.num_positions), np.uint8))
    refusal = refusal_of(service, packet)
    assert refusal.status == Status.UNSUPPORTED
    assert refusal.reason == f"{field}: expected {getattr(shape, field)}, found {getattr(other, field)}"


def test_a_clip_of_another_size_is_refused(service: Service) -> None:
    refusal = refusal_of(service, Packet.of_clip(np.zeros((4, 64, 64, 3), np.uint8), sequence=5))
    assert (refusal.status, refusal.sequence) == (Status.UNSUPPORTED, 5)
    assert refusal.reason == "clip: expected the size (4, 32, 32), found (4, 64, 64)"


def test_other_weights_are_refused(service: Service, models: Models) -> None:
    code = replace(code_packet(models["5-Enc-B3"]), fingerprint=1)
    clip = Packet.of_clip(FRAMES, fingerprint=1)
    for packet in (code, clip):
        refusal = refusal_of(service, packet)
        assert refusal.status == Status.WRONG_WEIGHTS
        assert "load the same weights on both sides of the link" in refusal.reason


def certain_prior(codebook_size: int, grid_size: tuple[int, int, int]) -> PriorTables:
    """Tables under which every bit of a code is nearly surely 0."""
    prior = PriorTables.of_zeros(codebook_size, grid_size)
    arrays = {field.name: getattr(prior, field.name) for field in fields(prior)}
    arrays["bias"] = np.concatenate(
        [
            np.full_like(prior.bias[:, :, :1], -16000).repeat(grid_size[0], 2),
            prior.bias[:, :, grid_size[0] :],
        ],
        axis=2,
    )
    return PriorTables(**{**arrays, "output": np.full_like(prior.output, 1000)})


@pytest.fixture
def coded(models: Models) -> Iterator[tuple[Service, CodeFormat, np.ndarray]]:
    """A service and an edge whose codec 4-NoEnc-B2 has a prior, and a code that becomes short under it."""
    model = models["4-NoEnc-B2"]
    size = model.codec.feature_shape.size
    model.prior = certain_prior(4, size)
    planes = np.zeros((4, format_of(model).num_positions), np.uint8)
    planes[0, ::9] = 1
    try:
        yield build_service(models.values(), num_threads=1), format_of(model), planes
    finally:
        del model.prior


def test_a_coded_code_has_the_answer_of_the_packed_one(
    coded: tuple[Service, CodeFormat, np.ndarray], service: Service
) -> None:
    server, coded_format, planes = coded
    raw = replace(coded_format, prior=None).packet(planes, 7)
    short = coded_format.packet(planes, 7)
    assert (raw.coding, short.coding) == (Coding.RAW, Coding.CONTEXT)
    assert len(short.payload) < len(raw.payload)
    answers = [Answer.from_bytes(server.answer(packet.to_bytes())) for packet in (raw, short)]
    assert answers[0].content == answers[1].content

    refusal = refusal_of(service, short)  # which has no tables for it
    assert refusal.status == Status.UNSUPPORTED
    assert refusal.reason == "coding: expected one of 0 of 4-NoEnc-B2, found 1"


def test_a_coded_payload_that_no_encoder_writes_is_refused(
    coded: tuple[Service, CodeFormat, np.ndarray],
) -> None:
    server, coded_format, planes = coded
    packet = coded_format.packet(planes)
    refusal = refusal_of(server, replace(packet, payload=packet.payload + bytes(9) + b"\1"))
    assert refusal.status == Status.MALFORMED
    assert "payload: expected what the encoder writes for its bits" in refusal.reason


def test_reading_the_bits_of_a_coded_code_counts_as_decoding(
    coded: tuple[Service, CodeFormat, np.ndarray], models: Models
) -> None:
    _, coded_format, planes = coded

    class Zeros(Graph):
        max_batch = 1

        def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {"answer": np.zeros((1, 3), np.float32)}

    # One graph decodes and answers: what is left for decode_ms is the reading of the bits.
    instant = Service([server_arm(models["4-NoEnc-B2"], Zeros())], TASK)
    answer = Answer.from_bytes(instant.answer(coded_format.packet(planes).to_bytes()))
    assert answer.content == TopK.of_logits(np.zeros(3, np.float32))
    assert answer.decode_ms > 0


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(Text("why?")), "expected no question"),
        (Request(wanted=Wanted(AnswerKind.TEXT, 0)), "expected logits or the likeliest classes, found TEXT"),
    ],
)
def test_a_classifier_answers_no_questions(
    request_: Request, message: str, service: Service, models: Models
) -> None:
    packet = replace(clip_packet(models), request=request_)
    refusal = refusal_of(service, packet)
    assert refusal.status == Status.UNSUPPORTED
    assert message in refusal.reason


def test_a_late_question_is_refused(service: Service) -> None:
    refusal = refusal_of(service, LateQuestion(7, 1, Request(Text("why?"))).to_bytes())
    assert (refusal.status, refusal.sequence) == (Status.UNSUPPORTED, 7)


def test_a_video_of_another_format_is_refused(service: Service, models: Models) -> None:
    refusal = refusal_of(service, replace(video_packet(models), video_format="mp4.h264"))
    assert refusal.status == Status.UNSUPPORTED
    assert refusal.reason.startswith("payload: found mp4.h264, expected one of clip, h264.h264")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((5, 32, 32), "video: expected 4 frames of 32 x 32 pixels, found frame 5 of 32 x 32"),
        ((3, 32, 32), "video: expected 4 frames of H.264, found 3"),
        ((4, 32, 34), "video: expected 4 frames of 32 x 32 pixels, found frame 1 of 34 x 32"),
        ((4, 1024, 1024), "video: expected H.264 of at most 32 x 32 pixels"),
    ],
)
def test_a_video_that_holds_something_else_is_refused(
    shape: tuple[int, int, int], reason: str, service: Service, models: Models
) -> None:
    video = encode_h264(np.zeros((*shape, 3), np.uint8), "superfast", 40)
    refusal = refusal_of(service, replace(video_packet(models), payload=video))
    assert refusal.status == Status.MALFORMED
    assert refusal.reason.startswith(reason)


def test_a_video_longer_than_its_frames_is_not_even_decoded(service: Service, models: Models) -> None:
    refusal = refusal_of(service, replace(video_packet(models), payload=bytes(12289)))
    assert (refusal.status, refusal.reason) == (
        Status.UNSUPPORTED,
        "video: expected at most 12288 bytes, found 12289",
    )


def test_a_batch_is_answered_in_order_and_what_cannot_be_read_is_refused_alone(
    service: Service, models: Models
) -> None:
    arm, good = service.arms["h264.h264"], video_packet(models)
    bad = replace(good, payload=b"no video", sequence=1)
    asked = [
        arms.Asked(each, Wanted(AnswerKind.LOGITS, 0)) for each in (good, bad, replace(good, sequence=2))
    ]
    replies = [each.reply for each in arms.answer_all(arm, asked, TASK)]
    assert [reply.sequence for reply in replies] == [0, 1, 2]
    assert [type(reply) for reply in replies] == [Answer, Refusal, Answer]
    alone = Answer.from_bytes(service.answer(good.to_bytes())).content
    for reply in (replies[0], replies[2]):
        assert isinstance(reply, Answer)
        assert isinstance(reply.content, Logits)
        assert isinstance(alone, Logits)
        assert reply.content.values == pytest.approx(alone.values, abs=1e-5)


class Failing(Graph):
    max_batch = 1

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise RuntimeError("out of luck in /secret/place")


class NotFinite(Graph):
    max_batch = 1

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"answer": np.array([[np.nan]], np.float32)}


@pytest.mark.parametrize(("graph", "error"), [(Failing(), "RuntimeError"), (NotFinite(), "ValueError")])
def test_a_server_that_fails_says_so_and_lives_on(
    graph: Graph, error: str, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    model = models["5-Enc-B3"]
    service = Service([server_arm(model, graph), arms.RawClipArm(whole_of(model))], TASK)
    for _ in range(8):  # more than stand in line
        refusal = refusal_of(service, code_packet(model, sequence=4))
        assert (refusal.status, refusal.sequence) == (Status.FAILED, 4)
        assert refusal.reason == f"the server failed with {error}, its log says more"
    assert "packet 4" in caplog.text
    assert isinstance(read_reply(service.answer(clip_packet(models).to_bytes())), Answer)


class Slow(Graph):
    """Says when it has begun, and waits until it may go on."""

    max_batch = 1
    has_begun = threading.Event()
    may_go_on = threading.Event()
    num_runs = 0

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.num_runs += 1
        self.has_begun.set()
        assert self.may_go_on.wait(60)
        return {"answer": np.zeros((1, 3), np.float32)}


def test_a_full_line_is_refused_and_what_nobody_wants_is_not_computed(models: Models) -> None:
    model, slow = models["5-Enc-B3"], Slow()
    service = Service([server_arm(model, slow)], TASK, max_in_line=2)
    packet = code_packet(model).to_bytes()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.answer, packet)
        assert slow.has_begun.wait(60)
        second = pool.submit(service.answer, packet, lambda: False)
        while service._line._value:  # until the second one stands in line
            pass
        busy = refusal_of(service, packet)
        assert service.ping(b"still there") == b"still there"
        slow.may_go_on.set()
        assert isinstance(read_reply(first.result(60)), Answer)
        unwanted = read_reply(second.result(60))
    assert busy.status == Status.BUSY
    assert isinstance(unwanted, Refusal)
    assert unwanted.reason == "nobody waits for the answer any more"
    assert slow.num_runs == 1


def test_pings_and_probes_are_answered(service: Service) -> None:
    assert service.ping(b"\x00\xff") == b"\x00\xff"
    assert service.probe(bytes(70_000)) == (70_000).to_bytes(8, "big")


def test_two_arms_for_one_format_are_refused(models: Models) -> None:
    arm = server_arm(models["5-Enc-B3"])
    twin = server_arm(models["5-Enc-B3"])
    with pytest.raises(ValueError, match="expected one arm for 5-Enc-B3, found two"):
        Service([arm, twin], TASK)


def test_a_line_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="max_in_line must be at least 1, found 0"):
        Service([], TASK, max_in_line=0)


def test_a_service_has_one_backbone(checkpoints: Path, models: Models) -> None:
    strangers = zoo.load_family("toy", checkpoints)
    with pytest.raises(ValueError, match="a service needs models of one shared backbone, found 2 backbones"):
        build_service([models["5-Enc-B3"], strangers["4-NoEnc-B2"]])
    with pytest.raises(ValueError, match="found 0 backbones"):
        build_service([])


def test_a_family_is_loaded_by_its_name(checkpoints: Path, models: Models) -> None:
    service = load_service("toy", checkpoints)
    assert sorted(service.arms) == ["4-NoEnc-B2", "5-Enc-B3", "clip", "h264.h264"]
    assert isinstance(read_reply(service.answer(clip_packet(models).to_bytes())), Answer)
