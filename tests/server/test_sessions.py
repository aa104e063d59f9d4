"""Sessions and their codes are kept within bounds, and an update is read with its own earlier code or not."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.runner import ClipFormat, ServerResult
from approxbit.errors import WireError
from approxbit.server import Service
from approxbit.server.arms import CodesArm
from approxbit.server.sessions import BYTES_PER_CODE, CODES_PER_SESSION, Sessions
from approxbit.tasks import Classification
from approxbit.wire import (
    Answer,
    AnswerKind,
    Binding,
    CodeFormat,
    Coding,
    Hello,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Reply,
    Request,
    Status,
    Wanted,
    Welcome,
    WindowPlace,
    pack,
    read_reply,
    unpack,
)
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import Reference

ALL_LOGITS = Wanted(AnswerKind.LOGITS, 0)
CLIP_FORMAT = ClipFormat(num_frames=4, size=4)
TASK = Classification.of_names()
NAME, GRID = "4-NoEnc-B3", (4, 2, 2)


def tables(logit: int = -1, trust: int = 0) -> PriorTables:
    """Under which a bit is 1 with `logit` nats; or, with `trust`, what the guess says with so many nats."""
    bias, nothing = np.zeros((4, 1, 8), np.int16), np.zeros(0, np.int16)
    bias[:, :, : GRID[0]] = 1024 * logit
    before, earlier = np.zeros((4, 13, 1), np.int16), np.zeros((6, 0, 1), np.int16)
    reference = np.full((4, 1 if trust else 0, 1), 1024 * trust, np.int16)
    output = np.full((4, 1), 2048, np.int16)
    update = None if trust else tables(0, 4)
    return PriorTables(GRID, 0, before, earlier, reference, bias, output, nothing, nothing, update=update)


PRIOR = tables()
OWN = CodeFormat(Configuration.parse(NAME), GRID, fingerprint=7, prior=PRIOR)
FORMAT = CLIP_FORMAT.link_format(OWN)
OTHER = replace(OWN, configuration=Configuration.parse("4-NoEnc-B5"))


class Echo:
    """Its logits are the code's bytes."""

    def __init__(self, code_format: CodeFormat = OWN):
        self.code_format = code_format

    def run(self, payloads: Sequence[bytes]) -> ServerResult:
        rows = [np.frombuffer(payload, np.uint8) for payload in payloads]
        return ServerResult(np.stack(rows).astype(np.float32), 0.5, 1.0)


def serve(*runners: Echo, sessions: Sessions | None = None, max_in_line: int = 6) -> Service:
    codes = [CodesArm(runner, CLIP_FORMAT) for runner in runners or [Echo()]]
    return Service(codes, TASK, max_in_line, sessions)


@pytest.fixture
def service() -> Service:
    return serve()


def greet(service: Service, *formats: CodeFormat, client: str = "") -> tuple[Binding, ...]:
    """The bindings of a new session."""
    hello = Hello(formats or (FORMAT,), ALL_LOGITS)
    welcome = read_reply(service.answer(hello.to_bytes(), client=client))
    assert isinstance(welcome, Welcome), welcome
    return tuple(hello.bindings(welcome).values())


def video(seed: int, num_steps: int = 40) -> np.ndarray:
    """Bits of a long video, [bit, time, position]; few are 1."""
    return (np.random.default_rng(seed).random((4, num_steps, 4)) < 0.1).astype(np.uint8)


def window(seed: int, start: int) -> bytes:
    return pack(np.ascontiguousarray(video(seed)[:, start : start + 4].reshape(4, 16)))


def key(binding: Binding, seed: int, start: int, sequence: int) -> Packet:
    packet = binding.code_format.packet(window(seed, start), sequence, binding.number)
    assert packet.coding != Coding.UPDATE
    return packet


def update(binding: Binding, seed: int, start: int, sequence: int, back: int = 1) -> Packet:
    """One time step on for each step back."""
    earlier = window(seed, start - back)
    planes, others = unpack(window(seed, start), 4, 16), unpack(earlier, 4, 16)
    coding, payload = encode_planes(planes, PRIOR, Reference(others, back))
    assert coding == Coding.UPDATE
    place = WindowPlace.after(earlier, back, steps=back)
    return replace(key(binding, seed, start, sequence), coding=coding, payload=payload, place=place)


def ask(service: Service, binding: Binding, packet: Packet) -> Reply:
    return read_reply(service.answer(binding.write(packet)), {binding.number: binding})


