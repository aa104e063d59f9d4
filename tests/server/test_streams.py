"""Codes of streams are kept within bounds, and an update is read with its own earlier code or not at all."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from approxbit.configuration import Configuration
from approxbit.engines.runner import ClipFormat, ServerResult, WholeResult
from approxbit.errors import WireError
from approxbit.server import Service
from approxbit.server.streams import BYTES_PER_CODE, CODES_PER_STREAM, StreamCodes, StreamKey
from approxbit.wire import (
    Answer,
    AnswerKind,
    CodeFormat,
    Coding,
    Logits,
    Packet,
    PriorTables,
    Refusal,
    Request,
    Status,
    Wanted,
    WindowPlace,
    pack,
    read_reply,
    unpack,
)
from approxbit.wire.coding import encode_planes
from approxbit.wire.entropy import Reference

ALL_LOGITS = Request(wanted=Wanted(AnswerKind.LOGITS, 0))
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
FORMAT = CodeFormat(Configuration.parse(NAME), GRID, fingerprint=7, prior=PRIOR)


class Echo:
    """Its logits are the code's bytes."""

    def __init__(self, code_format: CodeFormat = FORMAT):
        self.code_format = code_format

    def run(self, payloads: Sequence[bytes]) -> ServerResult:
        rows = [np.frombuffer(payload, np.uint8) for payload in payloads]
        return ServerResult(np.stack(rows).astype(np.float32), 0.5, 1.0)


class Whole:
    clip_format = ClipFormat(num_frames=4, size=4)

    def run(self, clip: np.ndarray) -> WholeResult:
        raise AssertionError("no clip is sent here")


def video(seed: int, num_steps: int = 40) -> np.ndarray:
    """Bits of a long video, [bit, time, position]; few are 1."""
    return (np.random.default_rng(seed).random((4, num_steps, 4)) < 0.1).astype(np.uint8)


def window(seed: int, start: int) -> bytes:
    return pack(np.ascontiguousarray(video(seed)[:, start : start + 4].reshape(4, 16)))


def key(seed: int, start: int, sequence: int, stream: int = 1, **changes: object) -> Packet:
    packet = FORMAT.packet(window(seed, start), sequence, stream, request=ALL_LOGITS)
    assert packet.coding != Coding.UPDATE
    return replace(packet, **changes)  # type: ignore[arg-type]


def update(seed: int, start: int, sequence: int, stream: int = 1, back: int = 1) -> Packet:
    """One time step on for each step back."""
    earlier = window(seed, start - back)
    planes, others = unpack(window(seed, start), 4, 16), unpack(earlier, 4, 16)
    coding, payload = encode_planes(planes, PRIOR, Reference(others, back))
    assert coding == Coding.UPDATE
    rest = {"coding": coding, "payload": payload, "place": WindowPlace.after(earlier, back, steps=back)}
    return replace(key(seed, start, sequence, stream), **rest)


@pytest.fixture
def service() -> Service:
    return Service(Whole(), {NAME: Echo()})


def expect_answer(service: Service, packet: Packet, code: bytes) -> None:
    reply = read_reply(service.answer(packet.to_bytes()))
    assert isinstance(reply, Answer), reply
    assert reply.sequence == packet.sequence
    assert reply.content == Logits(np.frombuffer(code, np.uint8).astype(np.float32))


def expect_refusal(service: Service, packet: Packet, status: Status) -> Refusal:
    reply = read_reply(service.answer(packet.to_bytes()))
    assert isinstance(reply, Refusal)
    assert (reply.status, reply.sequence) == (status, packet.sequence)
    return reply


def test_updates_are_shorter_and_are_answered_as_their_codes_would_be(service: Service) -> None:
    expect_answer(service, key(1, 0, 0), window(1, 0))
    for start in range(1, 12):
        packet = update(1, start, start)
        assert len(packet.payload) < len(key(1, start, start).payload)
        expect_answer(service, packet, window(1, start))


