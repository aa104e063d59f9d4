"""Every clip has exactly one answer, whatever the server and the link do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.edge import EdgeSession, GrpcTransport, LocalTransport, SessionPolicy
from approxbit.engines.runner import ClipFormat, EdgeResult, ServerResult, WholeResult
from approxbit.errors import LinkError
from approxbit.link import BandwidthEstimator
from approxbit.select import LUT, AccuracySLA, LatencySLA, LUTRow
from approxbit.server import GrpcServer, Service
from approxbit.wire import Answer, CodeFormat, Coding, Packet, PriorTables, Refusal, Status

CLIP_FORMAT = ClipFormat(num_frames=2, size=4, fingerprint=9)
FINGERPRINTS = {"8-NoEnc-B3": 5, "16-NoEnc-B3": 6}
TABLE = LUT(
    (
        LUTRow("edge-only", 50_000, 0, 0, 0, 0, accuracy=99),
        LUTRow("16-NoEnc-B3", 2000, 0, 16, 0, 0, accuracy=98),
        LUTRow("8-NoEnc-B3", 1000, 0, 8, 0, 0, accuracy=90),
        LUTRow("server-only", 0, 0, 96, 0, 40_000, accuracy=99.5),
    ),
    *("nothing measured", "none", "2026-01-01", 1),
)


def code_format(name: str, fingerprint: int) -> CodeFormat:
    return CodeFormat(Configuration.parse(name), (2, 2, 2), fingerprint=fingerprint)


class FakeEdge:
    """Its code is the clip's first value, again and again."""

    def __init__(self, name: str):
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
        return WholeResult(
            np.array([round(float(clip.flat[0]) * 255), self.number], np.float32), whole_ms=4.0
        )


class Unreliable(Service):
    """A service that can be told to answer something else."""

    def __init__(self, fingerprints: dict[str, int] = FINGERPRINTS):
        runners = {name: FakeServer(name, fingerprint) for name, fingerprint in fingerprints.items()}
        super().__init__(FakeWhole(number=100), runners)
        self.change: Callable[[bytes, bytes], bytes] = lambda packet, reply: reply
        self.sequences: list[int] = []

    def answer(self, packet: bytes, is_wanted: Callable[[], bool] = lambda: True) -> bytes:
        self.sequences.append(Packet.from_bytes(packet).sequence)
        return self.change(packet, super().answer(packet, is_wanted))


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
        "runners": {name: FakeEdge(name) for name in FINGERPRINTS},
        "lut": TABLE,
        "sla": LatencySLA(30_000),
        "clip_format": CLIP_FORMAT,
        "whole": FakeWhole(number=0),
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
    ]:
        session.sla = sla
        answer = session.answer(frames_of(7))
        assert (answer.arm, answer.payload_bytes, answer.logits.tolist()) == (arm, payload_bytes, logits)
        assert answer.packet_bytes > payload_bytes
        assert (answer.fell_back, answer.reason) == (False, "")
        assert answer.choice is not None
        assert answer.choice.arm == arm


