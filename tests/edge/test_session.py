"""Every clip has exactly one answer, whatever the server and the link do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.edge import EdgeAnswer, EdgeSession, GrpcTransport, LocalTransport, SessionPolicy
from approxbit.edge.arms import CodesArm, CompressedVideoArm, EdgeArm, EdgeOnlyArm, Encoded, RawClipArm
from approxbit.engines.runner import ClipFormat, EdgeResult, ServerResult, WholeResult
from approxbit.errors import LinkError, SessionError
from approxbit.link import BandwidthEstimator
from approxbit.select import LUT, AccuracySLA, LatencySLA, LUTRow, latency_ms
from approxbit.server import GrpcServer, Service, arms
from approxbit.server.sessions import Sessions
from approxbit.tasks import Classification, LabelSet
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Hello,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Request,
    Status,
    TopK,
    Wanted,
    is_short,
    read_sent,
)
from approxbit.wire.request import NOTHING_SAID

CLIP_FORMAT = ClipFormat(num_frames=2, size=4, fingerprint=9)
TASK = Classification.of_names()
ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)
FINGERPRINTS = {"8-NoEnc-B3": 5, "16-NoEnc-B3": 6}
TABLE = LUT(
    (
        LUTRow("edge-only", 50_000, 0, 0, 0, 0, accuracy=99),
        LUTRow("16-NoEnc-B3", 2000, 0, 16, 0, 0, accuracy=98),
        LUTRow("8-NoEnc-B3", 1000, 0, 8, 0, 0, accuracy=90),
        LUTRow("server-only", 0, 0, 96, 0, 40_000, accuracy=99.5),
        LUTRow("h264-superfast-crf23", 0, 45_000, 60, 0, 0, accuracy=99.8),
    ),
    *("nothing measured", "none", "2026-01-01", 1),
)


def code_format(name: str, fingerprint: int) -> CodeFormat:
    return CodeFormat(Configuration.parse(name), (2, 2, 2), fingerprint=fingerprint)


class FakeEdge:
    """Its code is the clip's first value, again and again."""

    def __init__(self, name: str, clip_format: ClipFormat = CLIP_FORMAT):
        self.clip_format = clip_format
        self.code_format = code_format(name, FINGERPRINTS[name])

    def run(self, clip: np.ndarray) -> EdgeResult:
        value = round(float(clip.flat[0]) * 255)
        return EdgeResult(bytes([value]) * self.code_format.payload_bytes, edge_ms=2.0, encode_ms=1.0)


class FakeServer:
    """Its logits are the code's first byte and the codebook size."""

    def __init__(self, name: str, fingerprint: int):
        self.code_format = code_format(name, fingerprint)

    def run(self, payloads: Sequence[bytes]) -> ServerResult:
        size = self.code_format.configuration.codebook_size
        logits = np.array([[payload[0], size] for payload in payloads], np.float32)
        return ServerResult(logits, decode_ms=0.25, server_ms=0.5)


class FakeWhole:
    """Its logits are the clip's first value and a number of its own."""

    clip_format = CLIP_FORMAT

    def __init__(self, number: int):
        self.number = number

    def run(self, clip: np.ndarray) -> WholeResult:
        clips = clip if clip.ndim == 5 else clip[None]
        logits = np.array([[round(float(each.flat[0]) * 255), self.number] for each in clips], np.float32)
        return WholeResult(logits if clip.ndim == 5 else logits[0], whole_ms=4.0)


class Unreliable(Service):
    """A service that can be told to answer something else to packets."""

    def __init__(self, fingerprints: dict[str, int] = FINGERPRINTS):
        whole = FakeWhole(number=100)
        codes = [
            arms.CodesArm(FakeServer(name, fingerprint), CLIP_FORMAT)
            for name, fingerprint in fingerprints.items()
        ]
        super().__init__([arms.RawClipArm(whole), arms.CompressedVideoArm(whole), *codes], TASK)
        self.change: Callable[[bytes, bytes], bytes] = lambda packet, reply: reply
        self.packets: list[Packet] = []
        self.messages: list[bytes] = []
        self.num_hellos = 0

    def answer(self, message: bytes, is_wanted: Callable[[], bool] = lambda: True, client: str = "") -> bytes:
        reply = super().answer(message, is_wanted, client)
        try:
            received = read_sent(message, self.sessions.bindings)
        except SessionError:
            return reply
        if isinstance(received, Hello):
            self.num_hellos += 1
            return reply
        assert isinstance(received, Packet)
        self.packets.append(received)
        self.messages.append(message)
        return self.change(message, reply)

    @property
    def sequences(self) -> list[int]:
        return [packet.sequence for packet in self.packets]