def expect_answer(service: Service, binding: Binding, packet: Packet, code: bytes) -> None:
    reply = ask(service, binding, packet)
    assert isinstance(reply, Answer), reply
    assert reply.sequence == packet.sequence % 256
    assert reply.content == Logits(np.frombuffer(code, np.uint8).astype(np.float32))


def expect_refusal(service: Service, binding: Binding, packet: Packet, status: Status) -> Refusal:
    reply = ask(service, binding, packet)
    assert isinstance(reply, Refusal)
    assert reply.status == status
    return reply


def test_a_hello_has_a_number_for_each_format_and_says_what_is_not_served(service: Service) -> None:
    others = (
        CLIP_FORMAT.link_format(OTHER),
        replace(FORMAT, fingerprint=FORMAT.fingerprint ^ 1),
        replace(FORMAT, feature_size=(4, 2, 4), prior=None),
        FORMAT,
    )
    welcome = read_reply(service.answer(Hello(others).to_bytes()))
    assert isinstance(welcome, Welcome)
    assert welcome.refused == (Status.UNSUPPORTED, Status.WRONG_WEIGHTS, Status.UNSUPPORTED, None)
    assert list(service.sessions.bindings) == [welcome.binding + 3]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"fingerprint": OWN.fingerprint}, Status.WRONG_WEIGHTS),
        ({"num_tokens": 1, "prior": None}, Status.UNSUPPORTED),
    ],
)
def test_a_hello_of_nothing_that_is_served_is_refused(
    changes: dict[str, object], status: Status, service: Service
) -> None:
    hello = Hello((replace(FORMAT, **changes),), sequence=3)  # type: ignore[arg-type]
    refusal = read_reply(service.answer(hello.to_bytes()))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.sequence) == (status, 3)
    assert "expected one of 4-NoEnc-B3, of the same weights and preprocessing" in refusal.reason
    assert service.sessions.num_sessions == 0


def test_a_hello_that_wants_text_is_refused(service: Service) -> None:
    refusal = read_reply(service.answer(Hello((FORMAT,), Wanted(AnswerKind.TEXT, 0)).to_bytes()))
    assert isinstance(refusal, Refusal)
    assert refusal.status == Status.UNSUPPORTED


def test_a_short_packet_of_no_session_is_refused(service: Service) -> None:
    (binding,) = greet(service)
    packet = key(binding, 1, 0, 0)
    fresh = serve()
    assert expect_refusal(fresh, binding, packet, Status.NO_SESSION).sequence == 0
    (stranger,) = greet(fresh)
    assert stranger.number == binding.number  # and another nonce
    expect_refusal(fresh, binding, packet, Status.NO_SESSION)
    expect_answer(fresh, stranger, replace(packet, binding=stranger.number), window(1, 0))


def test_a_framed_packet_may_belong_to_a_session_and_no_other_one(service: Service) -> None:
    (binding,) = greet(service)
    framed = replace(key(binding, 1, 0, 300), request=Request(wanted=ALL_LOGITS))
    answer = read_reply(service.answer(framed.to_bytes()))
    assert isinstance(answer, Answer)
    assert answer.sequence == 300
    expect_answer(service, binding, update(binding, 1, 1, 301), window(1, 1))
    lost = read_reply(service.answer(replace(framed, binding=999).to_bytes()))
    assert isinstance(lost, Refusal)
    assert lost.status == Status.NO_SESSION


def test_updates_are_shorter_and_are_answered_as_their_codes_would_be(service: Service) -> None:
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 250), window(1, 0))
    for start in range(1, 12):  # and on past 255
        packet = update(binding, 1, start, 250 + start)
        assert len(packet.payload) < len(key(binding, 1, start, start).payload)
        expect_answer(service, binding, packet, window(1, start))


def test_an_update_without_its_earlier_code_needs_a_key(service: Service) -> None:
    (binding,) = greet(service)
    refusal = expect_refusal(service, binding, update(binding, 1, 1, 1), Status.NEEDS_KEY)
    assert refusal.reason == "code 0 is not here"
    assert service.sessions.code_bytes == 0
    expect_answer(service, binding, key(binding, 1, 1, 1), window(1, 1))
    expect_answer(service, binding, update(binding, 1, 2, 2), window(1, 2))


def test_an_earlier_code_of_another_content_is_not_taken(service: Service) -> None:
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 2, 0, 0), window(2, 0))
    expect_refusal(service, binding, update(binding, 1, 1, 1), Status.NEEDS_KEY)


@pytest.mark.parametrize("order", list(itertools.permutations(range(1, 4))))
def test_packets_that_overtake_each_other_are_answered_rightly(
    order: tuple[int, ...], service: Service
) -> None:
    """All three were coded against packet 0, so that their order does not matter."""
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 0), window(1, 0))
    for start in order:
        expect_answer(service, binding, update(binding, 1, start, start, back=start), window(1, start))