def test_an_update_without_its_earlier_code_needs_a_key(service: Service) -> None:
    refusal = expect_refusal(service, update(1, 1, 1), Status.NEEDS_KEY)
    assert refusal.reason == "code 0 is not here"
    assert service.stream_codes.num_bytes == 0
    expect_answer(service, key(1, 1, 1), window(1, 1))
    expect_answer(service, update(1, 2, 2), window(1, 2))


def test_an_earlier_code_of_another_content_is_not_taken(service: Service) -> None:
    expect_answer(service, key(2, 0, 0), window(2, 0))
    expect_refusal(service, update(1, 1, 1), Status.NEEDS_KEY)


@pytest.mark.parametrize("order", list(itertools.permutations(range(1, 4))))
def test_packets_that_overtake_each_other_are_answered_rightly(
    order: tuple[int, ...], service: Service
) -> None:
    """All three were coded against packet 0, so that their order does not matter."""
    expect_answer(service, key(1, 0, 0), window(1, 0))
    for start in order:
        expect_answer(service, update(1, start, start, back=start), window(1, start))


def test_an_update_that_overtakes_its_earlier_code_needs_a_key(service: Service) -> None:
    expect_answer(service, key(1, 0, 0), window(1, 0))
    expect_refusal(service, update(1, 2, 2), Status.NEEDS_KEY)
    expect_answer(service, update(1, 1, 1), window(1, 1))
    expect_answer(service, update(1, 2, 2), window(1, 2))


def test_a_packet_that_comes_twice_is_answered_twice(service: Service) -> None:
    expect_answer(service, key(1, 0, 0), window(1, 0))
    for _ in range(3):
        expect_answer(service, update(1, 1, 1), window(1, 1))
    assert service.stream_codes.num_bytes == 2 * (8 + BYTES_PER_CODE)


def test_streams_with_the_same_numbers_do_not_mix(service: Service) -> None:
    for stream in (1, 2):
        expect_answer(service, key(stream, 0, 0, stream), window(stream, 0))
    for start in range(1, 6):
        for stream in (2, 1):
            expect_answer(service, update(stream, start, start, stream), window(stream, start))


def test_streams_are_served_side_by_side() -> None:
    service = Service(Whole(), {NAME: Echo()}, max_in_line=100)

    def serve(stream: int) -> None:
        expect_answer(service, key(stream, 0, 0, stream), window(stream, 0))
        for start in range(1, 10):
            expect_answer(service, update(stream, start, start, stream), window(stream, start))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(serve, range(1, 9)))


def test_a_code_serves_no_other_configuration_and_no_other_weights() -> None:
    other = replace(FORMAT, configuration=Configuration.parse("4-NoEnc-B5"))
    service = Service(Whole(), {NAME: Echo(), "4-NoEnc-B5": Echo(other)})
    packet = replace(key(1, 0, 0), configuration=other.configuration)
    expect_answer(service, packet, window(1, 0))
    expect_refusal(service, update(1, 1, 1), Status.NEEDS_KEY)

    newer = Service(Whole(), {NAME: Echo(replace(FORMAT, fingerprint=8))}, 6, service.stream_codes)
    expect_answer(service, key(1, 0, 0), window(1, 0))
    expect_refusal(newer, replace(update(1, 1, 1), fingerprint=8), Status.NEEDS_KEY)


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
    expect_refusal(service, key(1, 0, 0, fingerprint=8), Status.WRONG_WEIGHTS)
    bad = key(1, 0, 0)
    assert bad.coding == Coding.CONTEXT
    expect_refusal(service, spoilt(bad), Status.MALFORMED)
    expect_refusal(service, replace(bad, configuration=Configuration.parse("4-NoEnc-B9")), Status.UNSUPPORTED)
    assert read_reply(service.answer(bad.to_bytes(), lambda: False)).status == Status.FAILED  # type: ignore[union-attr]
    infinite = ServerResult(np.full((1, 3), np.inf, np.float32), 0, 0)
    for act in (fail, lambda: infinite):
        moody = Service(Whole(), {NAME: Moody(act)}, 6, service.stream_codes)
        expect_refusal(moody, bad, Status.FAILED)
    assert service.stream_codes.num_bytes == 0


