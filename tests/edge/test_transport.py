"""The three calls, over gRPC on this machine and inside one process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from approxbit.edge import GrpcTransport, LocalTransport, Transport
from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.server import GrpcServer
from approxbit.wire import protocol

PATIENCE_S = 60.0


class Receiver:
    """Says what it was told to say; by default the packet backwards."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.echo: Callable[[bytes], bytes] = bytes
        self.count: Callable[[int], int] = int

    def answer(self, packet: bytes, is_wanted: Callable[[], bool] = lambda: True, client: str = "") -> bytes:
        time.sleep(self.delay_s)
        return packet[::-1]

    def ping(self, payload: bytes) -> bytes:
        return self.echo(payload)

    def probe(self, payload: bytes) -> bytes:
        return protocol.pack_count(self.count(len(payload)))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(params=["grpc", "local"])
def transport(request: pytest.FixtureRequest, receiver: Receiver) -> Iterator[Transport]:
    if request.param == "local":
        yield LocalTransport(receiver)
        return
    with GrpcServer(receiver) as server, GrpcTransport(f"127.0.0.1:{server.port}") as channel:
        yield channel


def test_bytes_go_there_and_others_come_back(transport: Transport) -> None:
    assert transport.send(b"\x00\xffpacket", PATIENCE_S) == b"tekcap\xff\x00"
    assert transport.send(b"", PATIENCE_S) == b""


def test_pings_and_probes_take_time(transport: Transport) -> None:
    assert transport.ping(PATIENCE_S) > 0
    assert transport.probe(100_000, PATIENCE_S) > 0
    transport.close()


def test_an_echo_that_is_none_is_a_link_error(transport: Transport, receiver: Receiver) -> None:
    receiver.echo = lambda payload: b"hello"
    with pytest.raises(LinkError, match="a ping must come back as it was sent, found 5 other bytes"):
        transport.ping(PATIENCE_S)


def test_a_probe_that_was_cut_is_a_link_error(transport: Transport, receiver: Receiver) -> None:
    receiver.count = lambda num_bytes: num_bytes - 1
    with pytest.raises(LinkError, match="a probe of 10 bytes was confirmed as 9 bytes"):
        transport.probe(10, PATIENCE_S)


def test_an_answer_that_comes_too_late_is_a_timeout(receiver: Receiver) -> None:
    receiver.delay_s = 2.0
    with GrpcServer(receiver) as server, GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        transport.ping(PATIENCE_S)
        with pytest.raises(LinkTimeoutError, match=r"Answer to 127.0.0.1:\d+: nothing within 0.1 s"):
            transport.send(b"packet", 0.1)


def test_a_server_that_is_not_there_is_a_link_error() -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        transport = GrpcTransport(f"127.0.0.1:{taken.getsockname()[1]}")
        with transport, pytest.raises(LinkError, match=r"Ping to 127.0.0.1:\d+: UNAVAILABLE: "):
            transport.ping(PATIENCE_S)


def test_a_closed_transport_says_so() -> None:
    transport = GrpcTransport("127.0.0.1:1")
    transport.close()
    with pytest.raises(LinkError, match=r"Answer to 127.0.0.1:1: .*closed"):
        transport.send(b"packet", PATIENCE_S)


def test_a_packet_above_the_limit_is_not_taken(receiver: Receiver) -> None:
    server = GrpcServer(receiver, max_message_bytes=1000)
    with server, GrpcTransport(f"127.0.0.1:{server.port}") as transport:
        assert transport.send(bytes(1000), PATIENCE_S) == bytes(1000)
        with pytest.raises(LinkError, match=r"RESOURCE_EXHAUSTED: .*1001 vs. 1000"):
            transport.send(bytes(1001), PATIENCE_S)


def test_a_ping_is_small(receiver: Receiver) -> None:
    message = "INVALID_ARGUMENT: a ping has at most 1024 bytes, found 1025"
    server = GrpcServer(receiver)
    with (
        server,
        GrpcTransport(f"127.0.0.1:{server.port}") as transport,
        pytest.raises(LinkError, match=message),
    ):
        transport._call(protocol.PING, bytes(1025), PATIENCE_S)


def test_a_port_in_use_is_a_link_error(receiver: Receiver) -> None:
    first = GrpcServer(receiver)
    with first, pytest.raises(LinkError, match=f"cannot listen on 127.0.0.1:{first.port}: "):
        GrpcServer(receiver, first.port)


def test_a_local_link_can_be_taken_down(receiver: Receiver) -> None:
    transport = LocalTransport(receiver)
    transport.is_up = False
    with pytest.raises(LinkError, match="Ping: the local link is down, set is_up to True to mend it"):
        transport.ping()
    transport.is_up = True
    assert transport.ping() > 0