def test_a_packet_that_comes_twice_is_answered_twice(service: Service) -> None:
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 0), window(1, 0))
    for _ in range(3):
        expect_answer(service, binding, update(binding, 1, 1, 1), window(1, 1))
    assert service.sessions.code_bytes == 2 * (8 + BYTES_PER_CODE)


def test_sessions_are_served_side_by_side_and_do_not_mix() -> None:
    service = serve(max_in_line=100)

    def use(seed: int) -> None:
        (binding,) = greet(service)
        expect_answer(service, binding, key(binding, seed, 0, 0), window(seed, 0))
        for start in range(1, 10):
            expect_answer(service, binding, update(binding, seed, start, start), window(seed, start))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(1, 9)))


def test_a_code_serves_no_other_configuration() -> None:
    service = serve(Echo(), Echo(OTHER))
    one, other = greet(service, FORMAT, CLIP_FORMAT.link_format(OTHER))
    expect_answer(service, other, key(other, 1, 0, 0), window(1, 0))
    expect_refusal(service, one, update(one, 1, 1, 1), Status.NEEDS_KEY)


def spoilt(packet: Packet, earlier: bytes | None = None) -> Packet:
    """The packet with a payload that no encoder writes."""
    planes = None if earlier is None else unpack(earlier, 4, 16)
    for last in range(1, 256):
        found = replace(packet, payload=packet.payload[:1].ljust(6, b"\1") + bytes([last]))
        try:
            found.planes(PRIOR, planes)
        except WireError:
            return found
    raise AssertionError("all of them are what an encoder writes")


class Moody(Echo):
    """Gives what no answer can hold, or fails."""

    def __init__(self, act: Callable[[], ServerResult]):
        super().__init__()
        self.act = act

    def run(self, payloads: Sequence[bytes]) -> ServerResult:
        return self.act()


def fail() -> ServerResult:
    raise RuntimeError("out of luck")


def test_nothing_is_kept_of_a_packet_that_is_refused(service: Service) -> None:
    (binding,) = greet(service)
    bad = key(binding, 1, 0, 0)
    assert bad.coding == Coding.CONTEXT
    expect_refusal(service, binding, spoilt(bad), Status.MALFORMED)
    unwanted = read_reply(service.answer(binding.write(bad), lambda: False), {binding.number: binding})
    assert isinstance(unwanted, Refusal)
    infinite = ServerResult(np.full((1, 3), np.inf, np.float32), 0, 0)
    for act in (fail, lambda: infinite):
        moody = serve(Moody(act), sessions=service.sessions)
        expect_refusal(moody, binding, bad, Status.FAILED)
    assert service.sessions.code_bytes == 0


def test_an_update_that_cannot_be_read_leaves_the_session_as_it_was(service: Service) -> None:
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 0), window(1, 0))
    before, good = service.sessions.code_bytes, update(binding, 1, 1, 1)
    expect_refusal(service, binding, spoilt(good, window(1, 0)), Status.MALFORMED)
    assert service.sessions.code_bytes == before
    expect_answer(service, binding, good, window(1, 1))


def test_a_codec_without_tables_of_updates_reads_and_keeps_none() -> None:
    service = serve(Echo(replace(OWN, prior=replace(PRIOR, update=None))))
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 0), window(1, 0))
    assert service.sessions.code_bytes == 0
    refusal = expect_refusal(service, binding, update(binding, 1, 1, 1), Status.UNSUPPORTED)
    assert refusal.reason == "coding: expected one of 0, 1 of 4-NoEnc-B3, found 2"


def test_a_server_without_memory_still_answers_key_packets() -> None:
    service = serve(sessions=Sessions(max_code_bytes=0))
    (binding,) = greet(service)
    expect_answer(service, binding, key(binding, 1, 0, 0), window(1, 0))
    expect_refusal(service, binding, update(binding, 1, 1, 1), Status.NEEDS_KEY)
    assert service.sessions.code_bytes == 0


def open_session(sessions: Sessions, client: str = "", num_formats: int = 1) -> int:
    """The number of the first binding."""
    served: list[CodeFormat | Status] = [Status.UNSUPPORTED] * (num_formats - 1) + [FORMAT]
    return sessions.open(Hello((FORMAT,)), served, client).binding + num_formats - 1