def test_an_update_that_cannot_be_read_leaves_the_stream_as_it_was(service: Service) -> None:
    expect_answer(service, key(1, 0, 0), window(1, 0))
    before, good = service.stream_codes.num_bytes, update(1, 1, 1)
    expect_refusal(service, spoilt(good, window(1, 0)), Status.MALFORMED)
    assert service.stream_codes.num_bytes == before
    expect_answer(service, good, window(1, 1))


def test_a_codec_without_tables_of_updates_reads_none() -> None:
    service = Service(Whole(), {NAME: Echo(replace(FORMAT, prior=replace(PRIOR, update=None)))})
    refusal = expect_refusal(service, update(1, 1, 1), Status.UNSUPPORTED)
    assert refusal.reason == "coding: expected one of 0, 1 of 4-NoEnc-B3, found 2"


def test_a_packet_of_no_stream_is_not_kept(service: Service) -> None:
    expect_answer(service, FORMAT.packet(window(1, 0), request=ALL_LOGITS), window(1, 0))
    assert service.stream_codes.num_bytes == 0


def test_a_server_without_memory_still_answers_key_packets() -> None:
    service = Service(Whole(), {NAME: Echo()}, 6, StreamCodes(max_bytes=0))
    expect_answer(service, key(1, 0, 0), window(1, 0))
    expect_refusal(service, update(1, 1, 1), Status.NEEDS_KEY)
    assert service.stream_codes.num_bytes == 0


def stream_key(stream: int) -> StreamKey:
    return StreamKey(stream, FORMAT.configuration, 7)


def has(codes: StreamCodes, stream: int, sequence: int, packed: bytes) -> bool:
    return codes.find(stream_key(stream), sequence, WindowPlace.after(packed, 1, 0)) == packed


def test_a_stream_keeps_its_last_codes() -> None:
    codes = StreamCodes()
    for sequence in range(10):
        codes.keep(stream_key(1), sequence, bytes([sequence]))
    kept = [sequence for sequence in range(10) if has(codes, 1, sequence, bytes([sequence]))]
    assert kept == list(range(10 - CODES_PER_STREAM, 10))
    assert codes.num_bytes == CODES_PER_STREAM * (1 + BYTES_PER_CODE)


def test_the_stream_that_is_silent_for_longest_goes_first() -> None:
    codes = StreamCodes(max_bytes=3 * (100 + BYTES_PER_CODE))
    for stream in (1, 2, 3):
        codes.keep(stream_key(stream), 0, bytes(100))
    assert has(codes, 1, 0, bytes(100))
    codes.keep(stream_key(4), 0, bytes(100))
    assert [has(codes, stream, 0, bytes(100)) for stream in (1, 2, 3, 4)] == [True, False, True, True]


def test_memory_stays_within_its_bound_whatever_comes() -> None:
    codes, source = StreamCodes(max_bytes=20_000), np.random.default_rng(0)
    for sequence in range(3000):
        packed = bytes(int(source.integers(0, 6000)) if sequence % 50 else 30_000)
        codes.keep(stream_key(int(source.integers(0, 200))), sequence % 7, packed)
        assert 0 <= codes.num_bytes <= codes.max_bytes
        kept = [code for stream in codes._streams.values() for code in stream.values()]
        assert codes.num_bytes == sum(len(code) + BYTES_PER_CODE for code in kept)


def test_many_threads_may_keep_and_find() -> None:
    codes, start = StreamCodes(max_bytes=10_000), threading.Barrier(4)

    def work(stream: int) -> None:
        start.wait()
        for sequence in range(300):
            codes.keep(stream_key(stream), sequence, bytes(50))
            has(codes, 3 - stream, sequence, bytes(50))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert codes.num_bytes <= 10_000


def test_a_negative_bound_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="max_bytes must be 0 or more, found -1"):
        StreamCodes(-1)
