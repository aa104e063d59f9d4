"""Windows that overlap cross as updates, and whatever is lost on the way costs a key packet and no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.edge import EdgeAnswer, EdgeSession, GrpcTransport, LocalTransport, SessionPolicy
from approxbit.edge.arms import CodesArm, EdgeArm, EdgeOnlyArm
from approxbit.edge.windows import Windows
from approxbit.engines.runner import ClipFormat, EdgeResult, ServerResult, WholeResult
from approxbit.errors import LinkError
from approxbit.select import LUT, AccuracySLA, LatencySLA, LUTRow
from approxbit.server import GrpcServer, Service, arms
from approxbit.server.sessions import Sessions
from approxbit.tasks import Classification
from approxbit.wire import (
    AnswerKind,
    CodeFormat,
    Coding,
    Hello,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Status,
    Wanted,
    pack,
    read_sent,
)

TIMES, NUM_FRAMES = 4, 8
NAMES = ("4-NoEnc-B3", "4-NoEnc-B5")
CLIP_FORMAT = ClipFormat(num_frames=NUM_FRAMES, size=2, fingerprint=9)
TASK = Classification.of_names()


def tables(trust: int = 0) -> PriorTables:
    """Under which a bit is 0 with one nat; or, with `trust`, is what the guess says with so many nats."""
    grid, nothing = (TIMES, 8, 8), np.zeros(0, np.int16)
    bias = np.zeros((4, 1, TIMES + 16), np.int16)
    bias[:, :, :TIMES] = 0 if trust else -1024
    before, earlier = np.zeros((4, 13, 1), np.int16), np.zeros((6, 0, 1), np.int16)
    reference = np.full((4, 1 if trust else 0, 1), 1024 * trust, np.int16)
    output = np.full((4, 1), 2048, np.int16)
    update = None if trust else tables(4)
    return PriorTables(grid, 0, before, earlier, reference, bias, output, nothing, nothing, update=update)


PRIOR = tables()


def code_format(name: str) -> CodeFormat:
    return CodeFormat(Configuration.parse(name), (TIMES, 8, 8), fingerprint=5, prior=PRIOR)


class Edge:
    """Each two frames become the same few bits of their own, wherever in the window they are."""

    clip_format = CLIP_FORMAT

    def __init__(self, name: str):
        self.code_format = code_format(name)

    def run(self, clip: np.ndarray) -> EdgeResult:
        numbers = np.rint(clip[0, ::2, 0, 0] * 255).astype(int)
        steps = [(np.random.default_rng(number).random((4, 64)) < 0.1).astype(np.uint8) for number in numbers]
        return EdgeResult(pack(np.concatenate(steps, axis=1)), edge_ms=2.0, encode_ms=1.0)


class Server:
    """Its logits are the code's bytes."""

    def __init__(self, name: str):
        self.code_format = code_format(name)

    def run(self, payloads: Sequence[bytes]) -> ServerResult:
        rows = [np.frombuffer(payload, np.uint8) for payload in payloads]
        return ServerResult(np.stack(rows).astype(np.float32), 0.25, 0.5)


class Whole:
    clip_format = CLIP_FORMAT

    def run(self, clip: np.ndarray) -> WholeResult:
        return WholeResult(np.array([-1], np.float32), whole_ms=4.0)


class Recording(Service):
    """Remembers the packets, and may lose or change replies."""

    def __init__(self) -> None:
        super().__init__([arms.CodesArm(Server(name), CLIP_FORMAT) for name in NAMES], TASK)
        self.packets: list[Packet] = []
        self.change: Callable[[bytes, bytes], bytes] = lambda packet, reply: reply

    def answer(self, message: bytes, is_wanted: Callable[[], bool] = lambda: True, client: str = "") -> bytes:
        received = read_sent(message, self.sessions.bindings)
        reply = super().answer(message, is_wanted, client)
        if isinstance(received, Hello):
            return reply
        assert isinstance(received, Packet)
        self.packets.append(received)
        return self.change(message, reply)

    @property
    def codings(self) -> list[int]:
        return [packet.coding for packet in self.packets]


EDGE_MS = {"edge-only": 50_000, NAMES[0]: 2000, NAMES[1]: 1000}


def lut(*arms: str) -> LUT:
    """Arms of which the first ones are the most accurate."""
    rows = tuple(
        LUTRow(arm, EDGE_MS[arm], 0, 0, 0, 0, accuracy=90 - number) for number, arm in enumerate(arms)
    )
    return LUT(rows, *("nothing measured", "none", "2026-01-01", 1))