def edge_arms(*runners: FakeEdge, has_whole: bool = True) -> list[EdgeArm]:
    alone: list[EdgeArm] = [EdgeOnlyArm(FakeWhole(number=0), TASK)] if has_whole else []
    video = CompressedVideoArm(CLIP_FORMAT, "superfast", 23)
    codes = [CodesArm(runner) for runner in runners or map(FakeEdge, FINGERPRINTS)]
    return [*alone, RawClipArm(CLIP_FORMAT), video, *codes]


def logits_of(answer: EdgeAnswer) -> list[float]:
    assert isinstance(answer.answer, Logits)
    return answer.answer.values.tolist()


@pytest.fixture
def service() -> Unreliable:
    return Unreliable()


@pytest.fixture
def transport(service: Unreliable) -> LocalTransport:
    return LocalTransport(service)


@pytest.fixture
def make_arguments() -> Callable[[], dict[str, Any]]:
    """What a session is made of unless a test says otherwise: fakes."""
    return lambda: {
        "arms": edge_arms(),
        "lut": TABLE,
        "sla": LatencySLA(30_000),
        "clip_format": CLIP_FORMAT,
        "wanted": ALL_LOGITS,
    }


def frames_of(value: int) -> np.ndarray:
    return np.full(CLIP_FORMAT.frames_shape, value, np.uint8)


def test_every_arm_answers_over_grpc(service: Unreliable, make_session: Callable[..., EdgeSession]) -> None:
    with GrpcServer(service) as server, GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        check_every_arm(make_session(transport))