def test_clips_are_numbered_from_0_up(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    answers = [session.answer(frames_of(value)) for value in range(5)]
    assert [answer.sequence for answer in answers] == service.sequences == [0, 1, 2, 3, 4]
    assert [answer.logits[0] for answer in answers] == [0, 1, 2, 3, 4]


def test_the_parts_add_up_to_the_latency(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    answer = make_session(transport).answer(frames_of(7))
    assert (answer.parts.edge_ms, answer.parts.decode_ms, answer.parts.server_ms) == (2.0, 0.25, 0.5)
    assert answer.parts.encode_ms > 1.0
    assert min(answer.parts.prepare_ms, answer.latency_ms) > 0
    assert answer.parts.total_ms == sum(vars(answer.parts).values())


def test_frames_are_cropped_unless_the_clip_is_ready(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport)
    wide = np.full((2, 4, 9, 3), 7, np.uint8)
    assert session.answer(wide).logits[0] == 7
    ready = np.full((3, 2, 4, 4), 9 / 255, np.float32)
    assert session.answer(wide, ready).logits[0] == 9


def test_edge_only_needs_no_server_when_it_is_the_best(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    quick = replace(TABLE, rows=(replace(TABLE.row("edge-only"), edge_ms=1.0), *TABLE.rows[1:3]))
    answer = make_session(transport, lut=quick).answer(frames_of(7))
    assert (answer.arm, answer.fell_back, answer.packet_bytes) == ("edge-only", False, 0)
    assert answer.logits.tolist() == [7, 0]
    assert answer.parts.edge_ms == 4.0
    assert service.sequences == []


def broken_reply(packet: bytes, reply: bytes) -> bytes:
    return reply[:-1]


def late_reply(packet: bytes, reply: bytes) -> bytes:
    answer = Answer.from_bytes(reply)
    return replace(answer, sequence=answer.sequence + 5).to_bytes()


def busy_reply(packet: bytes, reply: bytes) -> bytes:
    return Refusal(Packet.from_bytes(packet).sequence, "come again", Status.BUSY).to_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packet, reply: b"", "message: expected at least 20 bytes"),
        (lambda packet, reply: b"hello world, this is no answer", "magic: expected"),
        (lambda packet, reply: packet, "kind: expected"),
        (broken_reply, "body_bytes: expected"),
        (late_reply, "the reply must be to packet 0, found one to packet 5"),
        (busy_reply, "the server refuses packet 0: come again"),
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
    assert (answer.arm, answer.fell_back, answer.logits.tolist()) == ("edge-only", True, [7, 0])
    assert reason in answer.reason
    assert answer.parts.edge_ms == 4.0
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
    assert [answer.logits.tolist() for answer in answers] == [[0, 16], [1, 0], [2, 0], [3, 0], [4, 16]]
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
    assert [answer.logits.tolist() for answer in answers] == [[0, 16], [1, 0], [2, 0], [3, 16]]
    assert [answer.sequence for answer in answers] == [0, 1, 2, 3]


def test_without_a_whole_model_a_failure_is_raised(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(transport, whole=None)
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
    assert answers[0].fell_back
    assert "load the same weights on both sides of the link" in answers[0].reason
    assert session.link_is_up
    assert (answers[1].arm, answers[1].fell_back) == ("8-NoEnc-B3", False)


def test_a_refused_arm_gets_another_chance(
    make_session: Callable[..., EdgeSession], patient: SessionPolicy
) -> None:
    policy = replace(patient, longest_retry_s=1e-6)
    session = make_session(LocalTransport(Unreliable({"8-NoEnc-B3": 5})), policy=policy)
    answers = [session.answer(frames_of(value)) for value in (1, 2)]
    assert all("expected one of 8-NoEnc-B3" in answer.reason for answer in answers)


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
    assert answers[2].reason == "the server refuses all arms: 16-NoEnc-B3, 8-NoEnc-B3"
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
    whole, others = replace(TABLE.rows[0], edge_ms=edge_only_ms, accuracy=50), TABLE.rows[1:2]
    transport = Recorder(service)
    session = make_session(transport, sla=sla, lut=replace(TABLE, rows=(whole, *others)))
    session.answer(frames_of(1))
    assert len(transport.timeouts_s) == 1
    assert low_s < transport.timeouts_s[0] <= high_s or transport.timeouts_s[0] == low_s == high_s


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
    with EdgeSession(
        {}, transport, TABLE, LatencySLA(1), CLIP_FORMAT, estimator=BandwidthEstimator()
    ) as session:
        assert session.answer(frames_of(3)).arm == "server-only"
    transport.is_up = False
    with pytest.raises(LinkError):
        session.answer(frames_of(4))


def test_a_runner_under_another_name_is_refused(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    with pytest.raises(ValueError, match=r"runners\['64-Enc-B8'\] is a runner of 8-NoEnc-B3"):
        make_session(transport, runners={"64-Enc-B8": FakeEdge("8-NoEnc-B3")})


def test_a_lut_of_other_arms_is_refused(
    transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    message = "must have an arm that the session can run .server-only., found edge-only, 16-NoEnc-B3"
    with pytest.raises(ValueError, match=message):
        make_session(transport, runners={}, whole=None, lut=replace(TABLE, rows=TABLE.rows[:2]))


def test_a_code_with_a_prior_crosses_shorter_and_comes_out_the_same(
    service: Unreliable, transport: LocalTransport, make_session: Callable[..., EdgeSession]
) -> None:
    edge, size = FakeEdge("16-NoEnc-B3"), (2, 2, 2)
    zeros = PriorTables.of_zeros(16, size)
    arrays = {field.name: getattr(zeros, field.name) for field in fields(zeros)}
    arrays["bias"] = np.full_like(zeros.bias, -9000)  # a 0 is nearly sure
    prior = PriorTables(**{**arrays, "output": np.full_like(zeros.output, 1000)})
    edge.code_format = replace(edge.code_format, prior=prior)
    server = service.server_runners["16-NoEnc-B3"]
    server.code_format = replace(server.code_format, prior=prior)  # type: ignore[misc]
    seen = []
    service.change = lambda packet, reply: seen.append(Packet.from_bytes(packet)) or reply
    session = make_session(transport, runners={"16-NoEnc-B3": edge})
    answer = session.answer(np.zeros_like(frames_of(0)))
    assert answer.arm == "16-NoEnc-B3"
    assert answer.payload_bytes == len(seen[0].payload) == 1
    assert seen[0].coding == Coding.CONTEXT
    assert answer.logits.tolist() == [0, 16]
    assert answer.parts.encode_ms > 1.0