def edge_arms(*runners: Edge) -> list[EdgeArm]:
    codes = [CodesArm(runner) for runner in runners or map(Edge, NAMES)]
    return [EdgeOnlyArm(Whole(), TASK), *codes]


@pytest.fixture
def service() -> Recording:
    return Recording()


@pytest.fixture
def make_arguments() -> Callable[[], dict[str, Any]]:
    return lambda: {
        "arms": edge_arms(),
        "lut": lut(NAMES[0], "edge-only"),
        "sla": LatencySLA(30_000),
        "clip_format": CLIP_FORMAT,
        "wanted": Wanted(AnswerKind.LOGITS, 0),
    }


def frames_from(start: int) -> np.ndarray:
    numbers = np.arange(start, start + NUM_FRAMES, dtype=np.uint8) // 2
    return np.broadcast_to(numbers[:, None, None, None], CLIP_FORMAT.frames_shape).copy()


def slide(session: EdgeSession, *starts: int, shift: int = 2) -> list[EdgeAnswer]:
    answers = [session.answer(frames_from(start), shift_frames=shift) for start in starts]
    for start, answer in zip(starts, answers, strict=True):
        if not answer.fell_back:
            check_logits(answer, start)
    return answers


def check_logits(answer: EdgeAnswer, start: int) -> None:
    expected = Edge(NAMES[0]).run(CLIP_FORMAT.prepare(frames_from(start))).payload
    assert isinstance(answer.answer, Logits)
    assert bytes(answer.answer.values.astype(np.uint8)) == expected


def keys(answers: list[EdgeAnswer]) -> list[bool]:
    return [answer.is_key for answer in answers]