def test_every_arm_answers_in_one_process(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    check_every_arm(make_session(transport))


def check_every_arm(session: EdgeSession) -> None:
    for sla, arm, payload_bytes, logits in [
        (LatencySLA(30_000), "16-NoEnc-B3", 16, [7, 16]),
        (LatencySLA(1500), "8-NoEnc-B3", 8, [7, 8]),
        (LatencySLA(45_000), "server-only", 96, [7, 100]),
        (AccuracySLA(95), "16-NoEnc-B3", 16, [7, 16]),
        (AccuracySLA(99.2), "server-only", 96, [7, 100]),
        (AccuracySLA(99.7), "h264-superfast-crf23", None, [7, 100]),
    ]:
        session.sla = sla
        answer = session.answer(frames_of(7))
        assert (answer.arm, logits_of(answer)) == (arm, pytest.approx(logits, abs=1))
        assert payload_bytes in (answer.payload_bytes, None)
        assert answer.payload_bytes > 0
        assert answer.packet_bytes > answer.payload_bytes
        assert (answer.fell_back, answer.reason) == (False, "")
        assert answer.choice is not None
        assert answer.choice.arm == arm


def test_clips_are_numbered_from_0_up(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    answers = [session.answer(frames_of(value)) for value in range(5)]
    assert [answer.sequence for answer in answers] == service.sequences == [0, 1, 2, 3, 4]
    assert [logits_of(answer)[0] for answer in answers] == [0, 1, 2, 3, 4]


def test_the_parts_add_up_to_the_latency(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    answer = make_session(transport).answer(frames_of(7))
    assert answer.parts.edge_ms > 2.0
    assert answer.parts.encode_ms > 1.0
    assert answer.parts.decode_ms >= 0.25
    assert answer.parts.server_ms == 0.5
    assert min(answer.parts.prepare_ms, answer.latency_ms) > 0
    assert answer.parts.total_ms == sum(vars(answer.parts).values())


def test_the_latency_starts_when_the_last_frame_was_captured(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, sla=LatencySLA(1_000_000))
    assert session.answer(frames_of(7)).parts.capture_ms == 0
    answer = session.answer(frames_of(7), captured_s=time.monotonic() - 900)
    assert answer.choice is not None
    assert answer.choice.row.arm == "h264-superfast-crf23"  # 45 s fit into the 100 s that are left
    assert (answer.parts.capture_ms >= 900_000, answer.meets_sla) == (True, True)
    assert answer.latency_ms >= answer.parts.capture_ms + answer.parts.prepare_ms
    answer = session.answer(frames_of(7), captured_s=time.monotonic() - 990)
    assert answer.choice is not None
    assert answer.choice.row.accuracy == 98  # 2 s fit into the 10 s that are left
    late = session.answer(frames_of(7), captured_s=time.monotonic() - 1001)
    assert late.choice is not None
    assert (late.arm, late.choice.meets_sla, late.meets_sla) == ("8-NoEnc-B3", False, False)
    with pytest.raises(ValueError, match=r"captured_s must not be after now, .*, found "):
        session.answer(frames_of(7), captured_s=time.monotonic() + 60)


def test_frames_are_cropped(transport: LocalTransport, make_session: Callable[..., EdgeSession]) -> None:
    wide = np.full((2, 4, 9, 3), 9, np.uint8)
    wide[:, :, 2:6] = 7  # the middle
    answer = make_session(transport, sla=LatencySLA(45_000)).answer(wide)
    assert (answer.arm, answer.payload_bytes, logits_of(answer)[0]) == ("server-only", 96, 7)


def test_all_arms_answer_in_the_kind_that_is_wanted(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, wanted=Wanted(AnswerKind.TOP_K, 1))
    for sla in (LatencySLA(30_000), LatencySLA(45_000), AccuracySLA(99.7)):
        session.sla = sla
        answer = session.answer(frames_of(200)).answer
        assert isinstance(answer, TopK)
        assert len(answer.classes) == 1
    transport.is_up = False
    alone = session.answer(frames_of(200))
    assert (alone.arm, alone.answer) == ("edge-only", TopK((0,), (0.0,)))


def test_edge_only_needs_no_server_when_it_is_the_best(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    quick = replace(TABLE, rows=(replace(TABLE.row("edge-only"), edge_ms=1.0), *TABLE.rows[1:3]))
    answer = make_session(transport, lut=quick).answer(frames_of(7))
    assert (answer.arm, answer.fell_back, answer.packet_bytes) == ("edge-only", False, 0)
    assert logits_of(answer) == [7, 0]
    assert answer.parts.edge_ms >= 4.0
    assert answer.parts.link_ms == answer.answer_bytes == 0
    assert service.sequences == []


class SlowToSay(EdgeOnlyArm):
    """Needs 7 ms from the logits to the answer."""

    def encode(self, frames: np.ndarray, request: Request = NOTHING_SAID) -> Encoded:
        return replace(super().encode(frames, request), edge_ms=4.0, encode_ms=7.0)


def test_what_edge_only_needs_to_say_its_answer_counts(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    row = LUTRow("edge-only", 20_000, 7000, 0, 0, 0, accuracy=99)
    assert latency_ms(row, bandwidth_mbps=0) == latency_ms(row, bandwidth_mbps=3) == 27_000
    lut = replace(TABLE, rows=(row, *TABLE.rows[1:3]))
    arms_ = [SlowToSay(FakeWhole(0), TASK), *edge_arms(has_whole=False)]
    session = make_session(transport, arms=arms_, lut=lut, sla=LatencySLA(26_000))
    assert session.answer(frames_of(1)).arm == "16-NoEnc-B3"
    session.sla = LatencySLA(27_000)
    answer = session.answer(frames_of(1))
    assert (answer.arm, answer.parts.edge_ms, answer.parts.encode_ms) == ("edge-only", 4.0, 7.0)
    assert answer.parts.total_ms == answer.parts.prepare_ms + 11


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packet, reply: b"", "message: expected at least 20 bytes"),
        (lambda packet, reply: b"hello world, this is no answer", "magic: expected"),
        (lambda packet, reply: packet, "kind of the short message: expected Answer or Refusal, found Packet"),
        (lambda packet, reply: reply[:-1], "checksum: expected"),
        (
            lambda packet, reply: Answer(5, TopK((0,), (0.0,))).to_bytes(),
            "the reply must be to packet 0, found one to packet 5",
        ),
        (lambda packet, reply: Refusal(0, "no", Status.BUSY).to_bytes(), "the server refuses: no"),
        (
            lambda packet, reply: Hello((code_format("8-NoEnc-B3", 5),)).to_bytes(),
            "kind: expected",
        ),
    ],
)
def test_a_reply_that_is_no_answer_leads_to_the_fallback(
    change: Any,
    reason: str,
    service: Unreliable,
    transport: LocalTransport,
    make_session: Callable[..., EdgeSession],
) -> None:
    session = make_session(transport)
    service.change = change
    answer = session.answer(frames_of(7))
    assert (answer.arm, answer.fell_back, logits_of(answer)) == ("edge-only", True, [7, 0])
    assert reason in answer.reason
    assert answer.parts.edge_ms >= 4.0
    assert answer.parts.lost_ms > 0
    service.change = lambda packet, reply: reply
    assert session.wait_for_link(60)
    assert session.answer(frames_of(8)).arm == "16-NoEnc-B3"


def test_a_link_that_breaks_loses_no_clip_and_is_used_again(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    answers = [session.answer(frames_of(0))]
    transport.is_up = False
    answers += [session.answer(frames_of(value)) for value in (1, 2, 3)]
    assert not session.link_is_up
    transport.is_up = True
    assert session.wait_for_link(60)
    answers.append(session.answer(frames_of(4)))
    assert [logits_of(answer) for answer in answers] == [[0, 16], [1, 0], [2, 0], [3, 0], [4, 16]]
    assert [answer.fell_back for answer in answers] == [False, True, True, True, False]
    assert "the local link is down" in answers[1].reason
    assert answers[2].reason.startswith("the link is down: ")
    assert answers[2].choice is None
    assert answers[4].probing.num_bytes > 0
    assert service.sequences == [0, 4]


def test_a_server_that_dies_and_comes_back_is_found_again(
    service: Unreliable, make_session: Callable[..., EdgeSession]
) -> None:
    server = GrpcServer(service)
    with GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        session = make_session(transport)
        with server:
            answers = [session.answer(frames_of(0))]
        answers += [session.answer(frames_of(value)) for value in (1, 2)]
        with GrpcServer(service, server.port):
            assert session.wait_for_link(60)
            answers.append(session.answer(frames_of(3)))
        session.close()
    assert [logits_of(answer) for answer in answers] == [[0, 16], [1, 0], [2, 0], [3, 16]]
    assert [answer.sequence for answer in answers] == [0, 1, 2, 3]


def test_without_a_whole_model_a_failure_is_raised(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, arms=edge_arms(has_whole=False))
    transport.is_up = False
    with pytest.raises(
        LinkError, match=r"local link is down.*; without a whole model on the device there is no"
    ):
        session.answer(frames_of(1))
    transport.is_up = True
    assert session.wait_for_link(60)
    assert session.answer(frames_of(2)).sequence == 1


def test_an_arm_of_other_weights_is_left_out_and_tried_again_later(
    make_session: Callable[..., EdgeSession], patient: SessionPolicy
) -> None:
    session = make_session(
        LocalTransport(Unreliable({**FINGERPRINTS, "16-NoEnc-B3": 1234})),
        policy=replace(patient, longest_retry_s=3600),
        sla=LatencySLA(30_000),
    )
    answers = [session.answer(frames_of(value)) for value in (1, 2)]
    assert [(answer.arm, answer.fell_back) for answer in answers] == [("8-NoEnc-B3", False)] * 2
    assert session.link_is_up


def test_a_refused_arm_gets_another_chance(
    make_session: Callable[..., EdgeSession], patient: SessionPolicy
) -> None:
    policy = replace(patient, longest_retry_s=1e-6)
    service = Unreliable({"8-NoEnc-B3": 5})
    session = make_session(LocalTransport(service), policy=policy)
    reasons = [session.answer(frames_of(value)).reason for value in (1, 2)]
    assert (
        reasons
        == ["the server refuses: codes of 16-NoEnc-B3: UNSUPPORTED, expected those that it serves"] * 2
    )
    other = arms.CodesArm(FakeServer("16-NoEnc-B3", 6), CLIP_FORMAT)
    service.arms["16-NoEnc-B3"] = other
    assert session.answer(frames_of(3)).arm == "16-NoEnc-B3"


def test_a_server_that_refuses_everything_leaves_the_device_alone(
    make_session: Callable[..., EdgeSession], patient: SessionPolicy
) -> None:
    session = make_session(
        LocalTransport(Unreliable({})),
        lut=replace(TABLE, rows=TABLE.rows[1:3]),
        policy=replace(patient, longest_retry_s=3600),
    )
    answers = [session.answer(frames_of(value)) for value in range(3)]
    assert [answer.arm for answer in answers] == ["edge-only"] * 3
    assert answers[2].reason == "the server refuses all arms: 8-NoEnc-B3, 16-NoEnc-B3"
    assert [answer.fell_back for answer in answers] == [True] * 3


class Recorder(LocalTransport):
    """Remembers how long each packet was given."""

    timeouts_s: list[float]

    def send(self, packet: bytes, timeout_s: float) -> bytes:
        self.timeouts_s = [*getattr(self, "timeouts_s", []), timeout_s]
        return super().send(packet, timeout_s)


@pytest.mark.parametrize(
    ("sla", "edge_only_ms", "low_s", "high_s"),
    [
        (LatencySLA(30_000), 20_000, 0, 10),  # the device can keep it alone: it gets its 20 s
        (LatencySLA(30_000), 29_999.9, 60, 60),  # no time left to wait: the offload is the better chance
        (LatencySLA(30_000), 50_000, 60, 60),  # the device cannot keep it
        (AccuracySLA(98), 20_000, 60, 60),
    ],
)
def test_a_session_waits_as_long_as_the_sla_allows(
    sla: Any,
    edge_only_ms: float,
    low_s: float,
    high_s: float,
    service: Unreliable,
    make_session: Callable[..., EdgeSession],
) -> None:
    whole, others = (
        replace(TABLE.rows[0], edge_ms=edge_only_ms / 2, encode_ms=edge_only_ms / 2, accuracy=50),
        TABLE.rows[1:2],
    )
    transport = Recorder(service)
    session = make_session(transport, sla=sla, lut=replace(TABLE, rows=(whole, *others)))
    session.answer(frames_of(1))
    hello_s, packet_s = transport.timeouts_s
    assert hello_s == 60
    assert low_s < packet_s <= high_s or packet_s == low_s == high_s


def test_probes_are_counted_apart_and_can_be_taken_between_clips(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    probing = session.refresh()
    assert probing.num_bytes > 0
    assert probing.total_ms > 0
    answer = session.answer(frames_of(1))
    assert answer.probing.num_bytes == 0
    assert answer.bandwidth_mbps > 0
    assert answer.round_trip_ms > 0


def test_the_accuracy_of_a_fallback_counts_for_the_sla(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, sla=AccuracySLA(99.2))
    transport.is_up = False
    assert not session.answer(frames_of(1)).meets_sla
    session.sla = AccuracySLA(99)
    assert session.answer(frames_of(2)).meets_sla


def test_a_session_closes_with_its_block(transport: LocalTransport) -> None:
    arms_ = [RawClipArm(CLIP_FORMAT)]
    with EdgeSession(
        arms_, transport, TABLE, LatencySLA(1), CLIP_FORMAT, estimator=BandwidthEstimator()
    ) as session:
        assert session.answer(frames_of(3)).arm == "server-only"
    transport.is_up = False
    with pytest.raises(LinkError):
        session.answer(frames_of(4))


def test_a_lut_of_other_arms_is_refused(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    message = "must have an arm that the session can run .server-only., found edge-only, 16-NoEnc-B3"
    with pytest.raises(ValueError, match=message):
        make_session(transport, arms=[RawClipArm(CLIP_FORMAT)], lut=replace(TABLE, rows=TABLE.rows[:2]))


def test_a_code_with_a_prior_crosses_shorter_and_comes_out_the_same(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    edge, size = FakeEdge("16-NoEnc-B3"), (2, 2, 2)
    zeros = PriorTables.of_zeros(16, size)
    arrays = {field.name: getattr(zeros, field.name) for field in fields(zeros)}
    arrays["bias"] = np.full_like(zeros.bias, -9000)  # a 0 is nearly sure
    prior = PriorTables(**{**arrays, "output": np.full_like(zeros.output, 1000)})
    edge.code_format = replace(edge.code_format, prior=prior)
    server = FakeServer("16-NoEnc-B3", 6)
    server.code_format = replace(server.code_format, prior=prior)
    service.arms["16-NoEnc-B3"] = arms.CodesArm(server, CLIP_FORMAT)
    answer = make_session(transport, arms=edge_arms(edge)).answer(np.zeros_like(frames_of(0)))
    assert answer.arm == "16-NoEnc-B3"
    assert answer.payload_bytes == len(service.packets[0].payload) == 1
    assert service.packets[0].coding == Coding.CONTEXT
    assert logits_of(answer) == [0, 16]
    assert answer.parts.encode_ms > 1.0


def test_codes_cross_in_a_session_with_headers_of_six_bytes(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, wanted=Wanted())
    answers = [session.answer(frames_of(1)) for _ in range(3)]
    assert service.num_hellos == 1
    assert all(is_short(message) for message in service.messages)
    for answer in answers:
        assert (answer.payload_bytes, answer.packet_bytes) == (16, 22)
        assert answer.answer_bytes == 6 + 4 + 2 * (2 + 2)  # header, times, two classes


def test_a_hello_is_said_before_the_first_clip_and_counted_apart(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    formats = tuple(arm.code_format for arm in edge_arms() if arm.code_format)
    probing, again = session.refresh(), session.refresh()
    assert service.num_hellos == 1
    hello_bytes = len(Hello(formats, ALL_LOGITS).to_bytes())
    assert probing.num_bytes % 4096 == hello_bytes
    assert again.num_bytes == 0


def test_a_server_that_forgot_the_session_is_told_again_within_the_clip(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    first = session.answer(frames_of(1))
    service.sessions = Sessions()
    second, third = (session.answer(frames_of(value)) for value in (2, 3))
    assert [logits_of(each) for each in (first, second, third)] == [[1, 16], [2, 16], [3, 16]]
    assert not second.fell_back
    assert service.num_hellos == 2
    assert second.packet_bytes > 2 * first.packet_bytes  # the code twice, and a hello
    assert third.packet_bytes == first.packet_bytes


def test_a_server_that_knows_no_session_at_all_leads_to_the_fallback(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    service.change = lambda packet, reply: Refusal(0, "who?", Status.NO_SESSION).to_bytes()
    answer = session.answer(frames_of(1))
    assert (answer.fell_back, answer.reason, service.num_hellos) == (True, "the server refuses: who?", 2)
    assert len(service.packets) == 2


def test_after_an_outage_a_hello_is_said_anew(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    session.answer(frames_of(1))
    transport.is_up = False
    assert session.answer(frames_of(2)).fell_back
    transport.is_up = True
    assert session.wait_for_link(60)
    assert not session.answer(frames_of(3)).fell_back
    assert service.num_hellos == 2


@pytest.mark.parametrize("change", [{"mean": (0.5, 0.5, 0.5)}, {"std": (2.0, 1.0, 1.0)}, {"fingerprint": 10}])
def test_another_preprocessing_is_another_model(
    change: dict[str, Any], transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    other = replace(CLIP_FORMAT, **change)
    strangers = [RawClipArm(other), CodesArm(FakeEdge("16-NoEnc-B3", other))]
    session = make_session(transport, arms=[edge_arms()[0], *strangers])
    answers = [session.answer(frames_of(value)) for value in (1, 2)]
    assert [answer.arm for answer in answers] == ["edge-only"] * 2
    assert "fingerprint: expected" in answers[0].reason  # of the raw clip; the codes were not even tried
    assert session.link_is_up


def test_names_stay_on_the_device(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    """The server's task has no names, and a coarser label set: its indices are what crosses."""
    coarse = Classification((LabelSet("all"), LabelSet("coarse", class_of=(0, 0))), "coarse")
    service = Unreliable()
    service.task = coarse
    answer = make_session(LocalTransport(service), wanted=Wanted()).answer(frames_of(1))
    assert answer.answer == TopK((0,), (0.0,))