def packet_of(number: int, sequence: int, earlier: bytes | None = None) -> Packet:
    """A packet in a session, or an update of the packet before it."""
    packet = FORMAT.packet(window(1, 0), sequence, number)
    if earlier is None:
        return packet
    return replace(packet, coding=Coding.UPDATE, payload=b"\1", place=WindowPlace.after(earlier, 1, 0))


def has(sessions: Sessions, number: int, sequence: int, code: bytes) -> bool:
    return sessions.find(packet_of(number, sequence + 1, code)) == code


def test_a_session_keeps_its_last_codes() -> None:
    sessions = Sessions()
    number = open_session(sessions)
    for sequence in range(10):
        sessions.keep(packet_of(number, sequence), bytes([sequence]))
    kept = [sequence for sequence in range(10) if has(sessions, number, sequence, bytes([sequence]))]
    assert kept == list(range(10 - CODES_PER_SESSION, 10))
    assert sessions.code_bytes == CODES_PER_SESSION * (1 + BYTES_PER_CODE)


def test_the_codes_of_the_session_that_is_silent_for_longest_go_first() -> None:
    sessions = Sessions(max_code_bytes=3 * (100 + BYTES_PER_CODE))
    numbers = [open_session(sessions) for _ in range(4)]
    for number in numbers[:3]:
        sessions.keep(packet_of(number, 0), bytes(100))
    assert has(sessions, numbers[0], 0, bytes(100))
    sessions.keep(packet_of(numbers[3], 0), bytes(100))
    assert [has(sessions, number, 0, bytes(100)) for number in numbers] == [True, False, True, True]


def test_the_session_that_is_silent_for_longest_makes_room_for_a_new_one() -> None:
    sessions = Sessions(max_sessions=3)
    numbers = [open_session(sessions, client=str(client)) for client in range(3)]
    sessions.keep(packet_of(numbers[0], 0), b"code")
    newest = open_session(sessions, client="3")
    assert (newest, sessions.num_sessions) == (numbers[1], 3)  # in its place
    assert set(sessions.bindings) == set(numbers)
    assert has(sessions, numbers[0], 0, b"code")


def test_a_client_that_says_nothing_but_hello_harms_itself_alone() -> None:
    sessions = Sessions(max_sessions=10, max_per_client=2)
    honest = open_session(sessions, client="honest")
    for _ in range(100):
        open_session(sessions, client="loud", num_formats=255)
    assert sessions.num_sessions == 3
    assert honest in sessions.bindings


def test_numbers_never_run_out() -> None:
    sessions, source = Sessions(max_per_client=1024), np.random.default_rng(0)
    for _ in range(1000):
        newest = open_session(sessions, num_formats=int(source.integers(1, 256)))
        assert newest in sessions.bindings
    ends = [0]
    for first, each in sorted(sessions._sessions.items()):
        assert first > ends[-1]
        ends.append(first + each.count - 1)
    assert ends[-1] <= 65535
    assert 400 < sessions.num_sessions < 700  # as many as have room: 65535 / 128


def test_memory_stays_within_its_bound_whatever_comes() -> None:
    sessions, source = Sessions(max_sessions=50, max_code_bytes=20_000), np.random.default_rng(0)
    numbers = [open_session(sessions, str(client)) for client in range(50)]
    for sequence in range(3000):
        code = bytes(int(source.integers(0, 6000)) if sequence % 50 else 30_000)
        if sequence % 20 == 0:
            numbers.append(open_session(sessions, str(sequence)))
        sessions.keep(packet_of(numbers[int(source.integers(0, len(numbers)))], sequence % 7), code)
        assert 0 <= sessions.code_bytes <= sessions.max_code_bytes
        kept = [code for each in sessions._sessions.values() for code in each.codes.values()]
        assert sessions.code_bytes == sum(len(code) + BYTES_PER_CODE for code in kept)
        assert len(sessions._owners) == len(sessions.bindings) == sessions.num_sessions == 50


def test_many_threads_may_open_keep_and_find() -> None:
    sessions, start = Sessions(max_sessions=3, max_code_bytes=10_000), threading.Barrier(4)

    def work(client: int) -> None:
        start.wait()
        for sequence in range(200):
            number = open_session(sessions, str(client))
            sessions.keep(packet_of(number, sequence), bytes(50))
            has(sessions, number, sequence, bytes(50))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sessions.code_bytes <= 10_000
    assert sessions.num_sessions <= 3


@pytest.mark.parametrize(
    ("name", "value", "least"), [("max_sessions", 0, 1), ("max_per_client", 0, 1), ("max_code_bytes", -1, 0)]
)
def test_a_bound_below_its_least_is_a_mistake(name: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be {least} or more, found {value}"):
        Sessions(**{name: value})