def test_windows_that_overlap_cross_as_updates(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    answers = slide(session, 0, 2, 4, 6, 8)
    assert keys(answers) == [True, False, False, False, False]
    assert service.codings == [Coding.CONTEXT, *[Coding.UPDATE] * 4]
    assert [answer.payload_bytes for answer in answers] == [len(each.payload) for each in service.packets]
    assert max(answer.payload_bytes for answer in answers[1:]) < answers[0].payload_bytes
    assert [each.place.steps for each in service.packets[1:] if each.place] == [1] * 4


def test_updates_cross_over_grpc(service: Recording, make_session: Callable[..., EdgeSession]) -> None:
    with GrpcServer(service) as server, GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        assert keys(slide(make_session(transport), 0, 2, 4)) == [True, False, False]


def test_without_a_shift_no_packet_is_in_a_stream(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    for start in (0, 2):
        answer = session.answer(frames_from(start))
        check_logits(answer, start)
        assert answer.is_key
    assert [packet.place for packet in service.packets] == [None, None]


def test_a_clip_without_a_shift_ends_the_stream(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    slide(session, 0, 2)
    session.answer(frames_from(90))
    assert keys(slide(session, 4, 6)) == [True, False]


def test_key_packets_come_regularly(
    service: Recording, make_session: Callable[..., EdgeSession], patient: SessionPolicy
) -> None:
    session = make_session(LocalTransport(service), policy=replace(patient, key_every=3))
    assert keys(slide(session, *range(0, 14, 2))) == [True, False, False, True, False, False, True]
    session = make_session(LocalTransport(service), policy=replace(patient, key_every=1))
    assert keys(slide(session, 0, 2, 4)) == [True] * 3


def test_windows_that_do_not_overlap_cross_as_key_packets(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    assert keys(slide(session, 0, 8, 16, shift=8)) == [True] * 3
    assert keys(slide(session, 20, shift=4)) == [False]


def test_an_update_that_would_be_longer_crosses_as_a_key_packet(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    assert keys(slide(session, 0, 6, shift=6)) == [True, True]  # three of its four steps are new
    assert keys(slide(session, 8)) == [False]


def test_a_lost_answer_costs_a_key_packet(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    slide(session, 0, 2)
    service.change = lambda packet, reply: b""
    assert slide(session, 4)[0].fell_back
    service.change = lambda packet, reply: reply
    assert session.wait_for_link(60)
    answers = slide(session, 6, 8)
    assert keys(answers) == [True, False]
    assert not any(answer.fell_back for answer in answers)


def forget_codes(service: Service) -> None:
    for session in service.sessions._sessions.values():
        session.codes.clear()


def test_a_server_that_forgot_is_told_again_at_once(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    """As when other sessions took the room."""
    session = make_session(LocalTransport(service))
    slide(session, 0, 2)
    forget_codes(service)
    (answer,) = slide(session, 4)
    assert (answer.fell_back, answer.is_key, session.link_is_up) == (False, True, True)
    assert [packet.sequence for packet in service.packets] == [0, 1, 2, 2]
    assert service.codings[2:] == [Coding.UPDATE, Coding.CONTEXT]
    assert answer.payload_bytes == sum(len(packet.payload) for packet in service.packets[2:])
    assert answer.packet_bytes == answer.payload_bytes + 6 + (6 + 4)
    assert keys(slide(session, 6)) == [False]


def test_a_server_that_dies_and_comes_back_is_told_again(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    server = GrpcServer(service)
    with GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        session = make_session(transport)
        with server:
            answers = slide(session, 0, 2)
        answers += slide(session, 4)
        with GrpcServer(Recording(), server.port):
            assert session.wait_for_link(60)
            answers += slide(session, 6, 8)
        session.close()
    assert [answer.fell_back for answer in answers] == [False, False, True, False, False]
    assert keys(answers) == [True, False, False, True, False]


def test_a_server_that_remembers_nothing_still_answers(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    service.sessions = Sessions(max_code_bytes=0)
    answers = slide(make_session(LocalTransport(service)), 0, 2, 4)
    assert keys(answers) == [True] * 3
    assert service.codings == [Coding.CONTEXT, *[Coding.UPDATE, Coding.CONTEXT] * 2]


def test_a_server_that_wants_a_key_whatever_it_gets_leads_to_the_fallback(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service))
    slide(session, 0)
    service.change = lambda packet, reply: Refusal(1, "once more", Status.NEEDS_KEY).to_bytes()
    (answer,) = slide(session, 2)
    assert (answer.fell_back, answer.is_key, answer.arm) == (True, False, "edge-only")
    assert service.codings[1:] == [Coding.UPDATE, Coding.CONTEXT]


def test_another_configuration_starts_with_a_key_packet(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service), lut=lut(*NAMES))
    answers = slide(session, 0, 2)
    session.sla = LatencySLA(1500)
    answers += slide(session, 4, 6)
    assert [answer.arm for answer in answers] == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert keys(answers) == [True, False, True, False]


def test_shifts_add_up_over_clips_that_the_device_answers(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    session = make_session(LocalTransport(service), lut=lut("edge-only", NAMES[0]))
    slide(session, 0)
    session.sla = AccuracySLA(89.5)
    alone = session.answer(frames_from(2), shift_frames=2)
    session.sla = LatencySLA(30_000)
    (answer,) = slide(session, 4)
    assert (alone.arm, alone.is_key, answer.is_key) == ("edge-only", False, False)
    assert service.packets[1].place is not None
    assert (service.packets[1].place.back, service.packets[1].place.steps) == (2, 2)


def test_two_streams_at_once_do_not_disturb_each_other(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    sessions = [make_session(LocalTransport(service)) for _ in range(2)]
    answers = [slide(session, start)[0] for start in (0, 2, 4) for session in sessions]
    answers += slide(sessions[0], 6, 8) + slide(sessions[1], 6)
    assert keys(answers) == [True, True] + [False] * 7
    assert len({packet.binding for packet in service.packets}) == 2
    assert service.sessions.num_sessions == 2


def test_a_codec_without_tables_of_updates_sends_as_ever(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    edge = Edge(NAMES[0])
    edge.code_format = replace(edge.code_format, prior=replace(PRIOR, update=None))
    answers = slide(make_session(LocalTransport(service), arms=edge_arms(edge)), 0, 2)
    assert keys(answers) == [True, True]
    assert [packet.place for packet in service.packets] == [None, None]


def test_a_shift_that_is_negative_is_a_mistake(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    with pytest.raises(ValueError, match="shift_frames must be 0 or more, found -1"):
        make_session(LocalTransport(service)).answer(frames_from(0), shift_frames=-1)
    with pytest.raises(ValueError, match="key_every must be at least 1, found 0"):
        Windows(8, key_every=0)


def test_a_failure_without_fallback_is_followed_by_a_key_packet(
    service: Recording, make_session: Callable[..., EdgeSession]
) -> None:
    transport = LocalTransport(service)
    session = make_session(transport, arms=edge_arms()[1:], lut=lut(NAMES[0]))
    slide(session, 0)
    transport.is_up = False
    with pytest.raises(LinkError):
        session.answer(frames_from(2), shift_frames=2)
    transport.is_up = True
    assert session.wait_for_link(60)
    assert keys(slide(session, 4)) == [True]
